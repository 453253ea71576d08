"""The square, rotated region of a frame that a network looks at.

Crop and frame are related as the landmark model was trained: crop pixel ``x`` samples
the frame at ``origin + x * k``, without a half-pixel offset.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import atan2, cos, hypot, pi, sin

import numpy as np
import numpy.typing as npt

from mien.types import F32Array

_MARGIN = 1.5
"""Side of the region over the long side of the face box (published with the model)."""

_AT_REST, _REST_FRAMES = 0.006, 4
"""A face is at rest after this many frames that moved less than this share of a region."""

_FAST = 0.03
"""From this step a frame on, the next step is predicted; below, noise would be amplified."""

_RIGHT_EYE_OUTER, _LEFT_EYE_OUTER = 33, 263


@dataclass(frozen=True, slots=True, kw_only=True)
class Roi:
    """A rotated square.

    Attributes:
        x, y: centre, frame pixels.
        side: frame pixels.
        angle_rad: direction of the crop's x axis in the frame (y down).
    """

    x: float
    y: float
    side: float
    angle_rad: float

    def frame_from_crop(self, crop_side: int) -> npt.NDArray[np.float64]:
        """(2, 3) affine map from the pixels of a square crop to the frame's."""
        k = self.side / crop_side
        a, b = k * cos(self.angle_rad), k * sin(self.angle_rad)
        half = crop_side / 2.0
        return np.array(
            [
                [a, -b, self.x - a * half + b * half],
                [b, a, self.y - b * half - a * half],
            ]
        )

    def overlap(self, other: Roi) -> float:
        """Intersection over union of the two squares, their rotation ignored."""
        left = max(self.x - self.side / 2, other.x - other.side / 2)
        right = min(self.x + self.side / 2, other.x + other.side / 2)
        top = max(self.y - self.side / 2, other.y - other.side / 2)
        bottom = min(self.y + self.side / 2, other.y + other.side / 2)
        shared = max(right - left, 0.0) * max(bottom - top, 0.0)
        union = self.side**2 + other.side**2 - shared
        return shared / union if union > 0 else 0.0

    def near(self, other: Roi, *, shift: float, zoom: float, turn_rad: float) -> bool:
        """True when ``other`` differs by less than the given fractions and angle."""
        turn = abs((self.angle_rad - other.angle_rad + pi) % (2 * pi) - pi)
        return (
            hypot(self.x - other.x, self.y - other.y) < shift * self.side
            and abs(self.side - other.side) < zoom * self.side
            and turn < turn_rad
        )


def roi_from_landmarks(landmarks: F32Array) -> Roi:
    """The region for the next frame, from this frame's (478, 3) landmarks."""
    # Column by column: ten times as fast as a reduction along the first axis.
    x, y = landmarks[:468, 0], landmarks[:468, 1]
    low_x, high_x = float(x.min()), float(x.max())
    low_y, high_y = float(y.min()), float(y.max())
    right, left = landmarks[_RIGHT_EYE_OUTER], landmarks[_LEFT_EYE_OUTER]
    return Roi(
        x=(low_x + high_x) / 2,
        y=(low_y + high_y) / 2,
        side=max(high_x - low_x, high_y - low_y, 1.0) * _MARGIN,
        angle_rad=atan2(float(left[1] - right[1]), float(left[0] - right[0])),
    )


def roi_from_box(
    x: float, y: float, width: float, height: float, right_eye: F32Array, left_eye: F32Array
) -> Roi:
    """The region for a detected box (centre and size) with its two eye points."""
    return Roi(
        x=x,
        y=y,
        side=max(width, height, 1.0) * _MARGIN,
        angle_rad=atan2(float(left_eye[1] - right_eye[1]), float(left_eye[0] - right_eye[0])),
    )


class RegionKeeper:
    """Chooses the region for the next frame from the landmarks of this one.

    A face at rest keeps its region, so that resampling adds no jitter; a face that
    moves fast gets a region ahead of it, because landmarks are drawn towards the
    region's centre (both measured, docs/perception.md).
    """

    def __init__(self, roi: Roi) -> None:
        self.roi = roi
        self._last = roi
        self._frames_at_rest = 0

    def follow(self, landmarks: F32Array) -> None:
        """Set :attr:`roi` for the next frame."""
        seen = roi_from_landmarks(landmarks)
        step_x, step_y = seen.x - self._last.x, seen.y - self._last.y
        self._last = seen
        speed = hypot(step_x, step_y) / seen.side
        self._frames_at_rest = self._frames_at_rest + 1 if speed < _AT_REST else 0
        if speed > _FAST:
            seen = replace(seen, x=seen.x + step_x, y=seen.y + step_y)
        close = self.roi.near(seen, shift=0.02, zoom=0.03, turn_rad=0.03)
        if not close or self._frames_at_rest < _REST_FRAMES:
            self.roi = seen
