"""The promise that a fault never shows the bare face.

The pipeline asks the guard for a picture whenever no trustworthy swapped patch exists.
What is known decides how much is covered:

- the performer is tracked, only the swap failed: the performer's head;
- the performer was lost a moment ago: the head where it last was, growing with the time
  since, and every face that is still found;
- the performer was lost long ago, never seen, or the scene was cut: the whole picture,
  because a face that the detector misses may be anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from mien.config import GuardConfig
from mien.ranges import ranged
from mien.types import F32Array, Frame, U8Array

Box = tuple[float, float, float, float]
"""(left, top, right, bottom) of a face's landmarks, frame pixels."""

NS_PER_S = 1_000_000_000

# A face's box spans brow to chin; head and hair reach about 0.7 of it to each side of its
# centre. 1.1 and 1.25 leave room for a turn and for half a face's motion (chosen by eye).
_HEAD_HALF_WIDTH = 1.10
_HEAD_HALF_HEIGHT = 1.25
_FEATHER = 1.25
_CELLS_PER_FACE = 5
_ROWS_PER_PICTURE = 10
# A lost face moves; a walking head crosses about its own size in a second.
_GROWTH_PER_S = 1.5
_FORGET_AFTER_S = 1.0

# Mean absolute difference, in code values, of mean-free 18x32 thumbnails. Talking heads and
# moving cameras measure below 12 on the synthetic clips, changes of scene 30 to 70.
_CUT_DIFFERENCE = 24.0
_THUMBNAIL = (18, 32)
_EQUAL_SHARES = np.full(_THUMBNAIL[0] * _THUMBNAIL[1], 1.0 / (18 * 32), dtype=np.float32)


class Guard:
    """Chooses what is shown in place of a frame that must not be shown.

    Belongs to the thread that runs the pipeline. Holds one copy of the last good frame
    in ``hold`` mode, nothing otherwise.
    """

    def __init__(self, config: GuardConfig, draw_slate: Callable[[tuple[int, int]], U8Array]):
        self.config = config
        self._draw_slate = draw_slate
        self._held: U8Array | None = None
        self._held_pts_ns = 0
        self._last_box: Box | None = None
        self._last_box_pts_ns = 0
        self._thumbnail: F32Array | None = None

    @ranged("guard: observe")
    def observe(self, frame: Frame) -> bool:
        """Looks at a frame before anything paints into it; True when the scene was cut.

        After a cut the place where the performer last was means nothing: it is forgotten.
        """
        thumbnail = _mean_free_thumbnail(frame.bgr)
        before, self._thumbnail = self._thumbnail, thumbnail
        if before is None:
            return False
        cut = float(np.abs(thumbnail - before).mean()) > _CUT_DIFFERENCE
        if cut:
            self._last_box = None
        return cut

    @ranged("guard: accept")
    def accept(self, frame: Frame, performer: Box) -> None:
        """Remembers a frame that was swapped well, and where the performer was in it."""
        self._last_box = performer
        self._last_box_pts_ns = frame.pts_ns
        if self.config.mode != "hold":
            return
        if self._held is None or self._held.shape != frame.bgr.shape:
            self._held = np.empty_like(frame.bgr)
        np.copyto(self._held, frame.bgr)
        self._held_pts_ns = frame.pts_ns

    @ranged("guard: cover")
    def cover(self, frame: Frame, performer: Box | None, faces: Sequence[Box]) -> Frame:
        """A frame that does not show the performer's bare face; ``off`` returns it as it came.

        Args:
            frame: what the pipeline could not swap; it is painted over in place.
            performer: where the performer is, if tracked in this frame.
            faces: every face found in this frame.
        """
        mode = self.config.mode
        if mode == "off":
            return frame
        if mode == "slate":
            return self.slate(frame)
        held = self._hold(frame) if mode == "hold" else None
        if held is not None:
            if performer is not None:
                self._last_box, self._last_box_pts_ns = performer, frame.pts_ns
            return held
        self._blur(frame, performer, faces)
        return frame

    def slate(self, frame: Frame) -> Frame:
        """The card, in the frame's size and place in the stream."""
        return replace(frame, bgr=self._draw_slate(frame.size))

    def _hold(self, frame: Frame) -> Frame | None:
        if self._held is None or self._held.shape != frame.bgr.shape:
            return None
        age_s = (frame.pts_ns - self._held_pts_ns) / NS_PER_S
        if not 0.0 <= age_s <= self.config.hold_s:
            return None
        return replace(frame, bgr=self._held.copy())

    def _blur(self, frame: Frame, performer: Box | None, faces: Sequence[Box]) -> None:
        if performer is not None:
            self._last_box, self._last_box_pts_ns = performer, frame.pts_ns
            blur_head(frame.bgr, performer)
            return
        age_s = (frame.pts_ns - self._last_box_pts_ns) / NS_PER_S
        if self._last_box is None or not 0.0 <= age_s <= _FORGET_AFTER_S:
            blur_picture(frame.bgr)
            return
        blur_head(frame.bgr, self._last_box, growth=1.0 + _GROWTH_PER_S * age_s)
        for face in faces:
            blur_head(frame.bgr, face)


