"""Where things lie on the canonical face: at its vertices and in its UV space.

Everything here is computed once from the mesh and cached; the arrays are read-only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from mien.face_mesh import (
    FACE_OVAL,
    INNER_LIPS,
    LEFT_BROW,
    LEFT_EYE,
    OUTER_LIPS,
    RIGHT_BROW,
    RIGHT_EYE,
    VERTEX_COUNT,
    face_mesh,
)
from mien.types import F32Array, I32Array, U8Array

# Widths in UV units (the face is about one unit wide).
_FEATURE_MARGIN = 0.018
_LIGHT_RIM = 0.06
_BROW_MARGIN = 0.02

# Smoothing radii over the face, canonical centimetres.
_NEIGHBOUR_CM = 0.5
_BROAD_CM = 2.0
_NEAR_CM = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceRegions:
    """What each vertex is part of.

    Attributes:
        rim_distance: (468,) float32, UV units to the face oval; 0 on it.
        light_weights: (468,) float32, 1 for plain skin away from the oval, 0 for lips,
            eyes and brows.
        neighbours: (468, 468) float32, row-stochastic smoothing over the nearest vertices.
        broad: (468, 468) float32, row-stochastic smoothing of skin over 2 cm.
        near: (468, 468) float32, row-stochastic smoothing of skin over 1 cm.
    """

    rim_distance: F32Array
    light_weights: F32Array
    neighbours: F32Array
    broad: F32Array
    near: F32Array


@dataclass(frozen=True, slots=True, kw_only=True)
class UvRegions:
    """What each texel is part of, at one texture size T.

    Attributes:
        triangle: (T, T) int32, triangle that covers the texel; outside the face the
            nearest one.
        barycentric: (T, T, 3) float32, position in it.
        inside: (T, T) bool, inside the face oval.
        rim_distance: (T, T) float32, UV units to the oval; 0 outside.
        brows: (T, T) float32, 1 on the brows, soft.
        features: (T, T) float32, 1 on eyes and lips, soft.
        sideways: (T, T) float32, 0..1, how far the canonical face turns to its side there.
    """

    triangle: I32Array
    barycentric: F32Array
    inside: npt.NDArray[np.bool_]
    rim_distance: F32Array
    brows: F32Array
    features: F32Array
    sideways: F32Array

    def interpolate(self, values: F32Array) -> F32Array:
        """Spreads (468, C) float32 vertex values over the texture: (T, T, C) float32."""
        return _interpolate(self.triangle, self.barycentric, values)


def _interpolate(triangle: I32Array, barycentric: F32Array, values: F32Array) -> F32Array:
    corners = face_mesh().triangles[triangle]
    spread = np.zeros((*triangle.shape, values.shape[1]), dtype=np.float32)
    for k in range(3):
        spread += barycentric[..., k : k + 1] * values[corners[..., k]]
    return spread


def vertex_normals(shape: F32Array) -> F32Array:
    """Outward unit normals of a face whose finest creases are smoothed away.

    Args:
        shape: (468, 3) float32, y up, z towards the viewer, any unit.

    Returns:
        (468, 3) float32.
    """
    smooth = face_regions().neighbours @ shape
    triangles = face_mesh().triangles
    a, b, c = (smooth[triangles[:, k]] for k in range(3))
    facing = np.cross(b - a, c - a)
    normals = np.zeros((VERTEX_COUNT, 3), dtype=np.float64)
    for k in range(3):
        for axis in range(3):
            normals[:, axis] += np.bincount(
                triangles[:, k], facing[:, axis], minlength=VERTEX_COUNT
            )
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9
    return normals.astype(np.float32)


def _freeze(holder: FaceRegions | UvRegions) -> None:
    for attribute in fields(holder):
        getattr(holder, attribute.name).flags.writeable = False


def _smoothing(radius_cm: float, weights: F32Array) -> F32Array:
    vertices = face_mesh().vertices
    squared = ((vertices[:, None] - vertices[None]) ** 2).sum(axis=-1)
    kernel = np.exp(-squared / (2.0 * radius_cm**2)) * weights[None]
    return np.asarray(kernel / kernel.sum(axis=1, keepdims=True), dtype=np.float32)


@cache
def face_regions() -> FaceRegions:
    """The vertices' regions."""
    uv = face_mesh().uv
    rim_distance = np.sqrt(((uv[:, None] - uv[None, list(FACE_OVAL)]) ** 2).sum(-1)).min(axis=1)
    skin = np.ones(VERTEX_COUNT, dtype=np.float32)
    for ring in (LEFT_EYE, RIGHT_EYE, OUTER_LIPS):
        contour = (uv[list(ring)] * 1000.0).reshape(-1, 1, 2).astype(np.float32)
        for vertex in range(VERTEX_COUNT):
            at = (float(uv[vertex, 0] * 1000.0), float(uv[vertex, 1] * 1000.0))
            if cv2.pointPolygonTest(contour, at, True) > -1000.0 * _FEATURE_MARGIN:
                skin[vertex] = 0.0
    skin[[*LEFT_BROW, *RIGHT_BROW]] = 0.0
    light = skin * np.clip(rim_distance / _LIGHT_RIM, 0.0, 1.0)
    regions = FaceRegions(
        rim_distance=rim_distance.astype(np.float32),
        light_weights=light.astype(np.float32),
        neighbours=_smoothing(_NEIGHBOUR_CM, np.ones(VERTEX_COUNT, np.float32)),
        broad=_smoothing(_BROAD_CM, skin),
        near=_smoothing(_NEAR_CM, skin),
    )
    _freeze(regions)
    return regions


