"""A board with a number, to be read by a camera that looks at it from anywhere.

A white frame on black holds two rows of cells: the number in Gray code between finder cells, and
below it the inverse. A cell is read by comparing it with its inverse, so exposure and shadows do
not matter; a picture that was exposed while the number went on by one leaves a single cell grey,
and either reading of it is right (F. Gray, US patent 2632058, 1953). The finder cells differ in
all eight ways a picture can be turned and mirrored.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from mien.types import F32Array, U8Array

BITS = 16
_FINDER_LEFT, _FINDER_RIGHT = (1, 0), (1, 1)
COLUMNS = BITS + len(_FINDER_LEFT) + len(_FINDER_RIGHT)
PANEL = (0.06, 0.06, 0.94, 0.34)
"""Left, top, right and bottom of the white frame, as parts of the board."""
_FRAME = 0.5
"""Thickness of the white frame, in columns."""
_ROW_FRAME = 0.25
"""The same, in rows: a row is about twice as high as a column is wide."""
_STEP = 8
"""Samples along a cell."""
_LEAST_CONTRAST = 24
"""Between a cell and its inverse, in code values; chosen by eye."""
_MOST_GREY = 2
"""Cells that may have changed during the exposure: two changes of number."""
_LEAST_PANEL = 60
"""Shortest long side of a panel that is looked at, in pixels: 3 a cell."""
_LIKELY = 12
"""Quadrangles that are tried, the largest first."""
_READABLE_CELL = 4.0
_LEAST_SEEN = 30
_LEAST_SPREAD = 25.0


def cells_of(number: int) -> list[int]:
    """0 or 1 for each cell of the upper row, for the low 16 bits of a number."""
    gray = (number & 0xFFFF) ^ (number & 0xFFFF) >> 1
    return [*_FINDER_LEFT, *(gray >> bit & 1 for bit in reversed(range(BITS))), *_FINDER_RIGHT]


def paint_board(bgr: U8Array, number: int) -> None:
    """Draw the panel of a number into a picture, in place; the rest of it is left alone."""
    height, width = bgr.shape[:2]
    left, top, right, bottom = np.array(PANEL) * (width, height, width, height)
    bgr[round(top) : round(bottom), round(left) : round(right)] = 255
    column = (right - left) / (COLUMNS + 2 * _FRAME)
    row = (bottom - top) / (2 + 2 * _ROW_FRAME)
    xs = (left + column * (_FRAME + np.arange(COLUMNS + 1))).round().astype(int)
    ys = (top + row * (_ROW_FRAME + np.arange(3))).round().astype(int)
    for cell, x0, x1 in zip(cells_of(number), xs[:-1], xs[1:], strict=True):
        bgr[ys[0] : ys[1], x0:x1] = 255 * cell
        bgr[ys[1] : ys[2], x0:x1] = 255 * (1 - cell)


class BoardReader:
    """Finds the board in pictures and reads it; one thread, no resources.

    Where the board was last is tried first, since camera and screen stand still.
    """

    def __init__(self) -> None:
        self._corners: F32Array | None = None

    def read(self, grey: U8Array) -> int | None:
        """The number in an (H, W) uint8 picture; None where none can be read."""
        if self._corners is not None:
            number = _read_panel(grey, self._corners)
            if number is not None:
                return number
        for quad in find_quads(grey):
            for corners in _ways_round(quad):
                number = _read_panel(grey, corners)
                if number is not None:
                    self._corners = corners
                    return number
        return None


def find_quads(grey: U8Array) -> list[F32Array]:
    """Corners, (4, 2) float32 pixels in order, of bright quadrangles, the largest first."""
    quads: list[tuple[float, F32Array]] = []
    for mask in _bright_parts(grey):
        contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        for contour in contours:
            box = cv2.boundingRect(contour)
            if max(box[2], box[3]) < _LEAST_PANEL:
                continue
            corners = cv2.approxPolyDP(contour, 0.02 * cv2.arcLength(contour, True), True)
            if len(corners) == 4 and cv2.isContourConvex(corners):
                quads.append((cv2.contourArea(corners), corners.reshape(4, 2).astype(np.float32)))
    quads.sort(key=lambda quad: -quad[0])
    return [corners for _, corners in quads[:_LIKELY]]


def _bright_parts(grey: U8Array) -> tuple[cv2.typing.MatLike, cv2.typing.MatLike]:
    """Masks: brighter than the whole picture's threshold, and brighter than what is around."""
    soft = cv2.GaussianBlur(grey, (3, 3), 0)
    block = max(min(grey.shape[:2]) // 4, 3) | 1
    _, bright = cv2.threshold(soft, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    local = cv2.adaptiveThreshold(
        soft, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, block, -8
    )
    return bright, local


def why_unread(grey: U8Array) -> str:
    """What most likely keeps the board in a picture from being read, and what to do."""
    if float(grey.mean()) < 12:
        return "the picture is nearly black: uncover the lens, raise the camera's exposure"
    if float((grey > 250).mean()) > 0.4:
        return "the picture is burnt out: lower the screen's brightness or the exposure"
    lengths = _likely_panels(grey)
    if not lengths:
        return "no white frame is in sight: aim the camera at the whole window, nothing before it"
    cell = max(lengths) / COLUMNS
    if cell < _READABLE_CELL:
        return (
            f"the code is too small ({cell:.1f} pixels a cell): move closer or enlarge the window"
        )
    return "the bars run together: focus, hold the camera still, avoid reflections and flicker"


def _likely_panels(grey: U8Array) -> list[float]:
    """Lengths of bright oblongs with bars in them, unlike a lamp or a window of the room."""
    lengths = []
    for mask in _bright_parts(grey):
        contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        for contour in contours:
            left, top, width, height = cv2.boundingRect(contour)
            if max(width, height) < _LEAST_SEEN or min(width, height) < 4:
                continue
            inside = grey[top + height // 4 : top + height - height // 4, left : left + width]
            inside = inside[:, width // 8 : width - width // 8]
            short, long = sorted(cv2.minAreaRect(contour)[1])
            if 2.5 * short < long < 12 * short and float(inside.std()) > _LEAST_SPREAD:
                lengths.append(long)
    return lengths


def _ways_round(quad: F32Array) -> list[F32Array]:
    """The corners as seen from each side, plain and mirrored."""
    turned = [np.roll(quad, -turn, axis=0) for turn in range(4)]
    return turned + [corners[::-1] for corners in turned]


def _read_panel(grey: U8Array, corners: F32Array) -> int | None:
    width, height = round(_STEP * (COLUMNS + 2 * _FRAME)), round(_STEP * (2 + 2 * _ROW_FRAME))
    flat = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32) - 0.5
    panel_from_picture = cv2.getPerspectiveTransform(np.ascontiguousarray(corners), flat)
    panel = cv2.warpPerspective(grey, panel_from_picture, (width, height), flags=cv2.INTER_LINEAR)
    x, y = round(_STEP * _FRAME), round(_STEP * _ROW_FRAME)
    cells = panel[y : y + 2 * _STEP, x : x + COLUMNS * _STEP].astype(np.float32)
    middle = slice(_STEP // 4, -(_STEP // 4))
    values = cells.reshape(2, _STEP, COLUMNS, _STEP)[:, middle, :, middle].mean(axis=(1, 3))
    return _number_of(values[0] - values[1])


def _number_of(contrast: npt.NDArray[np.float32]) -> int | None:
    """The number from the difference of each cell to its inverse."""
    finder = [*range(len(_FINDER_LEFT)), *range(COLUMNS - len(_FINDER_RIGHT), COLUMNS)]
    expected = np.array([*_FINDER_LEFT, *_FINDER_RIGHT]) * 2 - 1
    least = float((contrast[finder] * expected).min())
    if least < _LEAST_CONTRAST:
        return None
    bits = contrast[len(_FINDER_LEFT) : COLUMNS - len(_FINDER_RIGHT)]
    if int((np.abs(bits) < least / 3).sum()) > _MOST_GREY:
        return None
    number = 0
    for bit in bits > 0:
        number = number << 1 | (int(bit) ^ number & 1)
    return number
