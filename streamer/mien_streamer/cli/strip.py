"""The before/after strip: the same moments, original above, swapped below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from mien.marking import text_mask
from mien.types import U8Array

_CELL = (400, 320)
"""(height, width) of one picture: a portrait format, with the head large in it."""

_MARGIN = 28
_GAP = 10
_GUTTER = 44
_FOOT = 34
_GROUND = (24, 19, 16)
_INK = (228, 224, 220)
_QUIET = (150, 142, 136)
# The head and some shoulder around a face's box, in parts of the box's height.
_VIEW = 2.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One column.

    Attributes:
        time_s: when, for the caption.
        before, after: (h, w, 3) uint8 pictures of the same size.
    """

    time_s: float
    before: U8Array
    after: U8Array


def head_view(bgr: U8Array, face: tuple[float, float, float, float]) -> U8Array:
    """The head around a face's box in the shape of a cell, from inside the picture."""
    height, width = bgr.shape[:2]
    tall = max(_VIEW * max(face[3] - face[1], face[2] - face[0]), 16.0)
    tall = min(tall, height, width * _CELL[0] / _CELL[1])
    wide = tall * _CELL[1] / _CELL[0]
    centre_x = (face[0] + face[2]) / 2
    centre_y = (face[1] + face[3]) / 2 - 0.04 * tall
    left = round(min(max(centre_x - wide / 2, 0.0), width - wide))
    top = round(min(max(centre_y - tall / 2, 0.0), height - tall))
    view = bgr[top : top + max(round(tall), 1), left : left + max(round(wide), 1)]
    shrinks = view.shape[0] > _CELL[0]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(view, (_CELL[1], _CELL[0]), interpolation=how), np.uint8)


def draw_strip(moments: Sequence[Moment], after_name: str) -> U8Array:
    """The strip as one (H, W, 3) uint8 picture.

    Args:
        moments: columns from left to right, pictures made by :func:`head_view`.
        after_name: what to call the lower row.
    """
    columns = max(len(moments), 1)
    height = _MARGIN + 2 * _CELL[0] + _GAP + _FOOT + _MARGIN // 2
    width = _GUTTER + columns * _CELL[1] + (columns - 1) * _GAP + _MARGIN
    strip = np.empty((height, width, 3), np.uint8)
    strip[:] = _GROUND
    tops = _MARGIN, _MARGIN + _CELL[0] + _GAP
    for top, caption in zip(tops, ("original", after_name), strict=True):
        mask = np.rot90(text_mask(caption, 26, tracking=0.04))
        room = mask[: _CELL[0]]
        _ink(strip, room, top + (_CELL[0] - room.shape[0]) // 2, (_GUTTER - 26) // 2 - 1, _INK)
    for column, moment in enumerate(moments):
        left = _GUTTER + column * (_CELL[1] + _GAP)
        for top, picture in zip(tops, (moment.before, moment.after), strict=True):
            strip[top : top + _CELL[0], left : left + _CELL[1]] = picture
        mask = text_mask(f"{moment.time_s:.1f} s", 20)
        foot = tops[1] + _CELL[0] + (_FOOT - 20) // 2 + 4
        _ink(strip, mask, foot, left + (_CELL[1] - mask.shape[1]) // 2, _QUIET)
    return strip


def _ink(
    picture: U8Array, mask: U8Array, top: int, left: int, colour: tuple[int, int, int]
) -> None:
    region = picture[top : top + mask.shape[0], left : left + mask.shape[1]]
    alpha = mask[: region.shape[0], : region.shape[1], None].astype(np.float32) / 255.0
    region[:] = np.round(region * (1.0 - alpha) + np.asarray(colour, np.float32) * alpha)


# Of a cell of the before/after strip.
_SMALL = 0.5


def draw_rows(rows: Sequence[tuple[str, Sequence[tuple[float, U8Array]]]]) -> U8Array:
    """Rows of small heads with a caption each and the time under every head.

    Args:
        rows: caption, then (seconds, picture made by :func:`head_view`) from left to right.
    """
    cell = round(_CELL[0] * _SMALL), round(_CELL[1] * _SMALL)
    columns = max((len(heads) for _, heads in rows), default=1) or 1
    step = cell[0] + _FOOT
    height = _MARGIN + len(rows) * step + _MARGIN // 2
    width = _GUTTER + columns * cell[1] + (columns - 1) * _GAP + _MARGIN
    strip = np.empty((height, width, 3), np.uint8)
    strip[:] = _GROUND
    for row, (caption, heads) in enumerate(rows):
        top = _MARGIN + row * step
        mask = np.rot90(text_mask(caption, 20, tracking=0.04))[: cell[0]]
        _ink(strip, mask, top + (cell[0] - mask.shape[0]) // 2, (_GUTTER - 20) // 2 - 1, _INK)
        for column, (time_s, head) in enumerate(heads):
            left = _GUTTER + column * (cell[1] + _GAP)
            small = cv2.resize(head, (cell[1], cell[0]), interpolation=cv2.INTER_AREA)
            strip[top : top + cell[0], left : left + cell[1]] = small
            label = text_mask(f"{time_s:.2f} s", 15)
            left += (cell[1] - label.shape[1]) // 2
            _ink(strip, label, top + cell[0] + 6, left, _QUIET)
    return strip
