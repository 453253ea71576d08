"""A batch of figures posed at once with PyTorch: expression, turn of the head, camera.

The maths is :mod:`mien.training.synthetic.stage`'s and :mod:`.studio`'s; figures of a batch
share their triangles. Nothing here multiplies matrices, so that no card's reduced precision
and no size of the batch changes a vertex.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

I32 = npt.NDArray[np.int32]

NEAREST = 0.01
"""Nothing is taken to be nearer to the camera, decimetres."""


def dot(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Sum of products over the last axis."""
    return (one * other).sum(-1)


def normalised(vectors: torch.Tensor) -> torch.Tensor:
    """The same directions (..., 3), of length 1."""
    return vectors * torch.rsqrt(dot(vectors, vectors) + 1e-12)[..., None]


def express(
    rest: torch.Tensor, strengths: torch.Tensor, displacements: torch.Tensor
) -> torch.Tensor:
    """(B, n, 3) vertices with the face units applied.

    Args:
        rest: (B, n, 3) float32, without expression.
        strengths: (B, U) float32.
        displacements: (U, n, 3) float32, what each unit does.
    """
    moved = rest.clone()
    for unit in torch.nonzero(strengths.abs().amax(0))[:, 0].tolist():
        moved += strengths[:, unit, None, None] * displacements[unit]
    return moved


class Normals:
    """Smooth normals of meshes that share their triangles.

    Each vertex gathers from the triangles around it, in one order: sums that are scattered
    would differ from run to run on a GPU.

    Args:
        triangles: (t, 3) int32.
        count: how many vertices there are.
        device: where the meshes will be.
    """

    def __init__(self, triangles: I32, count: int, device: torch.device) -> None:
        corners = triangles.ravel()
        order = np.argsort(corners, kind="stable")
        uses = np.bincount(corners, minlength=count)
        starts = np.cumsum(uses) - uses
        around = np.full((count, int(uses.max(initial=1))), len(triangles), np.int64)
        rank = np.arange(len(corners)) - np.repeat(starts, uses)
        around[corners[order], rank] = order // 3
        self._around = torch.from_numpy(around).to(device)
        self._triangles = torch.from_numpy(triangles.astype(np.int64)).to(device)

    def __call__(self, vertices: torch.Tensor) -> torch.Tensor:
        """(B, n, 3) unit normals, area-weighted, of vertices (B, n, 3)."""
        a, b, c = vertices[:, self._triangles].unbind(2)
        cross = torch.linalg.cross(b - a, c - a)
        # One triangle of no area for vertices with fewer triangles around them than most.
        cross = torch.cat([cross, torch.zeros_like(cross[:, :1])], 1)
        normals = cross[:, self._around].sum(2)
        return normals / (torch.sqrt(dot(normals, normals)) + 1e-12)[..., None]


def turn(vectors: torch.Tensor, angles_rad: torch.Tensor, follows: torch.Tensor) -> torch.Tensor:
    """Vectors (B, n, 3), rolled, then pitched, then turned about the origin.

    Args:
        vectors: see above.
        angles_rad: (B, 3) yaw, pitch and roll.
        follows: (n,) 0..1, the share of the angles that each vertex takes.
    """
    yaw, pitch, roll = (angles_rad[:, k, None] * follows for k in range(3))
    x, y, z = vectors.unbind(-1)
    x, y = x * roll.cos() - y * roll.sin(), x * roll.sin() + y * roll.cos()
    y, z = y * pitch.cos() - z * pitch.sin(), y * pitch.sin() + z * pitch.cos()
    x, z = x * yaw.cos() + z * yaw.sin(), z * yaw.cos() - x * yaw.sin()
    return torch.stack([x, y, z], -1)


def along(points: torch.Tensor, axes: torch.Tensor) -> torch.Tensor:
    """(..., 3) coordinates of points (..., 3) along the rows of axes (..., 3, 3)."""
    return torch.stack([dot(points, axes[..., k, :]) for k in range(3)], -1)


def project(
    vertices: torch.Tensor,
    position: torch.Tensor,
    axes: torch.Tensor,
    focal: torch.Tensor,
    size: int,
) -> torch.Tensor:
    """(B, n, 3): x, y in pixels of square pictures with centres at .5, and 1 / distance.

    Args:
        vertices: (B, n, 3).
        position, axes, focal: (B, 3), (B, 3, 3) and (B,), see :class:`.studio.Camera`.
        size: side of the pictures.
    """
    view = along(vertices - position[:, None], axes[:, None])
    distance = (-view[..., 2]).clamp(min=NEAREST)
    scale = focal[:, None] * size / distance
    return torch.stack(
        [size / 2 + scale * view[..., 0], size / 2 - scale * view[..., 1], 1 / distance], -1
    )
