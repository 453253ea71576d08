"""The half-sized crop shows what the refiner was trained to see, wherever the face lies."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest

from mien.refiner_view import crop_from_frame, cut_crop, shrunk
from mien.refining.rough_crop import ROUGH_SIZE, plan_crop
from mien.types import F32Array, Patch, U8Array
from tests.pipeline.fakes import make_track

_SIZE = (720, 960)


@cache
def _picture() -> U8Array:
    """Smooth blotches of several sizes, as light and features are."""
    random = np.random.default_rng(7)
    whole = np.full((*_SIZE, 3), 120.0, np.float32)
    for cells in (4, 10, 24):
        blotches = random.normal(0, 25, (cells, cells, 3)).astype(np.float32)
        whole += cv2.resize(blotches, _SIZE[::-1], interpolation=cv2.INTER_CUBIC)
    return np.clip(whole, 0, 255).astype(np.uint8)


def _landmarks(centre: tuple[float, float], size: float, roll_deg: float = 0.0) -> F32Array:
    points = make_track(centre, size).landmarks
    turn = cv2.getRotationMatrix2D(centre, roll_deg, 1.0).astype(np.float32)
    points[:, :2] = points[:, :2] @ turn[:, :2].T + turn[:, 2]
    return points


@pytest.mark.parametrize("size", [45.0, 90.0, 160.0, 300.0, 430.0, 600.0])
@pytest.mark.parametrize("roll_deg", [0.0, 25.0])
def test_the_view_is_that_of_a_full_sized_crop(size: float, roll_deg: float) -> None:
    picture = _picture()
    landmarks = _landmarks((480.0, 360.0), size, roll_deg)
    wanted = shrunk(cut_crop(picture, crop_from_frame(landmarks)))
    got = shrunk(plan_crop(landmarks, _SIZE).cut(picture))
    # Two ways to average, each rounded twice.
    np.testing.assert_allclose(got.astype(float), wanted, atol=4)
    assert np.abs(got.astype(float) - wanted).mean() < 1
    assert wanted.std() > 8


@pytest.mark.parametrize(
    ("centre", "size"),
    [
        ((10.0, 350.0), 300.0),
        ((955.0, 715.0), 300.0),
        ((480.0, 360.0), 1500.0),
        ((-900.0, 0.0), 90),
    ],
)
def test_a_face_that_leaves_the_frame_repeats_its_border(
    centre: tuple[float, float], size: float
) -> None:
    flat = np.full((*_SIZE, 3), 77, np.uint8)
    crop = plan_crop(_landmarks(centre, size), _SIZE).cut(flat)
    assert crop.shape == (ROUGH_SIZE, ROUGH_SIZE, 3)
    assert (crop == 77).all()


def test_a_frame_smaller_than_one_pixel_of_the_crop_is_cut_all_the_same() -> None:
    crop = plan_crop(_landmarks((2.0, 1.0), 2000.0), (3, 5)).cut(np.full((3, 5, 3), 9, np.uint8))
    assert (crop == 9).all()


@pytest.mark.parametrize("corner", [(330, 200), (0, 0), (700, 500)])
def test_a_matte_is_cut_from_where_the_patch_lies(corner: tuple[int, int]) -> None:
    left, top = corner
    rows, columns = min(300, _SIZE[0] - top), min(260, _SIZE[1] - left)
    matte = np.ascontiguousarray(_picture()[:rows, :columns, 0])
    whole = np.zeros(_SIZE, np.uint8)
    whole[top : top + rows, left : left + columns] = matte
    plan = plan_crop(_landmarks((480.0, 360.0), 300.0, 10.0), _SIZE)
    patch = Patch(left=left, top=top, bgr=np.zeros((rows, columns, 3), np.uint8), matte=matte)
    np.testing.assert_array_equal(plan.cut_matte(patch), plan.cut(whole))
