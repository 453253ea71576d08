"""The pose is the similarity that was applied."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.face_mesh import face_mesh
from mien.perception import FaceTracker, estimate_pose
from mien.types import F32Array
from tests.perception.stage import astronaut


def rotation(yaw_deg: float, pitch_deg: float, roll_deg: float) -> F32Array:
    """Roll after pitch after yaw, in view axes, with the signs of HeadPose."""
    y, p, r = np.deg2rad([yaw_deg, -pitch_deg, roll_deg])
    about_y = [[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]]
    about_x = [[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]]
    about_z = [[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]]
    return (np.array(about_z) @ np.array(about_x) @ np.array(about_y)).astype(np.float32)


def posed(turn: F32Array, scale: float, translation: F32Array) -> F32Array:
    """(478, 3) landmarks of the canonical face in a pose, irises at the origin."""
    view = scale * face_mesh().vertices @ turn.T + translation
    points = np.zeros((478, 3), np.float32)
    points[:468] = view * [1, -1, -1]
    return points


@given(
    yaw=st.floats(-80, 80),
    pitch=st.floats(-60, 60),
    roll=st.floats(-170, 170),
    scale=st.floats(0.5, 80),
    x=st.floats(-100, 4000),
)
@settings(max_examples=60, deadline=None)
def test_a_known_pose_is_recovered(
    yaw: float, pitch: float, roll: float, scale: float, x: float
) -> None:
    turn = rotation(yaw, pitch, roll)
    shift = np.array([x, -360, 12], np.float32)
    pose = estimate_pose(posed(turn, scale, shift))
    # float32 landmarks of up to 4,000 px carry 2.4e-4 px of rounding.
    np.testing.assert_allclose(pose.rotation, turn, atol=2e-3 / min(scale, 1.0))
    assert pose.scale == pytest.approx(scale, rel=2e-3)
    np.testing.assert_allclose(pose.translation, shift, atol=5e-3)
    assert pose.rotation.dtype == np.float32
    assert np.linalg.det(pose.rotation) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize(("yaw", "pitch", "roll"), [(30, 0, 0), (0, 20, 0), (0, 0, 25)])
def test_single_turns_read_back_in_degrees(yaw: float, pitch: float, roll: float) -> None:
    pose = estimate_pose(posed(rotation(yaw, pitch, roll), 20.0, np.zeros(3, np.float32)))
    assert (pose.yaw_deg, pose.pitch_deg, pose.roll_deg) == pytest.approx(
        (yaw, pitch, roll), abs=0.01
    )


def test_points_that_move_with_expression_do_not_move_the_pose() -> None:
    points = posed(np.eye(3, dtype=np.float32), 20.0, np.zeros(3, np.float32))
    moved = points.copy()
    moved[[13, 14, 17, 0, 61, 291]] += [0, 30, 0]
    np.testing.assert_array_equal(estimate_pose(points).rotation, estimate_pose(moved).rotation)


def test_landmarks_that_all_coincide_give_a_pose_without_size() -> None:
    pose = estimate_pose(np.full((478, 3), 7.0, np.float32))
    assert pose.scale == 0.0
    np.testing.assert_array_equal(pose.rotation, np.eye(3))


def test_turning_the_picture_rolls_the_head(finder: FaceTracker) -> None:
    image = astronaut()
    upright = finder.find(image)[0].pose.roll_deg
    turned = finder.find(np.ascontiguousarray(np.rot90(image)))[0].pose.roll_deg
    assert turned - upright == pytest.approx(90.0, abs=1.0)
