"""The performer's own lips in place of the persona's.

The inside of an open mouth is the performer's always: a persona has no teeth. What can be
chosen is whose lips are around it: the persona's colour and texture, or the performer's own
pixels, carried to where the persona's lips are.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from mien.face_mesh import OUTER_LIPS
from mien.face_regions import ring_mask
from mien.swappers.mesh.wardrobe import TextureLevel
from mien.types import U8Array

# UV units: how far beyond the lips' edge, and how softly the performer's pixels end.
_GROWN = 0.003
_SOFT = 0.006


class OwnLips:
    """Opens textures at the lips; belongs to the thread that swaps. Reuses its buffer."""

    def __init__(self) -> None:
        self._bgra: U8Array = np.empty(0, np.uint8)

    def opened(self, level: TextureLevel, lips: float) -> TextureLevel:
        """The level with so much of the persona's lips left, 0..1; good until the next call."""
        if self._bgra.shape != level.bgra.shape:
            self._bgra = np.empty_like(level.bgra)
        np.copyto(self._bgra, level.bgra)
        rows, columns, weights = _lip_weights(len(level.matte))
        own = self._bgra[rows, columns, 3]
        np.maximum(own, cv2.convertScaleAbs(weights, alpha=1.0 - lips), out=own)
        return TextureLevel(bgra=self._bgra, matte=level.matte)


@cache
def _lip_weights(size: int) -> tuple[slice, slice, U8Array]:
    """Where in a texture of ``size`` the lips lie, and 0..255 how much a texel is of them."""
    ring = ring_mask(OUTER_LIPS, size, grow=_GROWN)
    soft = np.asarray(cv2.GaussianBlur(ring, (0, 0), max(_SOFT * size, 0.5)), np.uint8)
    rows, columns = np.flatnonzero(soft.any(axis=1)), np.flatnonzero(soft.any(axis=0))
    across = slice(int(columns[0]), int(columns[-1]) + 1)
    down = slice(int(rows[0]), int(rows[-1]) + 1)
    return down, across, np.ascontiguousarray(soft[down, across])
