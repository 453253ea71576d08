"""What the occlusion net sees of a frame: a small upright crop, maps of the face in it, and how
it differs from what the same face looked like when nothing covered it.

Shared by training and by the stage that runs the network, so that both see the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mien import _kernels
from mien.face_mesh import VERTEX_COUNT, face_mesh
from mien.refiner_view import MAP_CHANNELS, draw_maps
from mien.types import F32Array, U8Array

CROP_SIZE = 128
"""Side of the crop in pixels; its place is that of :func:`mien.refiner_view.crop_from_frame`."""

NEWS_CHANNELS = 4
"""Difference BGR, and where there is something to compare with."""

INPUT_CHANNELS = 3 + MAP_CHANNELS + NEWS_CHANNELS
"""Frame BGR, the maps of :func:`mien.refiner_view.draw_maps`, :func:`draw_news`; 0..1."""

UNCHANGED = 128
"""What a difference of nothing is written as."""

# A hand before a face of its own colour differs by 20 or 30 code values; from 43 on more says
# no more.
_NEWS_GAIN = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BareMoment:
    """What a face looked like a moment ago, in its crop.

    Attributes:
        crop: (S, S, 3) uint8 BGR.
        landmarks: (478, 3) float32, pixels of that crop.
        known: (S, S) uint8, 255 where nothing covered the face.
    """

    crop: U8Array
    landmarks: F32Array
    known: U8Array


def stack_inputs(crop: U8Array, landmarks: F32Array, before: BareMoment | None) -> U8Array:
    """(S, S, 12) uint8: all that the occlusion net sees; it takes them over 255.

    Args:
        crop: (S, S, 3) uint8 BGR.
        landmarks: (478, 3) float32, crop pixels.
        before: what the face looked like, or None.
    """
    maps = draw_maps(landmarks, len(crop))
    return np.dstack([crop, maps, draw_news(crop, landmarks, before)])


def draw_news(crop: U8Array, landmarks: F32Array, before: BareMoment | None) -> U8Array:
    """(S, S, 4) uint8: how a face differs from what it looked like before.

    The picture from before is bent by the face's mesh to where the face is now. The first
    three channels hold half the difference about 128, the fourth is 255 where there was
    something to compare with; without any, and off the face, they are 128 and 0.

    Args:
        crop: (S, S, 3) uint8 BGR.
        landmarks: (478, 3) float32, crop pixels.
        before: what the face looked like, or None.
    """
    nothing = np.full_like(crop, UNCHANGED)
    if before is None:
        return np.dstack([nothing, np.zeros(crop.shape[:2], np.uint8)])
    mesh = face_mesh()
    size = len(crop)
    texture = np.zeros((*before.crop.shape[:2], 4), np.uint8)
    texture[..., :3] = before.crop
    # Pixel centre i of the picture lies at (i + 0.5) / side of the texture.
    uv = (before.landmarks[:VERTEX_COUNT, :2] + np.float32(0.5)) / np.float32(len(before.crop))
    vertices = np.ascontiguousarray(landmarks[:VERTEX_COUNT], np.float32)
    bent = np.empty((size, size, 3), np.uint8)
    known = np.empty((size, size), np.uint8)
    _kernels.raster_face(
        texture,
        before.known,
        np.ascontiguousarray(np.clip(uv, 0, 1), np.float32),
        vertices,
        np.ascontiguousarray(vertices[:, :2]),
        np.ones((VERTEX_COUNT, 3), np.float32),
        np.zeros((VERTEX_COUNT, 3), np.float32),
        mesh.triangles,
        np.ascontiguousarray(crop),
        0,
        0,
        bent,
        known,
        np.empty((size, size), np.float32),
        1,
    )
    difference = cv2.addWeighted(crop, _NEWS_GAIN, bent, -_NEWS_GAIN, UNCHANGED)
    cv2.copyTo(difference, known, nothing)
    return np.dstack([nothing, known])