def blur_head(bgr: U8Array, face: Box, *, growth: float = 1.0) -> None:
    """Makes the head around a face unrecognisable, in place.

    Inside the head's ellipse nothing finer than a fifth of the face is left; the edge
    fades outwards from there.

    Args:
        bgr: (H, W, 3) uint8.
        face: box of the face's landmarks.
        growth: how much larger than the usual head the covered ellipse is.
    """
    height, width = bgr.shape[:2]
    if not np.all(np.isfinite(face)):
        blur_picture(bgr)
        return
    face_size = max(face[2] - face[0], face[3] - face[1], 1.0)
    centre = ((face[0] + face[2]) / 2, (face[1] + face[3]) / 2 - 0.1 * face_size)
    half = (_HEAD_HALF_WIDTH * growth * face_size, _HEAD_HALF_HEIGHT * growth * face_size)
    left = int(max(np.floor(centre[0] - half[0] * _FEATHER), 0))
    top = int(max(np.floor(centre[1] - half[1] * _FEATHER), 0))
    right = int(min(np.ceil(centre[0] + half[0] * _FEATHER) + 1, width))
    bottom = int(min(np.ceil(centre[1] + half[1] * _FEATHER) + 1, height))
    if left >= right or top >= bottom:
        return
    region = bgr[top:bottom, left:right]
    cell = face_size / _CELLS_PER_FACE
    smooth = _mosaic(region, round((bottom - top) / cell), round((right - left) / cell))
    x = (np.arange(left, right, dtype=np.float32) - centre[0]) / half[0]
    y = (np.arange(top, bottom, dtype=np.float32) - centre[1]) / half[1]
    radius = np.sqrt(x[None, :] ** 2 + y[:, None] ** 2)
    keep = np.clip((radius - 1.0) / (_FEATHER - 1.0), 0.0, 1.0).astype(np.float32)
    bgr[top:bottom, left:right] = cv2.blendLinear(
        np.ascontiguousarray(region), smooth, keep, 1.0 - keep
    )


def blur_picture(bgr: U8Array) -> None:
    """Leaves only broad colours of a whole picture, in place."""
    height, width = bgr.shape[:2]
    columns = round(_ROWS_PER_PICTURE * width / height)
    bgr[:] = _mosaic(bgr, _ROWS_PER_PICTURE, columns)


def _mosaic(region: U8Array, rows: int, columns: int) -> U8Array:
    """The region through frosted glass of so many cells."""
    height, width = region.shape[:2]
    cells = (min(max(columns, 1), width), min(max(rows, 1), height))
    small = cv2.resize(region, cells, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (3, 3), 0.8, borderType=cv2.BORDER_REPLICATE)
    smooth = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(smooth, np.uint8)


def _mean_free_thumbnail(bgr: U8Array) -> F32Array:
    """(18 * 32, 3) float32 around zero: a change of exposure alone does not look like a cut."""
    height, width = bgr.shape[:2]
    sample: F32Array = bgr.reshape(-1, 3)[_thumbnail_pixels(height, width)].astype(np.float32)
    sample -= _EQUAL_SHARES @ sample
    return sample


@lru_cache(maxsize=4)
def _thumbnail_pixels(height: int, width: int) -> npt.NDArray[np.intp]:
    """Positions, in a picture read row by row, of the thumbnail's pixels."""
    rows = (np.arange(_THUMBNAIL[0]) + 0.5) * (height / _THUMBNAIL[0])
    columns = (np.arange(_THUMBNAIL[1]) + 0.5) * (width / _THUMBNAIL[1])
    return (rows.astype(np.intp)[:, None] * width + columns.astype(np.intp)).reshape(-1)
