"""Blend, feather, light transfer and point sampling."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien import _kernels

from . import reference

SIZES = [(1, 1), (1, 7), (5, 1), (17, 63), (64, 64), (67, 131), (129, 200)]


def random_bytes(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_blend_rounds_every_mix_exactly() -> None:
    # All 2^24 mixes would take long; every matte meets every pair of a spread of values.
    values = np.uint8([0, 1, 2, 63, 127, 128, 129, 200, 254, 255])
    under, over, matte = np.meshgrid(values, values, np.arange(256), indexing="ij")
    under, over, matte = (a.reshape(-1, 1).astype(np.uint8) for a in (under, over, matte))
    frame = np.repeat(under[..., None], 3, axis=2)
    patch = np.repeat(over[..., None], 3, axis=2)
    expected = reference.blend(frame, 0, 0, patch, matte)
    _kernels.blend(frame, 0, 0, patch, matte)
    assert np.array_equal(frame, expected)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("threads", [1, 3])
def test_blend_agrees_with_numpy_on_views(size: tuple[int, int], threads: int) -> None:
    height, width = size
    frame = reference.strided((height + 9, width + 4, 3), np.uint8, 3)
    frame[...] = random_bytes(0, height + 9, width + 4, 3)
    patch = reference.strided((*size, 3), np.uint8, 5, random_bytes(1, *size, 3))
    matte = reference.strided(size, np.uint8, 1, random_bytes(2, *size))
    matte[random_bytes(3, *size) < 90] = 0
    expected = reference.blend(frame, 2, 6, patch, matte)
    surroundings = np.asarray(frame.base).copy()
    _kernels.blend(frame, 2, 6, patch, matte, threads)
    assert np.array_equal(frame, expected)
    surroundings[:, : width + 4] = expected
    assert np.array_equal(np.asarray(frame.base), surroundings), "wrote outside its view"


def test_blend_extremes_are_identities() -> None:
    frame, patch = random_bytes(0, 30, 40, 3), random_bytes(1, 30, 40, 3)
    kept = frame.copy()
    _kernels.blend(frame, 0, 0, patch, np.zeros((30, 40), np.uint8))
    assert np.array_equal(frame, kept)
    _kernels.blend(frame, 0, 0, patch, np.full((30, 40), 255, np.uint8))
    assert np.array_equal(frame, patch)


@pytest.mark.parametrize("place", [(-1, 0), (0, -1), (1, 0), (0, 1), (2**31 - 1, 0)])
def test_blend_refuses_a_patch_outside_the_frame(place: tuple[int, int]) -> None:
    frame = np.zeros((4, 5, 3), np.uint8)
    with pytest.raises(ValueError, match="inside the frame of 4 x 5"):
        _kernels.blend(frame, *place, np.zeros((4, 5, 3), np.uint8), np.zeros((4, 5), np.uint8))


def test_read_only_pictures_are_not_written() -> None:
    frame = np.zeros((4, 5, 3), np.uint8)
    frame.flags.writeable = False
    with pytest.raises(TypeError):
        _kernels.blend(frame, 0, 0, np.zeros((4, 5, 3), np.uint8), np.zeros((4, 5), np.uint8))


def test_blur_of_a_dot_is_its_window() -> None:
    matte = np.zeros((7, 7), np.uint8)
    matte[3, 3] = 90
    _kernels.blur_matte(matte, 1, passes=1)
    expected = np.zeros((7, 7), np.uint8)
    expected[2:5, 2:5] = 10
    assert np.array_equal(matte, expected)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("radius", "passes"), [(1, 3), (4, 2), (8, 1), (9, 1), (23, 2), (64, 1)])
def test_blur_agrees_with_numpy(size: tuple[int, int], radius: int, passes: int) -> None:
    source = random_bytes(radius, *size)
    expected = reference.blur(source, radius, passes)
    for threads in (1, 2):
        matte = reference.strided(size, np.uint8, 3, source)
        _kernels.blur_matte(matte, radius, passes, threads)
        assert np.array_equal(matte, expected)


@settings(max_examples=30, deadline=None)
@given(level=st.integers(0, 255), radius=st.integers(0, 64), passes=st.integers(1, 8))
def test_blur_keeps_a_flat_matte(level: int, radius: int, passes: int) -> None:
    matte = np.full((13, 21), level, np.uint8)
    _kernels.blur_matte(matte, radius, passes)
    assert (matte == level).all()


def test_blur_commutes_with_mirror_and_transpose() -> None:
    matte = random_bytes(5, 40, 33)
    straight = matte.copy()
    _kernels.blur_matte(straight, 3)
    mirrored = np.ascontiguousarray(matte[:, ::-1])
    _kernels.blur_matte(mirrored, 3)
    turned = np.ascontiguousarray(matte.T)
    _kernels.blur_matte(turned, 3)
    assert np.array_equal(mirrored[:, ::-1], straight)
    assert np.array_equal(turned.T, straight)


@pytest.mark.parametrize(("radius", "passes"), [(-1, 1), (65, 1), (3, 0), (3, 9)])
def test_blur_names_what_is_out_of_range(radius: int, passes: int) -> None:
    with pytest.raises(ValueError, match=r"expected (radius 0\.\.64|passes 1\.\.8), got"):
        _kernels.blur_matte(np.zeros((3, 3), np.uint8), radius, passes)


def test_light_of_one_node_is_one_gain() -> None:
    patch = np.full((3, 5, 3), 100, np.uint8)
    low = np.float32([[[99, 49, 9]]])
    high = np.float32([[[149, 24, 99]]])
    _kernels.light_transfer(patch, low, high, 0.4, 2.0)
    assert np.array_equal(patch, np.broadcast_to(np.uint8([150, 50, 200]), (3, 5, 3)))


def test_equal_light_changes_nothing() -> None:
    patch = random_bytes(0, 33, 47, 3)
    light = np.random.default_rng(1).uniform(0, 255, (5, 4, 3)).astype(np.float32)
    kept = patch.copy()
    _kernels.light_transfer(patch, light, light)
    assert np.array_equal(patch, kept)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("grid", [(1, 1), (1, 6), (7, 1), (2, 2), (13, 11)])
def test_light_agrees_with_numpy(size: tuple[int, int], grid: tuple[int, int]) -> None:
    rng = np.random.default_rng(7)
    source = reference.strided((*grid, 3), np.float32, 2, rng.uniform(0, 255, (*grid, 3)))
    target = rng.uniform(0, 255, (*grid, 3)).astype(np.float32)
    pixels = random_bytes(8, *size, 3)
    expected = reference.light_transfer(pixels, source, target, 0.5, 2.5)
    for threads in (1, 2):
        patch = reference.strided((*size, 3), np.uint8, 4, pixels)
        _kernels.light_transfer(patch, source, target, 0.5, 2.5, threads)
        # Half a code value of rounding; single precision adds under 255 * 1e-6.
        assert np.abs(patch - expected).max() <= 0.5 + 3e-4


@pytest.mark.parametrize(("low", "high"), [(2.0, 1.0), (-1.0, 1.0), (float("nan"), 1.0)])
def test_light_refuses_bounds_that_cross(low: float, high: float) -> None:
    light = np.ones((2, 2, 3), np.float32)
    with pytest.raises(ValueError, match="0 <= low <= high"):
        _kernels.light_transfer(np.zeros((4, 4, 3), np.uint8), light, light, low, high)


def test_points_between_pixels_mix_them() -> None:
    frame = np.zeros((2, 2, 3), np.uint8)
    frame[0, 1] = 100
    frame[1, 0] = 40
    out = np.empty((3, 3), np.float32)
    _kernels.sample_points(frame, np.float32([[0.25, 0], [0.5, 0.5], [1, 0]]), out)
    assert np.array_equal(out[:, 0], [25, 35, 100])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("radius", [0, 1, 5])
def test_points_agree_with_numpy(size: tuple[int, int], radius: int) -> None:
    frame = reference.strided((*size, 3), np.uint8, 3, random_bytes(0, *size, 3))
    xy = np.random.default_rng(1).uniform(-9, max(size) + 9, (50, 2)).astype(np.float32)
    out = np.empty((50, 3), np.float32)
    _kernels.sample_points(frame, xy, out, radius)
    if radius == 0:
        expected = reference.bilinear(frame, xy[:, 0].astype(float), xy[:, 1].astype(float))
    else:
        expected = np.stack([reference.box_mean(frame, x, y, radius) for x, y in xy])
    # Single precision, fractions of coordinates below 256.
    assert np.abs(out - expected).max() < 1e-3


def test_points_that_are_no_numbers_read_the_first_pixel() -> None:
    frame = random_bytes(0, 4, 4, 3)
    out = np.empty((1, 3), np.float32)
    for radius in (0, 1):
        _kernels.sample_points(frame, np.full((1, 2), np.nan, np.float32), out, radius)
        assert np.isfinite(out).all()


def test_the_interpreter_runs_on_while_a_kernel_works() -> None:
    """A kernel that kept the GIL would let the counting thread do nothing."""
    matte = np.zeros((3000, 3000), np.uint8)
    counted = 0
    done = threading.Event()

    def work() -> None:
        _kernels.blur_matte(matte, 64, 8)
        done.set()

    worker = threading.Thread(target=work)
    worker.start()
    while not done.is_set():
        counted += 1
        done.wait(0.001)
    worker.join()
    assert counted > 10
