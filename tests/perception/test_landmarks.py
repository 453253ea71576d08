"""Landmarks agree with MediaPipe and with themselves."""

from __future__ import annotations

import warnings

import cv2
import numpy as np
import pytest

from mien.perception import FaceTracker
from mien.perception.detector import Detector
from mien.perception.landmarks import Landmarker
from mien.perception.roi import RegionKeeper, Roi, roi_from_landmarks
from mien.types import F32Array
from tests.perception.stage import astronaut


def media_pipe_landmarks() -> F32Array:
    """MediaPipe's own landmarks of the astronaut, frame pixels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        face_mesh = pytest.importorskip(
            "mediapipe.python.solutions.face_mesh",
            reason="mediapipe is not installed; it is only a yardstick",
            exc_type=ImportError,
        )
        image = np.ascontiguousarray(astronaut()[:, :, ::-1])
        with face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True) as mesh:
            face = mesh.process(image).multi_face_landmarks[0]
    width = image.shape[1]
    return np.array([(p.x * width, p.y * width, p.z * width) for p in face.landmark], np.float32)


def test_the_whole_chain_agrees_with_mediapipe() -> None:
    expected = media_pipe_landmarks()
    detector, landmarker = Detector(), Landmarker()
    landmarks, quality = landmarker.locate(astronaut(), detector.detect_near(astronaut())[0].roi)
    detector.close()
    landmarker.close()
    apart = np.linalg.norm(landmarks[:, :2] - expected[:, :2], axis=1)
    assert apart.mean() < 0.1
    assert apart.max() < 0.3
    assert np.abs(landmarks[:, 2] - expected[:, 2]).mean() < 0.1
    assert quality > 0.99


@pytest.mark.parametrize("factor", [2.0, 3.5, 6.0])
def test_a_larger_picture_gives_the_same_face_larger(finder: FaceTracker, factor: float) -> None:
    # From twice on the crop is averaged before it is sampled; the map must hold.
    image = astronaut()[0:256, 96:352]
    small = finder.find(image)[0].landmarks
    large = finder.find(cv2.resize(image, None, fx=factor, fy=factor))[0].landmarks
    # cv2.resize aligns pixel corners; landmarks sit on pixel centres.
    expected = (small[:, :2] + 0.5) * factor - 0.5
    apart = np.linalg.norm(large[:, :2] - expected, axis=1).mean() / factor
    offset = np.abs((large[:, :2] - expected).mean(axis=0)).max() / factor
    assert apart < 0.6
    assert offset < 0.3


def test_moving_the_picture_moves_the_landmarks(finder: FaceTracker) -> None:
    image = astronaut()
    moved = np.roll(image, (17, 31), axis=(0, 1))
    a, b = finder.find(image)[0].landmarks, finder.find(moved)[0].landmarks
    np.testing.assert_allclose((b - a)[:, :2].mean(axis=0), [31, 17], atol=0.2)


def test_irises_lie_inside_the_eyes(finder: FaceTracker) -> None:
    landmarks = finder.find(astronaut())[0].landmarks
    assert landmarks[33, 0] < landmarks[468, 0] < landmarks[133, 0]
    assert landmarks[362, 0] < landmarks[473, 0] < landmarks[263, 0]


def test_crop_pixels_map_to_the_frame_about_the_centre() -> None:
    roi = Roi(x=100.0, y=50.0, side=384.0, angle_rad=np.pi / 2)
    matrix = roi.frame_from_crop(192)
    np.testing.assert_allclose(matrix @ [96, 96, 1], [100, 50])
    # One crop pixel to the right is two frame pixels down when turned by 90 degrees.
    np.testing.assert_allclose(matrix @ [97, 96, 1], [100, 52])


def test_overlap_is_one_with_itself_and_nought_apart() -> None:
    roi = Roi(x=0.0, y=0.0, side=10.0, angle_rad=0.0)
    assert roi.overlap(roi) == pytest.approx(1.0)
    assert roi.overlap(Roi(x=5.0, y=0.0, side=10.0, angle_rad=0.0)) == pytest.approx(1 / 3)
    assert roi.overlap(Roi(x=20.0, y=0.0, side=10.0, angle_rad=0.0)) == 0.0


def test_a_face_at_rest_keeps_its_region_and_a_fast_one_is_led(finder: FaceTracker) -> None:
    landmarks = finder.find(astronaut())[0].landmarks
    keeper = RegionKeeper(roi_from_landmarks(landmarks))
    rng = np.random.default_rng(1)
    kept = set()
    for _ in range(20):
        noise = rng.normal(0, 0.05, landmarks.shape).astype(np.float32)
        keeper.follow(landmarks + noise)
        kept.add(keeper.roi)
    assert len(kept) <= 6
    start = keeper.roi.x
    for step in (1, 2):
        keeper.follow(landmarks + np.array([20 * step, 0, 0], np.float32))
    assert keeper.roi.x - start == pytest.approx(60, abs=1.0)
