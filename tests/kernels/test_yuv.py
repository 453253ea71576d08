"""Colour conversion between BGR and 4:2:0, BT.709 and BT.601, limited range."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from mien import _kernels

from . import reference

SIZES = [(1, 1), (1, 2), (2, 1), (3, 5), (16, 16), (17, 31), (65, 131), (130, 200)]
MATRICES = ["bt709", "bt601"]


def planes(height: int, width: int) -> tuple[Any, Any, Any]:
    half = ((height + 1) // 2, (width + 1) // 2)
    return (
        reference.strided((height, width), np.uint8, 5),
        reference.strided(half, np.uint8, 1),
        reference.strided(half, np.uint8, 3),
    )


def picture(seed: int, height: int, width: int) -> Any:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return reference.strided((height, width, 3), np.uint8, 7, values)


# The primaries at 8 bits, from the standards' equations.
KNOWN = [
    ("bt709", (0, 0, 0), (16, 128, 128)),
    ("bt709", (255, 255, 255), (235, 128, 128)),
    ("bt709", (0, 0, 255), (63, 102, 240)),
    ("bt709", (0, 255, 0), (173, 42, 26)),
    ("bt709", (255, 0, 0), (32, 240, 118)),
    ("bt601", (0, 0, 255), (81, 90, 240)),
    ("bt601", (0, 255, 0), (145, 54, 34)),
    ("bt601", (255, 0, 0), (41, 240, 110)),
]


@pytest.mark.parametrize(("matrix", "bgr", "yuv"), KNOWN)
def test_primaries_have_their_published_codes(
    matrix: str, bgr: tuple[int, int, int], yuv: tuple[int, int, int]
) -> None:
    y, u, v = planes(2, 2)
    _kernels.bgr_to_i420(np.full((2, 2, 3), bgr, np.uint8), y, u, v, matrix)
    assert (y == yuv[0]).all()
    assert (u.item(), v.item()) == yuv[1:]


@pytest.mark.parametrize("matrix", MATRICES)
def test_greys_stay_grey_both_ways(matrix: str) -> None:
    greys = np.repeat(np.arange(256, dtype=np.uint8), 4).reshape(256, 2, 2)
    pixels = np.repeat(np.concatenate(list(greys))[..., None], 3, axis=2)
    y, u, v = planes(512, 2)
    _kernels.bgr_to_i420(pixels, y, u, v, matrix)
    assert (u == 128).all()
    assert (v == 128).all()
    back = np.empty_like(pixels)
    _kernels.i420_to_bgr(y, u, v, back, matrix)
    # 219 codes for 255 values: at most one code off.
    assert np.abs(back.astype(int) - pixels).max() <= 1
    assert (back[..., 0] == back[..., 2]).all()
    assert (back[..., 0] == back[..., 1]).all()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("threads", [1, 2])
def test_to_yuv_agrees_with_numpy(size: tuple[int, int], matrix: str, threads: int) -> None:
    bgr = picture(1, *size)
    out = planes(*size)
    _kernels.bgr_to_i420(bgr, *out, matrix, threads)
    # Half a code value of rounding; each of three products is low by less than 1/256.
    for plane, expected in zip(out, reference.bgr_to_yuv(bgr, matrix), strict=True):
        assert np.abs(plane - expected).max() <= 0.5 + 3 / 256
    y, uv = np.empty(size, np.uint8), np.empty((*out[1].shape, 2), np.uint8)
    _kernels.bgr_to_nv12(bgr, y, uv, matrix, threads)
    assert np.array_equal(y, out[0])
    assert np.array_equal(uv[..., 0], out[1])
    assert np.array_equal(uv[..., 1], out[2])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("threads", [1, 2])
def test_to_bgr_agrees_with_numpy(size: tuple[int, int], matrix: str, threads: int) -> None:
    y, u, v = planes(*size)
    for seed, plane in enumerate((y, u, v)):
        plane[...] = np.random.default_rng(seed).integers(0, 256, plane.shape)
    bgr = reference.strided((*size, 3), np.uint8, 2)
    _kernels.i420_to_bgr(y, u, v, bgr, matrix, threads)
    # Half a code value of rounding; each of three terms is low by less than 1/32, less the bias;
    # factors of 13 bits add 0.02.
    assert np.abs(bgr - reference.yuv_to_bgr(y, u, v, matrix)).max() <= 0.6
    again = np.empty((*size, 3), np.uint8)
    _kernels.nv12_to_bgr(y, np.stack([u, v], axis=-1), again, matrix, threads)
    assert np.array_equal(again, bgr)


def test_bt601_agrees_with_opencv() -> None:
    bgr = np.ascontiguousarray(picture(2, 64, 96))
    packed = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420)
    y, u, v = planes(64, 96)
    _kernels.bgr_to_i420(bgr, y, u, v, "bt601")
    assert np.abs(packed[:64].astype(int) - y).max() <= 1
    # OpenCV takes the chroma of the first pixel of four, so compare where all four are alike.
    flat = np.repeat(np.repeat(bgr[::2, ::2], 2, 0), 2, 1)
    packed = cv2.cvtColor(flat, cv2.COLOR_BGR2YUV_I420)
    _kernels.bgr_to_i420(flat, y, u, v, "bt601")
    assert np.abs(packed[64:80].reshape(32, 48).astype(int) - u).max() <= 1
    assert np.abs(packed[80:].reshape(32, 48).astype(int) - v).max() <= 1


@pytest.mark.parametrize("matrix", MATRICES)
def test_there_and_back_is_close(matrix: str) -> None:
    flat = np.repeat(np.repeat(picture(3, 33, 41), 2, 0), 2, 1)
    y, u, v = planes(66, 82)
    _kernels.bgr_to_i420(flat, y, u, v, matrix)
    back = np.empty_like(flat)
    _kernels.i420_to_bgr(y, u, v, back, matrix)
    # Half a code of luma and of chroma, times 255/219 and up to 2.11, plus rounding.
    assert np.abs(back.astype(int) - flat).max() <= 3


def test_wrong_planes_and_matrices_are_named() -> None:
    bgr = np.zeros((5, 7, 3), np.uint8)
    y, u, v = planes(5, 7)
    with pytest.raises(ValueError, match="expected matrix 'bt709' or 'bt601', got 'bt2020'"):
        _kernels.bgr_to_i420(bgr, y, u, v, "bt2020")
    with pytest.raises(ValueError, match=r"expected u \(3, 4\) uint8, got \(2, 3\) uint8"):
        _kernels.bgr_to_i420(bgr, y, u[:2, :3], v)
