"""Triangles of a batch of meshes to pixels, in plain PyTorch: any device, no extension.

Every triangle is spread over the pixels of its bounding box; what lies inside is written with
a scattered maximum of (nearness, triangle) packed into one 64-bit integer. A maximum does not
depend on the order in which a GPU takes its operands, so the same meshes always give the same
picture. Loops are over chunks of a bounded size, never over triangles, pixels or figures.

It draws what :func:`.rasteriser.rasterise` draws, in single precision.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from .anatomy import F32, I32
from .rasteriser import FRINGE, SOLID

# Pixels of bounding boxes looked at in one go: a processor wants them in its cache, a card
# wants many; about 150 bytes each.
_CHUNK = {"cpu": 1 << 17, "cuda": 1 << 23}
_TRIANGLE_BITS = 0xFFFFFFFF
_NO_AREA = 1e-9
_FAR = -1e9


class Cut:
    """Triangles in the order they are drawn, and where some of them are cut through.

    Args:
        triangles: (t, 3) int32.
        level: (t,) float32, see :func:`.rasteriser.rasterise`.
        rest: (n, 3) float32, where the strand map is looked up.
        strands: (h, w) float32.
        device: where the meshes will be.
    """

    def __init__(
        self, triangles: I32, level: F32, rest: F32, strands: F32, device: torch.device
    ) -> None:
        self.triangles = torch.from_numpy(triangles.astype(np.int64)).to(device)
        self.level = torch.from_numpy(level).to(device)
        self.rest = torch.from_numpy(np.ascontiguousarray(rest)).to(device)
        self._strands = torch.from_numpy(np.ascontiguousarray(strands)).to(device)
        whole = level == SOLID
        self.whole, self.cut = (
            torch.from_numpy(np.nonzero(chosen)[0]).to(device) for chosen in (whole, ~whole)
        )

    def keeps(self, triangle: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """(f,) bool: whether there is hair at a place (f, 3) of a triangle (f,)."""
        at = (self.rest[self.triangles[triangle]] * weights[..., None]).sum(1)
        level = self.level[triangle]
        u, v = unroll(at)
        height, width = self._strands.shape
        column = (u * width).to(torch.int64).clamp(0, width - 1)
        row = (v * height).to(torch.int64).clamp(0, height - 1)
        reached = self._strands[row, column] > level
        return torch.where(level == FRINGE, _is_lash(at), reached)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is seen at the pixels that show anything, flat over a batch of pictures.

    Attributes:
        pixel: (m,) int64, rising: number among all pixels of the batch.
        item: (m,) int64, number of the picture.
        triangle: (m,) int64.
        weights: (m, 3) float32, of the triangle's corners, perspective-correct.
    """

    pixel: torch.Tensor
    item: torch.Tensor
    triangle: torch.Tensor
    weights: torch.Tensor

    def where(self, chosen: torch.Tensor) -> Seen:
        """The part of it that ``chosen``, (m,) bool or (k,) int64, names."""
        return Seen(
            pixel=self.pixel[chosen],
            item=self.item[chosen],
            triangle=self.triangle[chosen],
            weights=self.weights[chosen],
        )

    def interpolate(self, values: torch.Tensor, triangles: torch.Tensor) -> torch.Tensor:
        """(m, C) of per-vertex values (B, n, C)."""
        count = values.shape[1]
        corners = triangles[self.triangle] + (self.item * count)[:, None]
        table = values.reshape(-1, values.shape[2])
        mixed = table[corners[:, 0]] * self.weights[:, :1]
        mixed += table[corners[:, 1]] * self.weights[:, 1:2]
        mixed += table[corners[:, 2]] * self.weights[:, 2:]
        return mixed


