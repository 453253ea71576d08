"""Triangles to pixels with PyTorch: by hand, and beside the loops that Numba compiles."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="the batched renderer draws with PyTorch")
pytest.importorskip("numba", reason="the studio draws with numba")
pytest.importorskip("scipy", reason="the studio shapes heads with scipy")

import torch

from mien.training.synthetic.figure import batch_rasteriser
from mien.training.synthetic.figure.anatomy import F32, I32
from mien.training.synthetic.figure.batch_posing import Normals
from mien.training.synthetic.figure.batch_rasteriser import Cut, Seen, depth_maps, rasterise
from mien.training.synthetic.figure.rasteriser import (
    FRINGE,
    SOLID,
    depth_map,
    vertex_normals,
)
from mien.training.synthetic.figure.rasteriser import rasterise as rasterise_one

SIZE = 40
CPU = torch.device("cpu")


def see(points: F32, triangles: I32, level: F32 | None = None, size: int = 4) -> Seen:
    """What pictures of meshes (B, n, 3) show; whole triangles unless levels are given."""
    if level is None:
        level = np.full(len(triangles), SOLID, np.float32)
    rest, strands = np.zeros((points.shape[1], 3), np.float32), np.zeros((2, 2), np.float32)
    mesh = Cut(triangles, level, rest, strands, CPU)
    return rasterise(torch.from_numpy(points), mesh, size)


def test_one_triangle_by_hand() -> None:
    points = np.array([[[0, 0, 1], [4, 0, 1], [0, 4, 1]]], np.float32)
    seen = see(points, np.array([[0, 1, 2]], np.int32))
    # Centres on the long side, at x + y = 4, are inside.
    assert seen.pixel.tolist() == [0, 1, 2, 3, 4, 5, 6, 8, 9, 12]
    np.testing.assert_allclose(seen.weights[0], [0.75, 0.125, 0.125], atol=1e-6)
    assert not seen.item.any()


def test_weights_are_those_of_the_surface() -> None:
    # The second corner is three times as far: half way in the picture is a quarter on the edge.
    points = np.array([[[0, 0, 1], [1, 0, 1 / 3], [0, 1, 1]]], np.float32)
    seen = see(points, np.array([[0, 1, 2]], np.int32), size=1)
    np.testing.assert_allclose(seen.weights, [[0.0, 0.25, 0.75]], atol=1e-6)
    values = torch.tensor([[[0.0], [8.0], [4.0]]])
    np.testing.assert_allclose(seen.interpolate(values, torch.tensor([[0, 1, 2]])), [[5.0]])


def test_the_nearer_one_wins_and_the_first_of_equals() -> None:
    flat = np.array([[0, 0, 1], [8, 0, 1], [0, 8, 1]], np.float32)
    near = flat * [1, 1, 2]
    triangles = np.arange(9, dtype=np.int32).reshape(3, 3)
    points = np.stack([np.concatenate([flat, near, near]), np.concatenate([flat, flat, flat])])
    seen = see(points.astype(np.float32), triangles)
    assert seen.triangle.tolist() == [1] * 16 + [0] * 16
    assert seen.item.tolist() == [0] * 16 + [1] * 16


def test_what_lies_outside_or_has_no_area_is_not_there() -> None:
    away = np.array([[9, 9, 1], [12, 9, 1], [9, 12, 1]], np.float32)
    line = np.array([[0, 0, 1], [2, 2, 1], [4, 4, 1]], np.float32)
    behind = -away * [1, 1, -1]
    points = np.concatenate([away, line, behind])[None].astype(np.float32)
    assert not len(see(points, np.arange(9, dtype=np.int32).reshape(3, 3)).pixel)


def soup(seed: int, count: int = 400) -> tuple[F32, I32, F32, F32, F32]:
    """Triangles of all sizes on and beside the picture; some lashes, some layers of hair."""
    random = np.random.default_rng(seed)
    centres = random.uniform(-5, SIZE + 5, (count, 1, 2))
    reach = random.choice([0.7, 3.0, 12.0], (count, 1, 1))
    flat = centres + reach * random.standard_normal((count, 3, 2))
    points = np.concatenate([flat, random.uniform(0.05, 0.2, (count, 3, 1))], 2).reshape(-1, 3)
    level = random.choice([SOLID, FRINGE, 0.2, 0.7], count).astype(np.float32)
    rest = random.uniform([-0.8, 6.4, -0.5], [0.8, 8.2, 1.3], (3 * count, 3))
    triangles = np.arange(3 * count, dtype=np.int32).reshape(-1, 3)
    strands = random.random((24, 32), np.float32)
    return points.astype(np.float32), triangles, level, rest.astype(np.float32), strands


@pytest.mark.parametrize("seed", [1, 2])
def test_a_soup_of_triangles_is_the_one_that_numba_sees(seed: int) -> None:
    points, triangles, level, rest, strands = soup(seed)
    at = np.full((SIZE, SIZE), -1, np.int32)
    weights = np.zeros((SIZE, SIZE, 2), np.float32)
    depth = np.zeros((SIZE, SIZE), np.float32)
    rasterise_one(points, triangles, level, rest, strands, 1, at, weights, depth)
    seen = rasterise(
        torch.from_numpy(points)[None], Cut(triangles, level, rest, strands, CPU), SIZE
    )
    ours = np.full(SIZE * SIZE, -1)
    ours[seen.pixel] = seen.triangle
    # Lashes turn on and off within a thousandth of a radian: single and double differ there.
    same = ours == at.ravel()
    assert same.mean() > 0.995
    of_seen = same[seen.pixel]
    np.testing.assert_allclose(
        seen.weights[of_seen][:, 1:], weights.reshape(-1, 2)[seen.pixel][of_seen], atol=2e-3
    )
    # All kinds are seen, and some of the picture is bare.
    assert {SOLID, FRINGE} < set(level[seen.triangle].tolist())
    assert (ours < 0).any()


def test_depth_maps_are_numbas() -> None:
    clouds = [soup(seed, 60) for seed in (3, 4)]
    triangles = clouds[0][1]
    points = np.stack([cloud[0] - np.float32([0, 0, 0.1]) for cloud in clouds])
    maps = depth_maps(torch.from_numpy(points), torch.from_numpy(triangles).long(), SIZE)
    for ours, cloud in zip(maps, points, strict=True):
        theirs = np.full((SIZE, SIZE), -1e9, np.float32)
        depth_map(cloud, triangles, theirs)
        assert ((ours.numpy() == -1e9) == (theirs == -1e9)).mean() > 0.998
        both = (ours.numpy() > -1e9) & (theirs > -1e9)
        assert both.mean() > 0.3
        # Steep triangles magnify a rounded weight.
        assert (np.abs(ours.numpy() - theirs)[both] < 1e-4).mean() > 0.998


def test_the_size_of_a_chunk_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    points, triangles, level, rest, strands = soup(5)
    batch = torch.from_numpy(np.stack([points, points[::-1].copy()]))
    mesh = Cut(triangles, level, rest, strands, CPU)
    whole = rasterise(batch, mesh, SIZE)
    # Smaller than the box of one large triangle.
    monkeypatch.setattr(batch_rasteriser, "_CHUNK", {"cpu": 97})
    pieces = rasterise(batch, mesh, SIZE)
    assert torch.equal(whole.pixel, pieces.pixel)
    assert (whole.triangle == pieces.triangle).float().mean() > 0.999


def test_normals_are_numpys() -> None:
    random = np.random.default_rng(6)
    vertices = random.standard_normal((30, 3)).astype(np.float32)
    triangles = random.integers(0, 29, (50, 3)).astype(np.int32)
    ours = Normals(triangles, 30, CPU)(torch.from_numpy(vertices)[None])[0]
    np.testing.assert_allclose(ours, vertex_normals(vertices, triangles), atol=1e-5)
    # The last vertex is in no triangle.
    assert not ours[29].any()
