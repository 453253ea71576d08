"""Eyes: how open they are, what colour the irises have, and a new iris colour."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

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
_HIGHLIGHT = 60.0
_LEAST_RADIUS_PX = 1.5
_UNKNOWN_IRIS = (60.0, 60.0, 60.0)


@dataclass(frozen=True, slots=True)
class _Eye:
    """One eye's region of the picture: pixels, distance to the iris's centre, lid opening."""

    pixels: U8Array
    distance: F32Array
    radius: float
    inside: F32Array


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
    x = np.arange(left, right, dtype=np.float32) - np.float32(centre[0])
    y = np.arange(top, bottom, dtype=np.float32) - np.float32(centre[1])
    contour = np.zeros((bottom - top, right - left), dtype=np.uint8)
    points: npt.NDArray[np.int32] = ((landmarks[list(ring), :2] - (left, top)) * 16.0 + 0.5).astype(
        np.int32
    )
    cv2.fillPoly(contour, [points], (255,), shift=4, lineType=cv2.LINE_AA)
    return _Eye(
        pixels=image_bgr[top:bottom, left:right],
        distance=np.sqrt(x[None, :] ** 2 + y[:, None] ** 2),
        radius=radius,
        inside=cv2.blur(contour, (3, 3)).astype(np.float32) * np.float32(1.0 / 255.0),
    )


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
        relative = eye.distance / np.float32(eye.radius)
        sample = eye.pixels[(eye.inside > 0.5) & (relative > 0.35) & (relative < 0.85)]
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
) -> None:
    """Gives the irises another colour, in place; highlights and lids stay.

    Args:
        image_bgr: (H, W, 3) uint8, painted into.
        landmarks: (478, 3) float32, image pixels.
        own_bgr: (3,) the irises' present colour.
        wanted_bgr: (3,) the colour they get under the same light.
    """
    tint = wanted_bgr * np.float32(1.0 / max(float(own_bgr.mean()), _DARKEST))
    brightest = np.float32(own_bgr.max())
    for iris, ring, upper, lower in _EYES:
        opening = _openness(landmarks, ring, upper, lower)
        if opening <= 0.0:
            continue
        eye = _eye(image_bgr, landmarks, iris, ring)
        if eye is None:
            continue
        pixels = eye.pixels.astype(np.float32)
        darkest, brightness = pixels.min(axis=2), pixels.mean(axis=2)
        edge = np.clip(5.75 - eye.distance * np.float32(5.0 / eye.radius), 0.0, 1.0)
        plain = np.clip(1.0 - (darkest - brightest) * np.float32(1.0 / _HIGHLIGHT), 0.0, 1.0)
        mix = edge * eye.inside * plain * np.float32(opening)
        # Only brightness is taken from the pixel: a few pixels of iris have no colour to trust.
        painted = tint * brightness[..., None]
        pixels += (painted - pixels) * mix[..., None]
        np.clip(pixels, 0.0, 255.0, out=pixels)
        eye.pixels[:] = pixels
