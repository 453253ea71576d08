"""The crop is upright and tight, undoes itself, and its maps lie on the face."""

from __future__ import annotations

import numpy as np
import pytest

from mien.face_mesh import LEFT_EYE, RIGHT_EYE
from mien.refiner_view import (
    CROP_SIZE,
    MAP_CHANNELS,
    crop_from_frame,
    crop_landmarks,
    cut_crop,
    draw_maps,
    frame_from_crop,
)

from .conftest import plain_landmarks


@pytest.mark.parametrize("roll_deg", [-50.0, 0.0, 25.0, 170.0])
def test_the_crop_is_upright_and_holds_the_face(roll_deg: float) -> None:
    landmarks = plain_landmarks(400.0, roll_deg)
    inside = crop_landmarks(landmarks, crop_from_frame(landmarks))
    left = inside[list(LEFT_EYE), :2].mean(axis=0)
    right = inside[list(RIGHT_EYE), :2].mean(axis=0)
    # Exact but for float32: the eyes are level, the person's left one on the right.
    assert abs(left[1] - right[1]) < 0.01
    assert left[0] > right[0]
    assert inside[:, :2].min() > 0.05 * CROP_SIZE
    assert inside[:, :2].max() < 0.95 * CROP_SIZE
    assert np.ptp(inside[:, 1]) > 0.7 * CROP_SIZE


def test_the_way_back_undoes_the_way_in() -> None:
    landmarks = plain_landmarks(300.0, 20.0)
    forth = crop_from_frame(landmarks)
    back = frame_from_crop(forth)
    inside = crop_landmarks(landmarks, forth)[:, :2]
    # 0.01 px: float32 at coordinates of some hundreds.
    np.testing.assert_allclose(inside @ back[:, :2].T + back[:, 2], landmarks[:, :2], atol=0.01)


@pytest.mark.parametrize("size", [150.0, 420.0, 900.0, 2000.0])
def test_what_is_cut_lies_where_the_transform_says(size: float) -> None:
    """Checked with a ramp: the value of each crop pixel tells where it came from."""
    landmarks = plain_landmarks(size)
    transform = crop_from_frame(landmarks)
    columns = np.linspace(0, 255, int(size) + 1).astype(np.float32)
    picture = np.round(np.tile(columns, (int(size) + 1, 1))).astype(np.uint8)
    crop = cut_crop(picture, transform).astype(np.float32)
    back = frame_from_crop(transform)
    middle = CROP_SIZE // 2
    where = back[0, 0] * np.arange(CROP_SIZE) + back[0, 1] * middle + back[0, 2]
    seen = (where > 2) & (where < size - 2)
    # 1 code value of rounding twice; half a source pixel of a coarse ramp besides.
    np.testing.assert_allclose(crop[middle, seen], where[seen] * 255 / size, atol=1.1 + 127 / size)


def test_a_face_that_leaves_the_picture_is_cut_all_the_same() -> None:
    landmarks = plain_landmarks(200.0)
    landmarks[:, 0] -= 150
    crop = cut_crop(np.full((90, 70, 3), 7, np.uint8), crop_from_frame(landmarks))
    assert crop.shape == (CROP_SIZE, CROP_SIZE, 3)
    assert (crop == 7).all()


def test_maps_lie_on_the_face() -> None:
    landmarks = plain_landmarks(200.0)
    inside = crop_landmarks(landmarks, crop_from_frame(landmarks))
    maps = draw_maps(inside)
    assert maps.shape == (CROP_SIZE, CROP_SIZE, MAP_CHANNELS)
    assert not maps[:8].any()
    rows, columns = np.nonzero(maps[..., 3] > 200)
    irises = inside[[468, 473], :2]
    away = np.linalg.norm(np.stack([columns, rows], 1)[:, None] - irises, axis=2).min(axis=1)
    assert 0 < len(rows) < 0.02 * CROP_SIZE**2
    assert away.max() < 0.06 * CROP_SIZE
    middle = maps[CROP_SIZE // 2]
    on_face = middle[:, :3].any(axis=1)
    # Canonical x grows from left to right across the face.
    assert (np.diff(middle[on_face, 0].astype(int)) >= -1).all()


def test_wild_landmarks_do_not_harm() -> None:
    landmarks = plain_landmarks()
    landmarks[100] = [1e7, -1e7, 0]
    assert draw_maps(landmarks, 64).shape == (64, 64, MAP_CHANNELS)
