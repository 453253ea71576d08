"""Notices that the picture has jumped to another scene."""

from __future__ import annotations

import numpy as np

from mien.types import F32Array, U8Array

_ROWS = 36
_ALIKE = 0.55
"""Below this correlation two thumbnails are two scenes. Chosen by eye: neighbours in two
clips with moving cameras correlate at 0.95 and more; a whip pan was not measured."""
_DIFFERENT_LEVELS = 10.0
"""Mean difference, grey levels, below which noise could explain a low correlation."""


class CutDetector:
    """Compares each frame's thumbnail with the last one's.

    Correlation ignores gain and offset, so flashes and exposure steps are not cuts. One
    thread at a time may use it; it owns its thumbnail.
    """

    def __init__(self) -> None:
        self._last: F32Array | None = None
        self._size: tuple[int, ...] = ()

    def is_cut(self, image_bgr: U8Array) -> bool:
        """True when the frame shows another scene than the one before it."""
        now = _thumbnail(image_bgr)
        last, self._last = self._last, now
        size, self._size = self._size, image_bgr.shape
        if last is None:
            return False
        if size != self._size:
            return True
        if float(np.abs(now - last).mean()) < _DIFFERENT_LEVELS:
            return False
        return _correlation(last, now) < _ALIKE

    def reset(self) -> None:
        """Forget the last frame."""
        self._last = None


def _thumbnail(image_bgr: U8Array) -> F32Array:
    """Every n-th green pixel: enough to compare scenes, and only some 2,000 reads."""
    step = max(min(image_bgr.shape[:2]) // _ROWS, 1)
    return image_bgr[step // 2 :: step, step // 2 :: step, 1].astype(np.float32)


def _correlation(a: F32Array, b: F32Array) -> float:
    a, b = a - a.mean(), b - b.mean()
    energy = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / energy if energy > 1e-3 else 0.0
