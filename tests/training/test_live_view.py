"""What the live generator is told of a frame."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from mien.face_mesh import VERTEX_COUNT
from mien.live_view import (
    CONDITION_SIZE,
    LIVE_SIZE,
    condition_parts,
    condition_points,
    head_from_frame,
    input_transform,
    live_crop,
    observe_driver,
)
from mien.perception.pose import estimate_pose
from mien.swappers.mesh.performer import PerformerModel
from mien.types import F32Array, FaceTrack, HeadPose, U8Array

from .conftest import plain_landmarks

SIZE = 256


def _track(landmarks: F32Array) -> FaceTrack:
    return FaceTrack(
        track_id=0,
        landmarks=landmarks,
        pose=estimate_pose(landmarks),
        quality=1.0,
        age=0,
        is_performer=True,
    )


def _frame(landmarks: F32Array) -> U8Array:
    """Skin that is darker below, with the darkest part fixed to the face."""
    frame = np.full((SIZE, SIZE, 3), (90, 120, 180), np.uint8)
    mouth = tuple(int(v) for v in landmarks[14, :2])
    cv2.circle(frame, mouth, int(np.ptp(landmarks[:, 1]) / 4), (60, 80, 120), -1, cv2.LINE_AA)
    return frame


def _condition(landmarks: F32Array) -> F32Array:
    performer = PerformerModel()
    track = _track(landmarks)
    for _ in range(3):
        condition = observe_driver(_frame(landmarks), track, performer)
    return condition


def _moved(landmarks: F32Array, turn_deg: float, zoom: float) -> F32Array:
    angle = np.radians(turn_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = (SIZE - 1) / 2
    moved = landmarks.copy()
    moved[:, :2] = (landmarks[:, :2] - middle) @ turn.T * zoom + middle + [6, -4]
    moved[:, 2] *= zoom
    return moved.astype(np.float32)


def test_the_parts_fill_the_vector() -> None:
    parts = list(condition_parts().values())
    assert parts[0].start == 0
    assert all(one.stop == other.start for one, other in pairwise(parts))
    assert parts[-1].stop == CONDITION_SIZE
    assert len(set(condition_points().tolist())) == len(condition_points()) < VERTEX_COUNT


def test_the_transform_is_the_identity_where_the_crop_is_the_heads_square() -> None:
    pose = _track(_moved(plain_landmarks(SIZE), 20, 0.7)).pose
    transform = input_transform(head_from_frame(pose), pose)
    np.testing.assert_allclose(transform, np.eye(3), atol=1e-5)


def test_the_transform_takes_a_point_of_the_crop_to_the_heads_square() -> None:
    landmarks = _moved(plain_landmarks(SIZE), 20, 0.7)
    pose, crop = _track(landmarks).pose, live_crop(landmarks)
    crop = np.concatenate([crop[:, :2] * 1.1, crop[:, 2:] + 3], axis=1).astype(np.float32)
    point = np.array([100.0, 140.0, 1.0])

    def unit(pixel: F32Array) -> F32Array:
        return np.asarray((pixel - (LIVE_SIZE - 1) / 2) / LIVE_SIZE, np.float32)

    there = input_transform(crop, pose) @ [*unit(crop @ point), 1.0]
    np.testing.assert_allclose(there[:2], unit(head_from_frame(pose) @ point), atol=1e-5)


@pytest.mark.parametrize("turn_deg", [-30.0, 15.0])
def test_motion_in_the_picture_leaves_the_condition_alone(turn_deg: float) -> None:
    still = plain_landmarks(SIZE)
    one, other = _condition(still), _condition(_moved(still, turn_deg, 0.8))
    parts = condition_parts()
    for name in ("expression", "eyes", "pose"):
        np.testing.assert_allclose(one[parts[name]], other[parts[name]], atol=2e-3, err_msg=name)
    # Pixels are resampled: light agrees to a few percent.
    for name in ("tone", "tiles"):
        np.testing.assert_allclose(one[parts[name]], other[parts[name]], atol=0.1, err_msg=name)


def test_a_closing_eye_and_a_glance_show() -> None:
    open_eyes = plain_landmarks(SIZE)
    performer = PerformerModel()
    track = _track(open_eyes)
    for _ in range(3):
        before = observe_driver(_frame(open_eyes), track, performer)
    shut = open_eyes.copy()
    # The right eye's upper lid comes down, the left iris moves to the picture's right.
    shut[159, 1] = shut[145, 1] - 0.2
    shut[473, 0] += 4
    after = observe_driver(_frame(open_eyes), _track(shut), performer)
    eyes = condition_parts()["eyes"]
    assert after[eyes][0] < 0.2 * before[eyes][0]
    assert after[eyes][1] < 0.3
    assert after[eyes][6] > before[eyes][6] + 0.05
    assert after[eyes][4] == pytest.approx(before[eyes][4], abs=1e-3)


def test_a_frame_without_light_gives_finite_numbers() -> None:
    landmarks = plain_landmarks(SIZE)
    black = np.zeros((SIZE, SIZE, 3), np.uint8)
    condition = observe_driver(black, _track(landmarks), PerformerModel())
    assert np.isfinite(condition).all()
    pose = HeadPose(rotation=np.eye(3, dtype=np.float32), scale=0.0, translation=np.zeros(3))
    assert np.isfinite(head_from_frame(pose)).all()
