"""A number painted into a picture so that it survives codecs, scaling and a badge.

Cells lie side by side along the top edge: white, black, 16 bits of the number, 4 bits of
checksum, black, white. ``pages/latency.html`` draws and reads the same.
"""

from __future__ import annotations

import numpy as np

from mien.types import U8Array

BITS = 16
CELLS = BITS + 4 + 4
HEIGHT = 1 / 12
"""Of the picture."""
_LEAST_CONTRAST = 60.0


def cells_of(number: int) -> list[int]:
    """0 or 1 for each cell."""
    bits = [number >> bit & 1 for bit in reversed(range(BITS))]
    check = checksum(number)
    return [1, 0, *bits, *(check >> bit & 1 for bit in reversed(range(4))), 0, 1]


def checksum(number: int) -> int:
    """4 bits that a misread cell changes."""
    return (number ^ number >> 4 ^ number >> 8 ^ number >> 12) * 7 + 5 & 0xF


def paint(bgr: U8Array, number: int) -> None:
    """Draw the code of ``number`` (its low 16 bits) into a picture, in place."""
    rows = round(bgr.shape[0] * HEIGHT)
    edges = np.linspace(0, bgr.shape[1], CELLS + 1).round().astype(int)
    for cell, left, right in zip(cells_of(number & 0xFFFF), edges[:-1], edges[1:], strict=True):
        bgr[:rows, left:right] = 255 * cell


def read(bgr: U8Array) -> int | None:
    """The number in a picture; None where there is none or it is damaged."""
    rows = max(round(bgr.shape[0] * HEIGHT), 3)
    middle = bgr[rows // 4 : max(rows * 3 // 4, rows // 4 + 1)]
    edges = np.linspace(0, bgr.shape[1], CELLS + 1)
    width = edges[1]
    values = np.array(
        [middle[:, int(x + width / 4) : max(int(x + 3 * width / 4), int(x + width / 4) + 1)].mean()
         for x in edges[:-1]]
    )  # fmt: skip
    white, black = (values[0] + values[-1]) / 2, (values[1] + values[-2]) / 2
    if white - black < _LEAST_CONTRAST:
        return None
    bits = (values > (white + black) / 2).astype(int).tolist()
    number = 0
    for bit in bits[2 : 2 + BITS]:
        number = number << 1 | bit
    return number if bits == cells_of(number) else None
