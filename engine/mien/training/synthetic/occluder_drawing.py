"""Meshes drawn as sprites that can be lit later: colour, cover, normals, openness.

A sprite is not a picture but what is needed to light one (a G-buffer: Saito and Takahashi
1990, *Comprehensible Rendering of 3-D Shapes*), so that a few hundred of them serve every
light and every skin.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from .figure.anatomy import F32, I32
from .figure.rasteriser import SOLID, depth_map, rasterise, vertex_normals
from .figure.studio import axes_along

U8 = npt.NDArray[np.uint8]

SIDE = 224
"""Side of a sprite in pixels."""

PX_PER_DM = 60.0
"""Size of a sprite's things: a face measures about 1.8 dm from hairline to chin."""

PLANES = 8
"""Colour BGR (root of the reflectance), cover, normal x right, y up, z to the viewer, openness."""

_SUPERSAMPLING = 2
_BANDS = 1
# Directions from which a mesh's openness is asked, and how finely.
_DIRECTIONS, _MAP_SIZE = 40, 128


@dataclass(slots=True)
class Mesh:
    """A thing in its own coordinates, decimetres; z is to the viewer.

    Attributes:
        vertices: (n, 3) float32.
        triangles: (t, 3) int32.
        albedo: (n, 3) float32 linear RGB reflectance; about 1 for skin, which takes the
            tone of a face later.
        uv: (n, 2) float32 0..1, where the texture is looked up; or None.
        texture: (h, w, 3) float32, multiplies the albedo; or None.
    """

    vertices: F32
    triangles: I32
    albedo: F32
    uv: F32 | None = None
    texture: F32 | None = None


def joined(meshes: list[Mesh]) -> Mesh:
    """Several meshes without textures as one."""
    offsets = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    pieces = zip(meshes, offsets, strict=False)
    return Mesh(
        vertices=np.concatenate([mesh.vertices for mesh in meshes]),
        triangles=np.concatenate([mesh.triangles + offset for mesh, offset in pieces]).astype(
            np.int32
        ),
        albedo=np.concatenate([mesh.albedo for mesh in meshes]),
    )


def draw_mesh(mesh: Mesh, *, distance: float, shift: tuple[float, float] = (0.0, 0.0)) -> U8:
    """(SIDE, SIDE, PLANES) uint8 sprite of a mesh as it stands before the viewer.

    Args:
        mesh: already turned.
        distance: of the eye from the origin, decimetres.
        shift: moves the origin from the middle of the sprite, sprite pixels.
    """
    samples = SIDE * _SUPERSAMPLING
    scale = PX_PER_DM * _SUPERSAMPLING * distance
    away = np.maximum(distance - mesh.vertices[:, 2], 0.2)
    points = np.stack(
        [
            samples / 2 + shift[0] * _SUPERSAMPLING + scale * mesh.vertices[:, 0] / away,
            samples / 2 + shift[1] * _SUPERSAMPLING - scale * mesh.vertices[:, 1] / away,
            1 / away,
        ],
        axis=1,
    ).astype(np.float32)
    at = np.full((samples, samples), -1, np.int32)
    weights = np.zeros((samples, samples, 2), np.float32)
    depth = np.zeros((samples, samples), np.float32)
    level = np.full(len(mesh.triangles), SOLID, np.float32)
    triangles = np.ascontiguousarray(mesh.triangles, np.int32)
    strands = np.zeros((2, 2), np.float32)
    rasterise(points, triangles, level, mesh.vertices, strands, _BANDS, at, weights, depth)
    normals = vertex_normals(mesh.vertices, triangles)
    openness = measure_openness(mesh.vertices, normals, triangles)
    values = [mesh.albedo, normals, openness[:, None]]
    if mesh.uv is not None:
        values.append(mesh.uv)
    seen = _interpolated(np.concatenate(values, axis=1).astype(np.float32), triangles, at, weights)
    colour, normal, open_ = seen[..., :3], seen[..., 3:6], seen[..., 6]
    if mesh.uv is not None and mesh.texture is not None:
        colour = colour * _looked_up(mesh.texture, seen[..., 7:9])
    # Both sides of a sheet face the viewer.
    normal = np.where(normal[..., 2:] < 0, normal * np.array([1, 1, -1], np.float32), normal)
    return pack(colour, (at >= 0).astype(np.float32), normal, open_)


