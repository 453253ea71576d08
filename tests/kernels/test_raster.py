"""The face rasteriser: coverage, depth, texture, light, the performer's own pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien import _kernels
from mien.face_mesh import face_mesh

from . import reference

SQUARE_UV = np.float32([[0, 0], [1, 0], [1, 1], [0, 1]])
SQUARE = np.int32([[0, 1, 2], [0, 2, 3]])


def scene(**changes: Any) -> dict[str, Any]:
    """A square of 4 x 4 pixels, from (2, 1) to (6, 5), over a black frame."""
    corners = np.float32([[1.5, 0.5, 0], [5.5, 0.5, 0], [5.5, 4.5, 0], [1.5, 4.5, 0]])
    texture = np.zeros((4, 4, 4), np.uint8)
    texture[..., :3] = (10, 20, 30)
    values: dict[str, Any] = {
        "texture": texture,
        "aux": np.full((4, 4), 255, np.uint8),
        "uv": SQUARE_UV,
        "vertices": corners,
        "source_xy": np.ascontiguousarray(corners[:, :2]),
        "gain": np.ones((4, 3), np.float32),
        "offset": np.zeros((4, 3), np.float32),
        "triangles": SQUARE,
        "frame": np.zeros((7, 9, 3), np.uint8),
        "left": 0,
        "top": 0,
    }
    values.update(changes)
    return values


def draw(values: dict[str, Any], size: tuple[int, int] | None = None, threads: int = 1) -> Any:
    height, width = size or values["frame"].shape[:2]
    bgr = reference.strided((height, width, 3), np.uint8, 5)
    matte = reference.strided((height, width), np.uint8, 3)
    depth = reference.strided((height, width), np.float32, 1)
    _kernels.raster_face(**values, out_bgr=bgr, out_matte=matte, depth=depth, threads=threads)
    return bgr, matte, depth


def test_a_square_covers_exactly_its_pixels() -> None:
    bgr, matte, depth = draw(scene())
    expected = np.zeros((7, 9), np.uint8)
    expected[1:5, 2:6] = 255
    assert np.array_equal(matte, expected)
    assert np.array_equal(bgr[1:5, 2:6], np.broadcast_to((10, 20, 30), (4, 4, 3)))
    assert not bgr[expected == 0].any()
    assert (depth[expected == 0] > 1e38).all()


def test_pixels_on_a_shared_edge_belong_to_one_triangle() -> None:
    # Corners on pixel centres: top and left edges are in, bottom and right ones are out, and
    # the diagonal, which runs through centres, is drawn once (a second draw would be nearer).
    corners = np.float32([[2, 1, 0], [6, 1, 0], [6, 5, 0], [2, 5, 0]])
    expected = np.zeros((7, 9), np.uint8)
    expected[1:5, 2:6] = 255
    both = draw(scene(vertices=corners))[1]
    first = draw(scene(vertices=corners, triangles=SQUARE[:1]))[1]
    second = draw(scene(vertices=corners, triangles=SQUARE[1:]))[1]
    assert np.array_equal(both, expected)
    assert not ((first > 0) & (second > 0)).any()
    assert np.array_equal(first | second, expected)


def test_texels_land_on_their_pixels() -> None:
    texture = np.zeros((4, 4, 4), np.uint8)
    texture[..., :3] = np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5
    aux = np.arange(16, dtype=np.uint8).reshape(4, 4) * 16
    bgr, matte, _ = draw(scene(texture=texture, aux=aux))
    assert np.array_equal(bgr[1:5, 2:6], texture[..., :3])
    assert np.array_equal(matte[1:5, 2:6], aux)


def test_gain_and_offset_light_the_texture_and_clip() -> None:
    gain = np.float32([[2, 0.5, 100]] * 4)
    offset = np.float32([[5, -20, 0]] * 4)
    bgr, _, _ = draw(scene(gain=gain, offset=offset))
    assert np.array_equal(bgr[1:5, 2:6], np.broadcast_to((25, 0, 255), (4, 4, 3)))


def test_the_performers_own_pixels_show_where_the_texture_says_so() -> None:
    rng = np.random.default_rng(3)
    frame = rng.integers(0, 256, (7, 9, 3), dtype=np.uint8)
    texture = np.zeros((4, 4, 4), np.uint8)
    texture[:2, :, 3] = 255
    vertices = scene()["vertices"]
    source = np.ascontiguousarray(vertices[:, :2] + np.float32([2, 1]))
    bgr, _, _ = draw(scene(texture=texture, frame=frame, source_xy=source))
    assert np.array_equal(bgr[1:3, 2:6], frame[2:4, 4:8])
    assert not bgr[3:5, 2:6].any()


def test_the_nearer_triangle_wins_whatever_the_order() -> None:
    corners = scene()["vertices"]
    near = corners + np.float32([1, 0, -3])
    both = np.concatenate([corners, near])
    faces = np.concatenate([SQUARE, SQUARE + 4]).astype(np.int32)
    gain = np.concatenate([np.ones((4, 3)), np.full((4, 3), 2)]).astype(np.float32)
    values = {
        "vertices": both,
        "uv": np.tile(SQUARE_UV, (2, 1)),
        "source_xy": np.zeros((8, 2), np.float32),
        "gain": gain,
        "offset": np.zeros((8, 3), np.float32),
    }
    forward = draw(scene(**values, triangles=faces))
    backward = draw(scene(**values, triangles=faces[::-1].copy()))
    for one, other in zip(forward, backward, strict=True):
        assert np.array_equal(one, other)
    assert (forward[0][1:5, 2, 0] == 10).all()
    assert (forward[0][1:5, 3:7, 0] == 20).all()
    assert (forward[2][1:5, 3:7] == -3).all()


def test_triangles_that_face_away_are_left_out() -> None:
    corners = scene()["vertices"].copy()
    corners[:, 0] = 8 - corners[:, 0]
    _, matte, _ = draw(scene(vertices=corners))
    assert not matte.any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e9, -1e9])
def test_vertices_out_of_this_world_drop_their_triangles(bad: float) -> None:
    corners = scene()["vertices"].copy()
    corners[1, 0] = bad
    _, matte, _ = draw(scene(vertices=corners))
    half = draw(scene(triangles=SQUARE[1:]))[1]
    assert np.array_equal(matte, half)


@pytest.mark.parametrize("name", ["uv", "source_xy", "gain", "offset"])
def test_attributes_that_are_no_numbers_do_no_harm(name: str) -> None:
    values = scene(texture=np.full((4, 4, 4), 128, np.uint8))
    values[name] = np.full_like(values[name], np.nan)
    draw(values)


def random_scene(rng: np.random.Generator, yaw: float, size: float) -> dict[str, Any]:
    """The canonical face, turned, over smooth pictures of odd sizes."""
    mesh = face_mesh()
    cos, sin = np.cos(yaw), np.sin(yaw)
    turned = mesh.vertices @ np.float32([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])
    scale = size / 18
    vertices = np.stack(
        [turned[:, 0] * scale + 51.3, -turned[:, 1] * scale + 47.7, -turned[:, 2] * scale], axis=1
    ).astype(np.float32)

    def smooth(height: int, width: int, channels: int) -> Any:
        y, x = np.mgrid[:height, :width]
        waves = [
            127 + 120 * np.sin(x / width * 5 + rng.uniform(0, 6) + y / height * rng.uniform(-4, 4))
            for _ in range(channels)
        ]
        return np.stack(waves, axis=-1).astype(np.uint8)

    frame = reference.strided((101, 107, 3), np.uint8, 7, smooth(101, 107, 3))
    texture = reference.strided((61, 67, 4), np.uint8, 2, smooth(61, 67, 4))
    aux = reference.strided((61, 67), np.uint8, 9, smooth(61, 67, 1)[..., 0])
    return {
        "texture": texture,
        "aux": aux,
        "uv": mesh.uv,
        "vertices": vertices,
        "source_xy": (vertices[:, :2] + rng.normal(0, 1, (468, 2))).astype(np.float32),
        "gain": rng.uniform(0.8, 1.2, (468, 3)).astype(np.float32),
        "offset": rng.uniform(-9, 9, (468, 3)).astype(np.float32),
        "triangles": mesh.triangles,
        "frame": frame,
        "left": 3,
        "top": 5,
    }


@pytest.mark.parametrize(("yaw", "size"), [(0.0, 80.0), (0.6, 61.0), (-1.1, 95.0), (0.2, 150.0)])
def test_a_face_agrees_with_numpy(yaw: float, size: float) -> None:
    values = random_scene(np.random.default_rng(int(size)), yaw, size)
    colour, matte, depth = reference.raster_face(**values, size=(91, 97))
    bgr, out_matte, out_depth = draw(values, (91, 97))
    drawn = np.isfinite(depth)
    assert np.array_equal(out_depth < 1e38, drawn)
    assert np.array_equal(bgr[~drawn], colour[~drawn])
    # Depths of the two nearest layers may tie within single precision at a silhouette.
    close = np.abs(out_depth - np.where(drawn, depth, 0)) < 1e-3
    assert close[drawn].mean() > 0.999
    # Half a code value of rounding, and weights of 1/128 on slopes of up to 12 code values.
    assert np.abs(bgr - colour)[drawn & close].max() < 1.0
    assert np.abs(out_matte - matte)[drawn & close].max() < 1.0


@pytest.mark.parametrize("threads", [2, 3, 7])
def test_threads_change_nothing(threads: int) -> None:
    values = random_scene(np.random.default_rng(0), 0.4, 90.0)
    for one, many in zip(draw(values, (91, 97)), draw(values, (91, 97), threads), strict=True):
        assert np.array_equal(one, many)


@pytest.mark.parametrize(("yaw", "size"), [(0.0, 40.0), (0.7, 90.0), (-1.0, 260.0)])
@pytest.mark.parametrize("texture", [(2, 2), (7, 5), (64, 61)])
def test_every_instruction_set_draws_the_same_bits(
    yaw: float, size: float, texture: tuple[int, int]
) -> None:
    random = np.random.default_rng(int(size))
    values = random_scene(random, yaw, size)
    pixels = random.integers(0, 256, (*texture, 4))
    values["texture"] = reference.strided((*texture, 4), np.uint8, 3, pixels)
    values["aux"] = reference.strided(texture, np.uint8, 1, random.integers(0, 256, texture))
    plain, wide = (draw({**values, "level": level}, (91, 97)) for level in (0, 3))
    for one, other in zip(plain, wide, strict=True):
        assert np.array_equal(one, other)


@settings(max_examples=60, deadline=None)
@given(
    points=st.lists(
        st.tuples(st.floats(-20, 30, width=32), st.floats(-20, 30, width=32)),
        min_size=3,
        max_size=3,
    ),
    left=st.integers(0, 4),
    top=st.integers(0, 3),
)
def test_any_triangle_covers_what_numpy_says(
    points: list[tuple[float, float]], left: int, top: int
) -> None:
    values = scene(
        vertices=np.float32([(x, y, 0) for x, y in points]),
        uv=SQUARE_UV[:3],
        source_xy=np.zeros((3, 2), np.float32),
        gain=np.ones((3, 3), np.float32),
        offset=np.zeros((3, 3), np.float32),
        triangles=np.int32([[0, 1, 2]]),
        left=left,
        top=top,
    )
    _, matte, depth = reference.raster_face(**values, size=(4, 5))
    _, out_matte, _ = draw(values, (4, 5))
    assert np.array_equal(out_matte, matte)
    assert np.array_equal(out_matte > 0, np.isfinite(depth))


def test_a_picture_of_one_pixel_works() -> None:
    values = scene(frame=np.full((1, 1, 3), 7, np.uint8), texture=np.full((1, 1, 4), 9, np.uint8))
    values["aux"] = np.full((1, 1), 77, np.uint8)
    values["vertices"] = scene()["vertices"] - np.float32([3, 2, 0])
    bgr, matte, _ = draw(values)
    assert matte.item() == 77
    assert bgr.ravel().tolist() == [9, 9, 9]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"texture": np.zeros((4, 4, 3), np.uint8)}, ValueError, r"texture \(any, any, 4\) uint8"),
        ({"texture": np.zeros((4, 4, 4), np.float32)}, TypeError, r"got \(4, 4, 4\) float32"),
        ({"texture": np.zeros((0, 4, 4), np.uint8)}, ValueError, "at least one pixel"),
        ({"aux": np.zeros((3, 4), np.uint8)}, ValueError, r"aux \(4, 4\) uint8"),
        ({"uv": np.zeros((3, 2), np.float32)}, ValueError, r"uv \(4, 2\) float32"),
        ({"triangles": np.int32([[0, 1, 4]])}, ValueError, r"vertices 0\.\.3, got 4 in triangle 0"),
        ({"triangles": np.int32([[0, -1, 2]])}, ValueError, "got -1"),
        ({"left": -1}, ValueError, "inside the frame of 7 x 9"),
        ({"top": 1}, ValueError, "inside the frame"),
        ({"frame": np.zeros((7, 18, 3), np.uint8)[:, ::2]}, ValueError, "packed pixels"),
        ({"frame": np.zeros((7, 9, 3), np.uint8)[::-1]}, ValueError, "run backwards"),
        ({"gain": np.ones((8, 3), np.float32)[::2]}, ValueError, "packed"),
    ],
)
def test_wrong_arguments_are_named(
    change: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        draw(scene(**change), (7, 9))