def ring_mask(ring: Sequence[int], size: int, *, grow: float = 0.0) -> U8Array:
    """(T, T) uint8 coverage of a closed ring of vertices in UV space, anti-aliased.

    Args:
        ring: vertices in order.
        size: T.
        grow: UV units by which the region is grown; negative shrinks it.
    """
    fine = 4
    mask = np.zeros((size * fine, size * fine), dtype=np.uint8)
    points = face_mesh().uv[list(ring)] * size * fine - 0.5
    corners: I32Array = np.round(points).astype(np.int32)
    cv2.fillPoly(mask, [corners], (255,))
    reach = round(abs(grow) * size * fine)
    if reach:
        # A threshold on distance: dilating with a disc this large takes seconds.
        away = cv2.distanceTransform(255 - mask if grow > 0 else mask, cv2.DIST_L2, cv2.DIST_MASK_5)
        mask = np.where((away <= reach) == (grow > 0), 255, 0).astype(np.uint8)
    return np.asarray(cv2.resize(mask, (size, size), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _hull(vertices: Sequence[int]) -> list[int]:
    points = (face_mesh().uv[list(vertices)] * 4096).astype(np.int32)
    order = cv2.convexHull(points, returnPoints=False).reshape(-1)
    return [vertices[int(index)] for index in order]


def _cover_triangles(size: int) -> tuple[I32Array, F32Array, npt.NDArray[np.bool_]]:
    mesh = face_mesh()
    triangle = np.full((size, size), -1, dtype=np.int32)
    barycentric = np.zeros((size, size, 3), dtype=np.float32)
    for index, corners in enumerate(mesh.triangles):
        a, b, c = mesh.uv[corners] * size - 0.5
        low = np.maximum(np.floor(np.min([a, b, c], axis=0)).astype(int), 0)
        high = np.minimum(np.ceil(np.max([a, b, c], axis=0)).astype(int) + 1, size)
        x, y = np.arange(low[0], high[0])[None], np.arange(low[1], high[1])[:, None]
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        beta = ((x - a[0]) * (c[1] - a[1]) - (y - a[1]) * (c[0] - a[0])) / area
        gamma = ((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])) / area
        weights = np.stack([1.0 - beta - gamma, beta, gamma], axis=-1)
        here = weights.min(axis=-1) >= -1e-3
        block = np.s_[low[1] : high[1], low[0] : high[0]]
        triangle[block][here] = index
        barycentric[block][here] = weights[here]
    inside = triangle >= 0
    outside = (~inside).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(
        outside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    source = np.zeros(int(labels.max()) + 1, dtype=np.int64)
    source[labels[inside]] = np.flatnonzero(inside)
    nearest = source[labels]
    return (
        triangle.reshape(-1)[nearest].astype(np.int32),
        barycentric.reshape(-1, 3)[nearest].astype(np.float32),
        inside,
    )


@cache
def uv_regions(size: int) -> UvRegions:
    """The texels' regions at texture size ``size``; computed once a size, about 0.1 s."""
    triangle, barycentric, inside = _cover_triangles(size)
    distance = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 5) / size
    brows = np.maximum(
        ring_mask(_hull(LEFT_BROW), size, grow=_BROW_MARGIN),
        ring_mask(_hull(RIGHT_BROW), size, grow=_BROW_MARGIN),
    )
    features = np.maximum.reduce(
        [ring_mask(ring, size, grow=_FEATURE_MARGIN) for ring in (LEFT_EYE, RIGHT_EYE, OUTER_LIPS)]
    )
    soft = 0.006 * size
    regions = UvRegions(
        triangle=triangle,
        barycentric=barycentric,
        inside=inside,
        rim_distance=distance.astype(np.float32),
        brows=(cv2.GaussianBlur(brows, (0, 0), soft) / np.float32(255)).astype(np.float32),
        features=(cv2.GaussianBlur(features, (0, 0), soft) / np.float32(255)).astype(np.float32),
        sideways=np.abs(
            _interpolate(triangle, barycentric, vertex_normals(face_mesh().vertices)[:, :1])[..., 0]
        ),
    )
    _freeze(regions)
    return regions


def own_pixel_weights(size: int) -> U8Array:
    """Where the performer's own pixels show: 255 inside the eyes and the open mouth.

    The eyes' region stays inside the lids (lashes and lid edges are the persona's); the
    mouth's reaches a little over the inner lip line, because it is thin in UV space.

    Returns:
        (size, size) uint8.
    """
    eyes = np.maximum(
        ring_mask(LEFT_EYE, size, grow=-0.003), ring_mask(RIGHT_EYE, size, grow=-0.003)
    )
    mouth = ring_mask(INNER_LIPS, size, grow=0.002)
    soft = 0.002 * size
    # The closed mouth is so thin in UV space that a blur alone would leave it half open.
    solid_mouth = cv2.convertScaleAbs(cv2.GaussianBlur(mouth, (0, 0), soft), alpha=1.6)
    weights = np.maximum(cv2.GaussianBlur(eyes, (0, 0), soft), solid_mouth)
    return np.ascontiguousarray(weights, dtype=np.uint8)


def oval_matte(size: int, feather: float) -> U8Array:
    """(size, size) uint8: 0 on the face oval, rising to 255 over ``feather`` UV units."""
    rise = np.clip(uv_regions(size).rim_distance / feather, 0.0, 1.0)
    matte = rise * rise * (3.0 - 2.0 * rise)
    return np.ascontiguousarray(np.round(matte * 255.0), dtype=np.uint8)