def unroll(at: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(u, v) of the skin map, 0..1, at points (..., 3) of the rest mesh."""
    x, y, z = at.unbind(-1)
    part = torch.atan2(x, z - 0.35) / math.pi
    return 0.5 + 0.5 * (1.8 * part / (1 + 0.8 * part.abs())), (8.6 - y) / 3.4


def rasterise(points: torch.Tensor, mesh: Cut, size: int) -> Seen:
    """What the pixels of square pictures show.

    Args:
        points: (B, n, 3) float32, x and y in pixels (centres at .5), 1 / distance.
        mesh: the triangles that all figures share.
        size: side of the pictures.
    """
    nearest = torch.zeros(len(points) * size * size, dtype=torch.int64, device=points.device)
    for part in _fragments(points, mesh.triangles, mesh.whole, size):
        nearest.scatter_reduce_(0, part.pixel, _packed(part.z, part.triangle), "amax")
    # Layers of hair come last: most of them are behind the face, and fall to the first look.
    for part in _fragments(points, mesh.triangles, mesh.cut, size):
        key = _packed(part.z, part.triangle)
        front = torch.nonzero(key > nearest[part.pixel])[:, 0]
        triangle = part.triangle[front]
        there = mesh.keeps(triangle, _perspective(part.weights[front], part.depths[front]))
        kept = front[there]
        nearest.scatter_reduce_(0, part.pixel[kept], key[kept], "amax")
    pixel = torch.nonzero(nearest)[:, 0]
    item = torch.div(pixel, size * size, rounding_mode="floor")
    triangle = _TRIANGLE_BITS - (nearest[pixel] & _TRIANGLE_BITS)
    corners = points[item[:, None], mesh.triangles[triangle]]
    x, y = pixel % size, torch.div(pixel, size, rounding_mode="floor") % size
    edges = torch.cat([corners[..., :2].flatten(1), _inverse_area(corners)[:, None]], 1)
    flat = _inside(edges, x + 0.5, y + 0.5)
    return Seen(
        pixel=pixel,
        item=item,
        triangle=triangle,
        weights=_perspective(flat, corners[..., 2]),
    )


def depth_maps(points: torch.Tensor, triangles: torch.Tensor, size: int) -> torch.Tensor:
    """(B, size, size) float32: the largest z at every pixel of parallel projections.

    Args:
        points: (B, n, 3) float32, x and y in pixels (centres at .5), z towards the viewer.
        triangles: (t, 3) int64.
        size: side of the maps.
    """
    nearest = torch.full((len(points) * size * size,), _FAR, device=points.device)
    everything = torch.arange(len(triangles), device=points.device)
    for part in _fragments(points, triangles, everything, size):
        nearest.scatter_reduce_(0, part.pixel, part.z, "amax")
    return nearest.view(len(points), size, size)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fragments:
    """Pixels inside triangles: flat weights and depths (f, 3) of the corners, ``z`` by them."""

    pixel: torch.Tensor
    triangle: torch.Tensor
    weights: torch.Tensor
    z: torch.Tensor
    depths: torch.Tensor


def _fragments(
    points: torch.Tensor, triangles: torch.Tensor, chosen: torch.Tensor, size: int
) -> Iterator[_Fragments]:
    """The pixels inside the chosen triangles of all items, some at a time."""
    corners = points[:, triangles[chosen]]
    least, most = corners[..., :2].amin(2), corners[..., :2].amax(2)
    # Centres at .5: the first column is the one whose centre is not left of the triangle.
    first = torch.ceil(least - 0.5).clamp(0, size).to(torch.int64)
    last = torch.floor(most - 0.5).clamp(-1, size - 1).to(torch.int64)
    span = (last - first + 1).clamp(min=0)
    inverse = _inverse_area(corners)
    boxes = span[..., 0] * span[..., 1] * (inverse != 0)
    item, row = torch.nonzero(boxes, as_tuple=True)
    counts, corners = boxes[item, row], corners[item, row]
    ends = torch.cumsum(counts, 0)
    # Side by side, so that a fragment fetches what it needs in two reads.
    shapes = torch.cat(
        [corners[..., :2].flatten(1), inverse[item, row][:, None], corners[..., 2]], 1
    )
    boxes = torch.cat([first[item, row], span[item, row, :1], (ends - counts)[:, None]], 1)
    triangle = chosen[row]
    for start, stop in _chunks(ends, _CHUNK.get(points.device.type, _CHUNK["cpu"])):
        slot = torch.repeat_interleave(
            torch.arange(start, stop, device=points.device), counts[start:stop]
        )
        left, top, wide, before = boxes.index_select(0, slot).unbind(1)
        local = torch.arange(len(slot), device=points.device) + (before[0] - before)
        down = torch.div(local, wide, rounding_mode="floor")
        x, y = left + local - down * wide, top + down
        shape = shapes.index_select(0, slot)
        weights = _inside(shape[:, :7], x + 0.5, y + 0.5)
        inside = torch.nonzero(weights.amin(1) >= 0)[:, 0]
        slot, weights, depths = slot[inside], weights[inside], shape[inside, 7:]
        yield _Fragments(
            pixel=(item[slot] * size + y[inside]) * size + x[inside],
            triangle=triangle[slot],
            weights=weights,
            z=(weights * depths).sum(1),
            depths=depths,
        )


def _chunks(ends: torch.Tensor, chunk: int) -> list[tuple[int, int]]:
    """Ranges of triangles whose boxes hold about ``chunk`` pixels together."""
    if not len(ends):
        return []
    marks = torch.arange(0, int(ends[-1]), chunk, device=ends.device)[1:]
    bounds = sorted({0, *torch.searchsorted(ends, marks, right=True).tolist(), len(ends)})
    return list(pairwise(bounds))


def _inverse_area(corners: torch.Tensor) -> torch.Tensor:
    """1 / twice the signed area of triangles (..., 3, 2 or more); 0 if there is none."""
    a, b, c = corners[..., :2].unbind(-2)
    area = (b - a)[..., 0] * (c - a)[..., 1] - (b - a)[..., 1] * (c - a)[..., 0]
    return torch.where(area.abs() < _NO_AREA, 0.0, 1 / area)


def _inside(edges: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """(f, 3) flat weights of the corners in rows (f, 7) of x, y of each, and 1 / area."""
    ax, ay, bx, by, cx, cy, inverse = edges.unbind(1)
    x, y = x - ax, y - ay
    second = (x * (cy - ay) - y * (cx - ax)) * inverse
    third = ((bx - ax) * y - (by - ay) * x) * inverse
    return torch.stack([1 - second - third, second, third], 1)


def _perspective(weights: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """Weights (f, 3) on the surface, from those in the picture and 1 / distance (f, 3)."""
    shares = weights * z
    return shares / shares.sum(1, keepdim=True)


def _packed(z: torch.Tensor, triangle: torch.Tensor) -> torch.Tensor:
    """Larger is nearer, then the lower triangle; bits of positive floats rise with them."""
    return (z.view(torch.int32).to(torch.int64) << 32) | (_TRIANGLE_BITS - triangle)


def _is_lash(at: torch.Tensor) -> torch.Tensor:
    x, y = at[:, 0].abs(), at[:, 1]
    wave = torch.sin((x - 0.33) * 560.0 + 90 * x * x + (y - 7.3) * 60)
    return wave + 0.5 * torch.sin(x * 1330.0 + y * 40) >= 0.35
