"""Triangles to pixels, compiled by numba: visibility, depth maps, smooth normals."""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from .anatomy import F32, I32

SOLID = -1.0
FRINGE = -2.0
"""Levels of a triangle that is no layer of the cap of hair: whole, or cut into lashes."""

_HALF_TURN = math.pi


@njit(inline="always", fastmath=True)
def unroll(x, y, z):  # type: ignore[no-untyped-def]
    """(u, v) of the skin map, 0..1, at a point of the rest mesh."""
    turn = math.atan2(x, z - 0.35) / _HALF_TURN
    return 0.5 + 0.5 * (1.8 * turn / (1 + 0.8 * abs(turn))), (8.6 - y) / 3.4


@njit(inline="always", fastmath=True)
def _is_lash(x, y):  # type: ignore[no-untyped-def]
    x = abs(x)
    wave = math.sin((x - 0.33) * 560.0 + 90 * x * x + (y - 7.3) * 60)
    return wave + 0.5 * math.sin(x * 1330.0 + y * 40) >= 0.35


@njit(parallel=True, fastmath=True, cache=True)
def rasterise(points, triangles, level, rest, strands, bands, triangle_at, weights, depth):  # type: ignore[no-untyped-def]
    """Fill the visibility buffers.

    Args:
        points: (n, 3) float32, x and y in pixels (centres at .5), 1 / distance.
        triangles: (t, 3) int32.
        level: (t,) float32; SOLID, FRINGE, or 0..1 for a layer of the cap of hair, which
            is only there where a strand reaches further out.
        rest: (n, 3) float32, where the strand map is looked up.
        strands: (h, w) float32.
        bands: rows are split into this many bands, one a thread.
        triangle_at: (H, W) int32, filled; -1 = nothing.
        weights: (H, W, 2) float32, filled: perspective-correct weights of corners 1, 2.
        depth: (H, W) float32, filled: 1 / distance.
    """
    height, width = triangle_at.shape
    map_height, map_width = strands.shape
    for band in prange(bands):
        first_row = band * height // bands
        end_row = (band + 1) * height // bands
        for i in range(triangles.shape[0]):
            a = triangles[i, 0]
            b = triangles[i, 1]
            c = triangles[i, 2]
            ax, ay, bx, by = points[a, 0], points[a, 1], points[b, 0], points[b, 1]
            cx, cy = points[c, 0], points[c, 1]
            low, high = min(ay, by, cy), max(ay, by, cy)
            left, right = min(ax, bx, cx), max(ax, bx, cx)
            if high < first_row or low >= end_row or right < 0 or left >= width:
                continue
            area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
            if abs(area) < 1e-9:
                continue
            inverse = 1.0 / area
            za, zb, zc = points[a, 2], points[b, 2], points[c, 2]
            for y in range(
                max(first_row, math.ceil(low - 0.5)),
                min(end_row - 1, math.floor(high - 0.5)) + 1,
            ):
                py = y + 0.5
                for x in range(
                    max(0, math.ceil(left - 0.5)),
                    min(width - 1, math.floor(right - 0.5)) + 1,
                ):
                    px = x + 0.5
                    w1 = ((px - ax) * (cy - ay) - (py - ay) * (cx - ax)) * inverse
                    w2 = ((bx - ax) * (py - ay) - (by - ay) * (px - ax)) * inverse
                    w0 = 1 - w1 - w2
                    if w0 < 0 or w1 < 0 or w2 < 0:
                        continue
                    z = w0 * za + w1 * zb + w2 * zc
                    if z <= depth[y, x]:
                        continue
                    q1 = w1 * zb / z
                    q2 = w2 * zc / z
                    if level[i] != SOLID:
                        q0 = 1 - q1 - q2
                        rx = q0 * rest[a, 0] + q1 * rest[b, 0] + q2 * rest[c, 0]
                        ry = q0 * rest[a, 1] + q1 * rest[b, 1] + q2 * rest[c, 1]
                        rz = q0 * rest[a, 2] + q1 * rest[b, 2] + q2 * rest[c, 2]
                        if level[i] == FRINGE:
                            if not _is_lash(rx, ry):
                                continue
                        else:
                            u, v = unroll(rx, ry, rz)
                            column = min(max(int(u * map_width), 0), map_width - 1)
                            row = min(max(int(v * map_height), 0), map_height - 1)
                            if strands[row, column] <= level[i]:
                                continue
                    depth[y, x] = z
                    triangle_at[y, x] = i
                    weights[y, x, 0] = q1
                    weights[y, x, 1] = q2


@njit(fastmath=True, cache=True)
def depth_map(points, triangles, depth):  # type: ignore[no-untyped-def]
    """Keep the largest z at every pixel of a parallel projection."""
    height, width = depth.shape
    for i in range(triangles.shape[0]):
        a = triangles[i, 0]
        b = triangles[i, 1]
        c = triangles[i, 2]
        ax, ay, bx, by = points[a, 0], points[a, 1], points[b, 0], points[b, 1]
        cx, cy = points[c, 0], points[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < 1e-9:
            continue
        inverse = 1.0 / area
        for y in range(
            max(0, math.ceil(min(ay, by, cy) - 0.5)),
            min(height - 1, math.floor(max(ay, by, cy) - 0.5)) + 1,
        ):
            py = y + 0.5
            for x in range(
                max(0, math.ceil(min(ax, bx, cx) - 0.5)),
                min(width - 1, math.floor(max(ax, bx, cx) - 0.5)) + 1,
            ):
                px = x + 0.5
                w1 = ((px - ax) * (cy - ay) - (py - ay) * (cx - ax)) * inverse
                w2 = ((bx - ax) * (py - ay) - (by - ay) * (px - ax)) * inverse
                w0 = 1 - w1 - w2
                if w0 < 0 or w1 < 0 or w2 < 0:
                    continue
                z = w0 * points[a, 2] + w1 * points[b, 2] + w2 * points[c, 2]
                if z > depth[y, x]:
                    depth[y, x] = z


def vertex_normals(vertices: F32, triangles: I32) -> F32:
    """(n, 3) unit normals, area-weighted over the triangles around each vertex."""
    corners = vertices[triangles]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(vertices)
    for corner in range(3):
        for axis in range(3):
            normals[:, axis] += np.bincount(
                triangles[:, corner], cross[:, axis], minlength=len(vertices)
            ).astype(np.float32)
    lengths = np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
    return np.asarray(normals / lengths, dtype=np.float32)
