"""Where on the resting face the generator's input is sampled."""

from __future__ import annotations

import numpy as np

from mien.face_mesh import LEFT_EYE, face_mesh
from mien.live_view import (
    CONDITION_SIZE,
    HEAD_CENTRE_CM,
    HEAD_SPAN_CM,
    condition_parts,
    condition_points,
)
from mien.live_warp import GRID_RATE, GRID_SIZE, input_grid
from mien.types import F32Array

STILL = np.eye(3, dtype=np.float32)
LOWER_LIP = 17


def _condition(yaw_deg: float = 0.0, moved: dict[int, tuple[float, ...]] | None = None) -> F32Array:
    """A face that is turned, some of whose points are away from rest, centimetres."""
    condition = np.zeros(CONDITION_SIZE, np.float32)
    yaw = np.radians(yaw_deg)
    condition[condition_parts()["pose"]] = (np.cos(yaw), 0, -np.sin(yaw), 0, 1, 0)
    motion = np.zeros((len(condition_points()), 3), np.float32)
    for point, away in (moved or {}).items():
        motion[condition_points().tolist().index(point)] = away
    condition[condition_parts()["expression"]] = motion.ravel()
    return condition


def _own_places() -> F32Array:
    axis = (np.arange(GRID_SIZE) - (GRID_SIZE - 1) / 2) / GRID_RATE
    return np.stack(np.meshgrid(axis, axis), axis=-1).astype(np.float32)


def _nearest(grid: F32Array, point: int) -> tuple[int, int]:
    """Row and column of the sample nearest to a vertex at rest."""
    x, y, _ = (face_mesh().vertices[point] - HEAD_CENTRE_CM) / HEAD_SPAN_CM
    away = np.hypot(grid[..., 0] - x, grid[..., 1] + y)
    row, column = np.unravel_index(away.argmin(), away.shape)
    return int(row), int(column)


def test_a_face_at_rest_is_sampled_where_the_pixels_are() -> None:
    np.testing.assert_allclose(input_grid(_condition(), STILL), _own_places(), atol=1e-5)


def test_the_crops_place_counts_before_the_face() -> None:
    crop = np.array([[0.9, -0.1, 0.03], [0.1, 0.9, -0.02], [0, 0, 1]], np.float32)
    wanted = _own_places() @ crop[:2, :2].T + crop[:2, 2]
    np.testing.assert_allclose(input_grid(_condition(), crop), wanted, atol=1e-5)


def test_a_lowered_lip_is_looked_up_below_and_the_eyes_stay() -> None:
    lips = {point: (0.0, -1.0, 0.0) for point in (17, 84, 314, 181, 405)}
    still, open_mouth = input_grid(_condition(), STILL), input_grid(_condition(moved=lips), STILL)
    # Where the lip is now, a centimetre lower, what is looked up is nearer to the resting face's
    # lip. Points about it that stayed hold it back.
    row, column = _nearest(_own_places() - [0, 1 / HEAD_SPAN_CM], LOWER_LIP)
    moved = (open_mouth - still)[row, column] * HEAD_SPAN_CM
    assert -1.1 < moved[1] < -0.3
    assert abs(moved[0]) < 0.2
    eye = _nearest(_own_places(), LEFT_EYE[4])
    assert np.abs((open_mouth - still)[eye] * HEAD_SPAN_CM).max() < 0.15


def test_a_turned_head_is_looked_up_on_its_front() -> None:
    turned = input_grid(_condition(yaw_deg=25.0), STILL)
    turn = np.radians(25.0)
    for point in (4, 33, 263, 61, 291, 152):
        x, y, z = face_mesh().vertices[point] - HEAD_CENTRE_CM
        there = np.array([np.cos(turn) * x + np.sin(turn) * z, -y]) / HEAD_SPAN_CM
        index = there * GRID_RATE + (GRID_SIZE - 1) / 2
        column, row = np.floor(index).astype(int)
        part_x, part_y = index - (column, row)
        cell = turned[row : row + 2, column : column + 2]
        seen = np.array([1 - part_y, part_y]) @ np.tensordot(
            np.array([1 - part_x, part_x]), cell, axes=(0, 1)
        )
        assert np.hypot(*(seen * HEAD_SPAN_CM - [x, -y])) < 0.9, point


def test_nothing_of_it_is_far_from_the_face_however_wild_the_landmarks() -> None:
    wild = _condition()
    wild[condition_parts()["expression"]] = np.random.default_rng(0).normal(0, 5, 411)
    wild[condition_parts()["pose"]] = 0.0
    assert np.isfinite(input_grid(wild, STILL)).all()
