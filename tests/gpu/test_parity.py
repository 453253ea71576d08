"""Every kernel gives what NumPy gives, on the CPU, on a GPU and from the CUDA sources here.

Whole numbers agree exactly everywhere. Where floats are rounded to code values the CPU and the
GPU agree exactly too (neither contracts a * b + c), and NumPy, which computes in doubles, within
the rounding that is named.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mien import _kernels
from tests.kernels import reference
from tests.kernels.test_raster import random_scene, scene

SIZES = [(1, 1), (1, 7), (5, 1), (17, 63), (67, 131)]
YUV_SIZES = [(1, 1), (2, 1), (3, 5), (16, 16), (17, 31), (34, 80), (65, 131)]


def random_bytes(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("left", "top"), [(2, 6), (4, 0)])
def test_blend_is_exact(backend: Any, size: tuple[int, int], left: int, top: int) -> None:
    height, width = size
    frame = reference.strided((height + 9, width + 4, 3), np.uint8, 4)
    frame[...] = random_bytes(0, height + 9, width + 4, 3)
    patch = reference.strided((*size, 3), np.uint8, 5, random_bytes(1, *size, 3))
    matte = reference.strided(size, np.uint8, 1, random_bytes(2, *size))
    matte[random_bytes(3, *size) < 90] = 0
    expected = reference.blend(frame, left, top, patch, matte)
    backend("blend", frame, left, top, patch, matte)
    assert np.array_equal(frame, expected)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("radius", "passes"), [(1, 3), (8, 1), (23, 2), (64, 1)])
def test_blur_is_exact(backend: Any, size: tuple[int, int], radius: int, passes: int) -> None:
    source = random_bytes(radius, *size)
    matte = reference.strided(size, np.uint8, 3, source)
    backend("blur_matte", matte, radius, passes)
    assert np.array_equal(matte, reference.blur(source, radius, passes))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("grid", [(1, 1), (1, 6), (7, 1), (13, 11), (40, 30)])
def test_light_agrees(backend: Any, size: tuple[int, int], grid: tuple[int, int]) -> None:
    rng = np.random.default_rng(7)
    source = reference.strided((*grid, 3), np.float32, 2, rng.uniform(0, 255, (*grid, 3)))
    target = rng.uniform(0, 255, (*grid, 3)).astype(np.float32)
    pixels = random_bytes(8, *size, 3)
    expected = reference.light_transfer(pixels, source, target, 0.5, 2.5)
    patch = reference.strided((*size, 3), np.uint8, 4, pixels)
    backend("light_transfer", patch, source, target, 0.5, 2.5)
    # Half a code value of rounding; single precision adds under 255 * 1e-6.
    assert np.abs(patch - expected).max() <= 0.5 + 3e-4
    cpu = pixels.copy()
    _kernels.light_transfer(cpu, source, target, 0.5, 2.5)
    assert np.array_equal(patch, cpu)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("radius", [0, 1, 5])
def test_points_agree(backend: Any, size: tuple[int, int], radius: int) -> None:
    frame = reference.strided((*size, 3), np.uint8, 3, random_bytes(0, *size, 3))
    xy = np.random.default_rng(1).uniform(-9, max(size) + 9, (150, 2)).astype(np.float32)
    xy[3] = np.nan
    out, cpu = np.empty((150, 3), np.float32), np.empty((150, 3), np.float32)
    backend("sample_points", frame, xy, out, radius)
    _kernels.sample_points(frame, xy, cpu, radius)
    assert np.array_equal(out, cpu)
    if radius == 0:
        places = np.nan_to_num(xy).astype(float)
        expected = reference.bilinear(frame, places[:, 0], places[:, 1])
        # Single precision, fractions of coordinates below 256.
        assert np.abs(out - expected).max() < 1e-3


def yuv_planes(height: int, width: int, pads: tuple[int, int, int]) -> tuple[Any, Any, Any]:
    half = ((height + 1) // 2, (width + 1) // 2)
    return (
        reference.strided((height, width), np.uint8, pads[0]),
        reference.strided(half, np.uint8, pads[1]),
        reference.strided(half, np.uint8, pads[2]),
    )


@pytest.mark.parametrize("size", YUV_SIZES)
@pytest.mark.parametrize("matrix", ["bt709", "bt601"])
@pytest.mark.parametrize("planar", [True, False])
def test_colours_agree_both_ways(
    backend: Any, size: tuple[int, int], matrix: str, planar: bool
) -> None:
    height, width = size
    pixels = reference.strided((*size, 3), np.uint8, 7, random_bytes(4, *size, 3))
    y, u, v = yuv_planes(height, width, (5, 1, 3))
    uv = reference.strided((*u.shape, 2), np.uint8, 3)
    chroma = (u, v) if planar else (uv,)
    form = "i420" if planar else "nv12"
    backend(f"bgr_to_{form}", pixels, y, *chroma, matrix)
    for plane, expected in zip(
        (y, *((u, v) if planar else (uv[..., 0], uv[..., 1]))),
        reference.bgr_to_yuv(pixels, matrix),
        strict=True,
    ):
        # Half a code value of rounding, 3/256 of whole-number weights.
        assert np.abs(plane - expected).max() <= 0.5 + 3 / 256 + 1e-6
    cpu_y, cpu_u, cpu_v = yuv_planes(height, width, (0, 0, 0))
    _kernels.bgr_to_i420(pixels, cpu_y, cpu_u, cpu_v, matrix)
    assert np.array_equal(y, cpu_y)
    assert np.array_equal(u if planar else uv[..., 0], cpu_u)
    assert np.array_equal(v if planar else uv[..., 1], cpu_v)

    back = reference.strided((*size, 3), np.uint8, 1)
    cpu_back = np.empty((*size, 3), np.uint8)
    backend(f"{form}_to_bgr", y, *chroma, back, matrix)
    _kernels.i420_to_bgr(cpu_y, cpu_u, cpu_v, cpu_back, matrix)
    assert np.array_equal(back, cpu_back)
    expected = reference.yuv_to_bgr(cpu_y, cpu_u, cpu_v, matrix)
    # Terms in 1/32 code value, up to three of them, and rounding.
    assert np.abs(back - expected).max() <= 0.5 + 3 / 32


def draw(backend: Any, values: dict[str, Any], size: tuple[int, int]) -> Any:
    bgr = reference.strided((*size, 3), np.uint8, 5)
    matte = reference.strided(size, np.uint8, 3)
    depth = reference.strided(size, np.float32, 1)
    backend("raster_face", **values, out_bgr=bgr, out_matte=matte, depth=depth)
    return bgr, matte, depth


@pytest.mark.parametrize(("yaw", "face"), [(0.0, 80.0), (-1.1, 95.0), (0.2, 150.0)])
def test_a_face_agrees(backend: Any, yaw: float, face: float) -> None:
    values = random_scene(np.random.default_rng(int(face)), yaw, face)
    size = (91, 97)
    drawn = draw(backend, values, size)
    cpu = [np.empty((*size, 3), np.uint8), np.empty(size, np.uint8), np.empty(size, np.float32)]
    _kernels.raster_face(**values, out_bgr=cpu[0], out_matte=cpu[1], depth=cpu[2])
    for one, other in zip(drawn, cpu, strict=True):
        assert np.array_equal(one, other)
    colour, _, depth = reference.raster_face(**values, size=size)
    covered = np.isfinite(depth)
    assert np.array_equal(drawn[2] < 1e38, covered)
    # Depths of the two nearest layers may tie within single precision at a silhouette.
    close = np.abs(drawn[2] - np.where(covered, depth, 0)) < 1e-3
    # Half a code value of rounding, and weights of 1/128 on slopes of up to 12 code values.
    assert np.abs(drawn[0] - colour)[covered & close].max() < 1.0


def test_a_second_face_finds_the_scratch_clean(backend: Any) -> None:
    first = random_scene(np.random.default_rng(1), 0.3, 120.0)
    second = random_scene(np.random.default_rng(2), -0.5, 60.0)
    draw(backend, first, (91, 97))
    again = draw(backend, second, (60, 97))
    cpu = [np.empty((60, 97, 3), np.uint8), np.empty((60, 97), np.uint8)]
    depth = np.empty((60, 97), np.float32)
    _kernels.raster_face(**second, out_bgr=cpu[0], out_matte=cpu[1], depth=depth)
    for one, other in zip(again, [*cpu, depth], strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e9, -1e9])
def test_vertices_out_of_this_world_drop_their_triangles(backend: Any, bad: float) -> None:
    corners = scene()["vertices"].copy()
    corners[1, 0] = bad
    _, matte, _ = draw(backend, scene(vertices=corners), (7, 9))
    half = scene(triangles=np.int32([[0, 2, 3]]))
    assert np.array_equal(matte, draw(backend, half, (7, 9))[1])


@pytest.mark.parametrize("size", [(1, 1), (9, 33), (40, 70)])
@pytest.mark.parametrize("radius", [0, 1, 3, 8])
def test_softening_and_blending_as_one_is_the_same(
    backend: Any, size: tuple[int, int], radius: int
) -> None:
    if backend.name == "cpu":
        pytest.skip("the CPU does it in two steps")
    frame = random_bytes(0, size[0] + 3, size[1] + 5, 3)
    patch, matte = random_bytes(1, *size, 3), random_bytes(2, *size)
    expected, soft = frame.copy(), matte.copy()
    _kernels.blur_matte(soft, radius, 1)
    _kernels.blend(expected, 5, 3, patch, soft)
    backend("feather_blend", frame, 5, 3, patch, matte, radius)
    assert np.array_equal(frame, expected)


def test_drawing_and_blending_as_one_is_the_same(backend: Any) -> None:
    if backend.name == "cpu":
        pytest.skip("the CPU does it in two steps")
    values = random_scene(np.random.default_rng(5), 0.4, 100.0)
    bgr, matte = np.empty((91, 97, 3), np.uint8), np.empty((91, 97), np.uint8)
    _kernels.raster_face(
        **values, out_bgr=bgr, out_matte=matte, depth=np.empty((91, 97), np.float32)
    )
    expected = values["frame"].copy()
    _kernels.blend(expected, 3, 5, bgr, matte)
    out = values["frame"].copy()
    backend("raster_blend", **values, size=(91, 97), out=out)
    assert np.array_equal(out, expected)


@pytest.mark.parametrize("planar", [True, False])
def test_a_crop_agrees_with_numpy(backend: Any, planar: bool) -> None:
    if backend.name == "cpu":
        pytest.skip("the CPU takes its crops with OpenCV")
    frame = reference.strided((60, 75, 3), np.uint8, 3, random_bytes(9, 60, 75, 3))
    turn = np.float32([[0.8, -0.6, 20.3], [0.6, 0.8, -5.1]])  # partly outside
    out = np.zeros((3, 48, 50) if planar else (48, 50, 3), np.float32)
    backend("warp_crop", frame, turn.tolist(), out, 1 / 255)
    j, i = np.mgrid[:48, :50].astype(np.float64)
    x, y = (row[0] * i + row[1] * j + row[2] for row in turn.astype(np.float64))
    # Places in whole 1/128 pixels, as the kernel's.
    expected = reference.bilinear(frame, np.rint(x * 128) / 128, np.rint(y * 128) / 128)[..., ::-1]
    got = out.transpose(1, 2, 0) if planar else out
    # A place halfway between two steps may go either way: one step of 255 / 128 code values.
    assert np.abs(got * 255 - expected).max() < 2 * 255 / 128 + 1e-3
    assert np.abs(got * 255 - expected).mean() < 0.01
