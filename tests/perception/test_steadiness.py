"""Jitter on a still face and lag on a walking one, through the whole tracker at 720p.

Published with their circumstances in docs/perception.md; tools/measure_tracking.py
prints the same figures and more.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import pytest

from mien.perception import FaceTracker
from mien.types import F32Array, U8Array
from tests.perception.stage import Camera, astronaut

_NOISE_LEVELS = 2.0
"""Sensor noise, grey levels RMS in every channel, independent from pixel to pixel."""


@lru_cache(maxsize=2)
def scene(shift_px: float) -> U8Array:
    """The astronaut at 1280x720 with a face 240 px wide, moved sideways."""
    zoom = 2.6
    move = np.array([[zoom, 0, 640 - 225 * zoom + shift_px], [0, zoom, 360 - 130 * zoom]])
    picture = cv2.warpAffine(
        astronaut(), move, (1280, 720), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(picture, np.uint8)


@lru_cache(maxsize=1)
def sensor() -> F32Array:
    """A field of noise, larger than a picture: each frame takes another piece of it."""
    field = np.random.default_rng(0).standard_normal((1000, 1600, 3), np.float32)
    return np.asarray(field * _NOISE_LEVELS, np.float32)


def noisy(picture: U8Array, rng: np.random.Generator) -> U8Array:
    height, width = picture.shape[:2]
    top, left = (int(rng.integers(0, most)) for most in (1000 - height, 1600 - width))
    noise = sensor()[top : top + height, left : left + width]
    return np.clip(picture + noise + 0.5, 0, 255).astype(np.uint8)


def followed(shifts_px: list[float]) -> F32Array:
    """(frames, 478, 2) landmarks of the astronaut at these places, with noise."""
    rng, camera = np.random.default_rng(0), Camera()
    with FaceTracker() as tracker:
        points = [
            tracker.track(camera.shoot(noisy(scene(shift), rng)))[0].landmarks[:, :2]
            for shift in shifts_px
        ]
    return np.stack(points)


def test_a_still_face_jitters_by_less_than_a_tenth_of_a_pixel() -> None:
    points = followed([0.0] * 75)[30:]
    off = points - points.mean(axis=0)
    assert np.sqrt((off**2).sum(axis=-1).mean()) < 0.1


@pytest.mark.parametrize("px_a_frame", [10.0, 75.0])
def test_a_walking_face_lags_by_less_than_half_a_frame(px_a_frame: float) -> None:
    # 1.4 m/s is 75 px a frame for a face 15 cm and 240 px wide at 30 fps.
    ramp = np.minimum(np.arange(24) / 6, 1.0) * px_a_frame
    path = np.concatenate([np.zeros(6), np.cumsum(ramp)])
    path = path[path < 800] - min(float(path[path < 800].max()), 800.0) / 2
    points = followed(path.tolist())
    moved = points - points[3:6].mean(axis=0)
    behind = (path - path[0])[:, None] - moved[:, :, 0]
    assert behind[8:].mean(axis=1).max() < 0.5 * px_a_frame
    assert abs(behind[12:].mean()) < 0.25 * px_a_frame


def test_frames_that_do_not_change_do_not_move_the_face() -> None:
    camera = Camera()
    with FaceTracker() as tracker:
        points = [tracker.track(camera.shoot(scene(0)))[0].landmarks for _ in range(40)]
    assert np.abs(points[-1] - points[-6]).max() < 1e-2
