"""Eyes: how open they are, what colour the irises have, and a new iris colour."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from mien import _kernels
from mien.face_mesh import LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS
from mien.types import F32Array, U8Array

# Middle of the upper and the lower lid, then the eye's contour from outer to inner corner.
_EYES = (
    (RIGHT_IRIS, RIGHT_EYE, 159, 145),
    (LEFT_IRIS, LEFT_EYE, 386, 374),
)

# Lid gap over eye width: below the first the eye counts as closed, above the second as open.
_CLOSED = 0.10
_OPEN = 0.20

_DARKEST = 8.0
_LEAST_RADIUS_PX = 1.5
_UNKNOWN_IRIS = (60.0, 60.0, 60.0)


@dataclass(frozen=True, slots=True)
class _Eye:
    """One eye's region of the picture; ``inside`` is 255 between the lids."""

    left: int
    top: int
    centre: tuple[float, float]
    radius: float
    inside: U8Array

    def pixels(self, image_bgr: U8Array) -> U8Array:
        """The region's pixels, not copied."""
        rows, columns = self.inside.shape
        return image_bgr[self.top : self.top + rows, self.left : self.left + columns]

    def distance(self) -> F32Array:
        """(h, w) float32: pixels to the iris's centre."""
        rows, columns = self.inside.shape
        x = np.arange(self.left, self.left + columns, dtype=np.float32) - self.centre[0]
        y = np.arange(self.top, self.top + rows, dtype=np.float32) - self.centre[1]
        distance: F32Array = np.hypot(x[None, :], y[:, None]).astype(np.float32)
        return distance


def _openness(landmarks: F32Array, ring: tuple[int, ...], upper: int, lower: int) -> float:
    # Plain floats: NumPy's overhead on four points would be most of the time.
    outer, inner, top, bottom = landmarks[[ring[0], ring[8], upper, lower], :2].tolist()
    openness = math.dist(top, bottom) / max(math.dist(outer, inner), 1e-3)
    return min(max((openness - _CLOSED) / (_OPEN - _CLOSED), 0.0), 1.0)


def _eye(
    image_bgr: U8Array, landmarks: F32Array, iris: tuple[int, ...], ring: tuple[int, ...]
) -> _Eye | None:
    centre, *rim = landmarks[list(iris), :2].tolist()
    radius = sum(math.dist(centre, point) for point in rim) / len(rim)
    if not _LEAST_RADIUS_PX <= radius <= max(image_bgr.shape[:2]):
        return None
    height, width = image_bgr.shape[:2]
    reach = 1.3 * radius + 2.0
    left, top = (max(math.floor(value - reach), 0) for value in centre)
    right = min(math.ceil(centre[0] + reach) + 1, width)
    bottom = min(math.ceil(centre[1] + reach) + 1, height)
    if left >= right or top >= bottom:
        return None
    contour = np.zeros((bottom - top, right - left), dtype=np.uint8)
    # Sixteenths of a pixel; plain floats again.
    points = [
        [[int((x - left) * 16.0 + 0.5), int((y - top) * 16.0 + 0.5)]]
        for x, y in landmarks[ring, :2].tolist()
    ]
    cv2.fillPoly(contour, [np.array(points, np.int32)], (255,), shift=4, lineType=cv2.LINE_AA)
    inside = np.asarray(cv2.blur(contour, (3, 3)), np.uint8)
    return _Eye(left, top, (centre[0], centre[1]), radius, inside)


def iris_colour(image_bgr: U8Array, landmarks: F32Array) -> F32Array | None:
    """Median colour of both irises between pupil and limbus.

    Args:
        image_bgr: (H, W, 3) uint8.
        landmarks: (478, 3) float32, image pixels.

    Returns:
        (3,) float32 BGR 0..255, or None when both eyes are closed or too small.
    """
    colours = []
    for iris, ring, upper, lower in _EYES:
        if _openness(landmarks, ring, upper, lower) < 0.5:
            continue
        eye = _eye(image_bgr, landmarks, iris, ring)
        if eye is None:
            continue
        relative = eye.distance() / np.float32(eye.radius)
        plain = (eye.inside > 127) & (relative > 0.35) & (relative < 0.85)
        sample = eye.pixels(image_bgr)[plain]
        if len(sample) > 3:
            colours.append(np.median(sample, axis=0))
    if not colours:
        return None
    return np.asarray(np.mean(colours, axis=0), dtype=np.float32)


def iris_colour_or_grey(image_bgr: U8Array, landmarks: F32Array) -> F32Array:
    """As ``iris_colour``, with a neutral grey where none can be seen."""
    colour = iris_colour(image_bgr, landmarks)
    return np.array(_UNKNOWN_IRIS, dtype=np.float32) if colour is None else colour


def recolour_irises(
    image_bgr: U8Array, landmarks: F32Array, own_bgr: F32Array, wanted_bgr: F32Array
) -> list[tuple[int, int, int, int]]:
    """Gives the irises another colour, in place; highlights and lids stay.

    Args:
        image_bgr: (H, W, 3) uint8, painted into.
        landmarks: (478, 3) float32, image pixels.
        own_bgr: (3,) the irises' present colour.
        wanted_bgr: (3,) the colour they get under the same light.

    Returns:
        Left, top, right, bottom of what was painted into.
    """
    painted = []
    mean = float(own_bgr[0] + own_bgr[1] + own_bgr[2]) / 3.0
    tint = (wanted_bgr * np.float32(1.0 / max(mean, _DARKEST))).astype(np.float32)
    brightest = max(own_bgr.tolist())
    for iris, ring, upper, lower in _EYES:
        opening = _openness(landmarks, ring, upper, lower)
        if opening <= 0.0:
            continue
        eye = _eye(image_bgr, landmarks, iris, ring)
        if eye is not None:
            _kernels.tint_iris(
                image_bgr,
                eye.left,
                eye.top,
                eye.inside,
                *eye.centre,
                eye.radius,
                tint,
                brightest,
                opening,
            )
            rows, columns = eye.inside.shape
            painted.append((eye.left, eye.top, eye.left + columns, eye.top + rows))
    return painted