def pack(rgb: F32, cover: F32, normal: F32, openness: F32) -> U8:
    """A sprite of planes at any size: averaged down, colours bled beyond the edge."""
    stacked = np.dstack([rgb[..., ::-1], normal, openness]) * cover[..., None]
    size = (SIDE, SIDE)
    small = cv2.resize(stacked.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    share = cv2.resize(cover.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    filled = _bled(np.asarray(small, np.float32), np.asarray(share, np.float32))
    length = np.linalg.norm(filled[..., 3:6], axis=2, keepdims=True)
    unit = np.where(length > 1e-3, filled[..., 3:6] / np.maximum(length, 1e-3), [0, 0, 1])
    planes = np.dstack(
        [
            np.sqrt(np.clip(filled[..., :3] / 2, 0, 1)) * 255,
            share * 255,
            unit * 127 + 128,
            np.clip(filled[..., 6], 0, 1) * 255,
        ]
    )
    return np.round(planes).astype(np.uint8)


def measure_openness(vertices: F32, normals: F32, triangles: I32) -> F32:
    """(n,) 0..1: cosine-weighted share of all directions that a vertex sees."""
    centre = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    span = float(np.linalg.norm(vertices.max(axis=0) - vertices.min(axis=0))) + 1e-3
    scale = (_MAP_SIZE - 4) / span
    seen, possible = np.zeros(len(vertices)), np.full(len(vertices), 1e-6)
    for k in range(_DIRECTIONS):
        # Fibonacci sphere.
        z = 1 - 2 * (k + 0.5) / _DIRECTIONS
        flat, turn = np.sqrt(1 - z * z), k * 2.39996
        direction = np.array([flat * np.cos(turn), z, flat * np.sin(turn)], np.float32)
        view = ((vertices - centre) @ axes_along(direction).T).astype(np.float32)
        pixels = view.copy()
        pixels[:, :2] = pixels[:, :2] * scale + _MAP_SIZE / 2
        nearest = np.full((_MAP_SIZE, _MAP_SIZE), -1e9, np.float32)
        depth_map(pixels, triangles, nearest)
        column = np.clip(pixels[:, 0].astype(int), 0, _MAP_SIZE - 1)
        row = np.clip(pixels[:, 1].astype(int), 0, _MAP_SIZE - 1)
        weight = np.maximum(normals @ direction, 0)
        seen += weight * (nearest[row, column] - view[:, 2] < 1.6 / scale)
        possible += weight
    return np.asarray(np.clip(seen / possible, 0.05, 1), np.float32)


def _interpolated(values: F32, triangles: I32, at: I32, weights: F32) -> F32:
    corners = triangles[np.maximum(at, 0)]
    first, second = weights[..., :1], weights[..., 1:]
    mixed = (
        values[corners[..., 0]] * (1 - first - second)
        + values[corners[..., 1]] * first
        + values[corners[..., 2]] * second
    )
    mixed[at < 0] = 0
    return np.asarray(mixed, np.float32)


def _looked_up(texture: F32, uv: F32) -> F32:
    height, width = texture.shape[:2]
    columns = np.ascontiguousarray(uv[..., 0] * (width - 1), np.float32)
    rows = np.ascontiguousarray(uv[..., 1] * (height - 1), np.float32)
    found = cv2.remap(texture, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.float32)


def _bled(premultiplied: F32, share: F32) -> F32:
    """Values over their share, carried outwards so that no edge darkens when it is moved."""
    values, weight = premultiplied, share[..., None]
    result = values / np.maximum(weight, 1e-4)
    known = weight > 0.05
    for sigma in (2.0, 8.0, 40.0):
        spread = cv2.GaussianBlur(values, (0, 0), sigma)
        mass = cv2.GaussianBlur(share, (0, 0), sigma)[..., None]
        reached = ~known & (mass > 1e-3)
        result = np.where(reached, spread / np.maximum(mass, 1e-4), result)
        known = known | reached
    return np.asarray(result, np.float32)
