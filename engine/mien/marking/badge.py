"""The visible badge: a small chip in a corner that says that the picture is synthetic."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from mien.config import MarkConfig
from mien.marking.lettering import text_mask
from mien.ranges import ranged
from mien.types import U8Array

_WORDS = "mien \u00b7 synthetic"
# In parts of the picture's smaller side (chosen by eye: legible, never in the way).
_CHIP_HEIGHT = 0.036
_MARGIN = 0.022
_LEAST_CHIP_PX = 14
_CHIP_OPACITY = 0.52
_TEXT_OPACITY = 0.92


class Marker:
    """Draws the badge into frames, in place.

    The chip is rendered once for each frame size; a frame costs one blend of a few
    thousand pixels. Belongs to one thread.
    """

    def __init__(self, config: MarkConfig) -> None:
        self._shown = config.badge
        self._size: tuple[int, int] | None = None
        self._left = 0
        self._top = 0
        self._keep: npt.NDArray[np.uint16] = np.empty((0, 0, 1), np.uint16)
        self._light: npt.NDArray[np.uint16] = np.empty((0, 0, 1), np.uint16)

    @property
    def box(self) -> tuple[int, int, int, int] | None:
        """(left, top, right, bottom) of what :meth:`apply` painted last; None for nothing."""
        height, width = self._keep.shape[:2]
        if not self._shown or height == 0:
            return None
        return self._left, self._top, self._left + width, self._top + height

    @ranged("mark")
    def apply(self, frame_bgr: U8Array) -> None:
        """Draws the badge into a (H, W, 3) uint8 frame; too small ones stay as they are."""
        if not self._shown:
            return
        size = frame_bgr.shape[0], frame_bgr.shape[1]
        if size != self._size:
            self._render(size)
        height, width = self._keep.shape[:2]
        if height == 0:
            return
        region = frame_bgr[self._top : self._top + height, self._left : self._left + width]
        blended = region * self._keep
        blended += self._light
        blended >>= 8
        region[:] = blended

    def _render(self, size: tuple[int, int]) -> None:
        self._size = size
        colour, opacity = _draw_chip(min(size))
        height, width = opacity.shape
        margin = round(_MARGIN * min(size))
        self._left = size[1] - margin - width
        self._top = size[0] - margin - height
        if self._left < 0 or self._top < 0:
            self._keep = np.empty((0, 0, 1), np.uint16)
            return
        alpha = np.round(opacity * 256.0)
        self._keep = (256 - alpha).astype(np.uint16)[..., None]
        # Half a code value rounds; 255 * 256 + 128 still fits 16 bits.
        self._light = np.round(colour * alpha + 128 * (alpha > 0)).astype(np.uint16)[..., None]


def _draw_chip(side: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Grey level 0..255 and opacity 0..1 of the chip for a picture of this smaller side."""
    height = max(round(_CHIP_HEIGHT * side), _LEAST_CHIP_PX)
    text = (
        text_mask("mien \u00b7 synthetic", max(round(height * 0.74), 1)).astype(np.float32) / 255.0
    )
    padding = round(height * 0.45)
    width = text.shape[1] + 2 * padding
    # Drawn at four times the size: the round ends come out smooth.
    large = np.zeros((height * 4, width * 4), np.uint8)
    radius = height * 2
    cv2.circle(large, (radius, radius), radius - 2, (255,), -1)
    cv2.circle(large, (width * 4 - radius, radius), radius - 2, (255,), -1)
    large[2:-2, radius : width * 4 - radius] = 255
    chip = cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA)
    chip_opacity = chip.astype(np.float32) / 255.0 * _CHIP_OPACITY
    text_opacity = np.zeros((height, width), np.float32)
    top = (height - text.shape[0]) // 2
    text_opacity[top : top + text.shape[0], padding : padding + text.shape[1]] = text
    text_opacity *= _TEXT_OPACITY
    opacity = text_opacity + chip_opacity * (1.0 - text_opacity)
    white = 255.0 * text_opacity
    black = 18.0 * chip_opacity * (1.0 - text_opacity)
    colour = (white + black) / np.maximum(opacity, 1e-6)
    return colour.astype(np.float32), opacity.astype(np.float32)
