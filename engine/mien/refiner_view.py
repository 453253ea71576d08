"""What the refiner sees of a frame: an upright, tight crop and maps of the face in it.

Shared by training, which draws samples with it, and by the stage that runs the network,
so that both see the same.
"""

from __future__ import annotations

from functools import cache, lru_cache
from math import atan2, cos, sin

import cv2
import numpy as np

from mien import _kernels
from mien.face_mesh import (
    FACE_OVAL,
    INNER_LIPS,
    LEFT_EYE,
    LEFT_IRIS,
    OUTER_LIPS,
    RIGHT_EYE,
    RIGHT_IRIS,
    VERTEX_COUNT,
    face_mesh,
)
from mien.types import F32Array, U8Array

CROP_SIZE = 192
"""Side of the crop in pixels."""

MAP_CHANNELS = 5
"""Canonical x, y, z; lids and iris; lips and mouth."""

INPUT_CHANNELS = 3 + 3 + 1 + MAP_CHANNELS + 1
"""Composite BGR, performer BGR (the network sees it coarsely), matte, maps, the gain's reach."""

VIEW_SIZE = 48
"""Side of the crop as the refiner sees it."""

# Side of the crop over the longer side of the upright box round the face oval: the true
# face reaches up to 12% beyond the oval, towards the hairline.
_MARGIN = 1.28
_LEFT_LIDS, _RIGHT_LIDS = np.array(LEFT_EYE), np.array(RIGHT_EYE)
_LEFT_IRIS, _RIGHT_IRIS = np.array(LEFT_IRIS), np.array(RIGHT_IRIS)
_OVAL = np.array(FACE_OVAL)
_OUTLINES = np.array([*LEFT_EYE, *RIGHT_EYE, *OUTER_LIPS, *INNER_LIPS])
_OUTLINE_ENDS = np.cumsum([len(LEFT_EYE), len(RIGHT_EYE), len(OUTER_LIPS)])
# Sub-pixel bits of polygon corners.
_SHIFT = 4
# The gain acts in full where the patch covers a third: all but at the face's outline.
_GAIN_SLOPE = 3


def crop_from_frame(landmarks: F32Array, size: int = CROP_SIZE) -> F32Array:
    """(2, 3) float32: maps frame pixels to pixels of the upright crop of a face.

    Args:
        landmarks: (478, 3) float32, frame pixels.
        size: side of the crop.
    """
    points = landmarks[:, :2]
    left, right = points[_LEFT_LIDS].mean(axis=0), points[_RIGHT_LIDS].mean(axis=0)
    across = left - right
    angle = -atan2(float(across[1]), float(across[0]))
    turn = np.array([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]], np.float32)
    oval = points[_OVAL] @ turn.T
    low, high = oval.min(axis=0), oval.max(axis=0)
    side = max(float((high - low).max()) * _MARGIN, 1.0)
    scale = np.float32(size / side)
    linear = turn * scale
    shift = np.float32((size - 1) / 2) - (low + high) / 2 * scale
    transform: F32Array = np.concatenate([linear, shift[:, None]], axis=1).astype(np.float32)
    return transform


def frame_from_crop(crop_transform: F32Array) -> F32Array:
    """(2, 3) float32: the way back."""
    return np.asarray(cv2.invertAffineTransform(crop_transform), np.float32)


def cut_crop(picture: U8Array, crop_transform: F32Array, size: int = CROP_SIZE) -> U8Array:
    """The crop of a picture; what lies outside repeats the border.

    Args:
        picture: (H, W) or (H, W, C) uint8.
        crop_transform: see :func:`crop_from_frame`.
        size: side of the crop.
    """
    transform = crop_transform
    shrink = int(1 / max(float(np.hypot(*crop_transform[:, 0])), 1e-6) + 0.25)
    if shrink > 1:
        picture, transform = _shrunk(picture, crop_transform, size, shrink)
    return np.asarray(
        cv2.warpAffine(
            picture,
            transform,
            (size, size),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.uint8,
    )


def _shrunk(
    picture: U8Array, transform: F32Array, size: int, factor: int
) -> tuple[U8Array, F32Array]:
    """The part of the picture under the crop, area-averaged, and its own transform."""
    back = frame_from_crop(transform)
    corners = np.array([[0, 0], [size, 0], [0, size], [size, size]], np.float32)
    where = corners @ back[:, :2].T + back[:, 2]
    height, width = picture.shape[:2]
    left = int(np.clip(np.floor(where[:, 0].min()) - factor, 0, max(width - factor, 0)))
    top = int(np.clip(np.floor(where[:, 1].min()) - factor, 0, max(height - factor, 0)))
    columns = max((min(int(np.ceil(where[:, 0].max())) + factor, width) - left) // factor, 1)
    rows = max((min(int(np.ceil(where[:, 1].max())) + factor, height) - top) // factor, 1)
    part = picture[top : top + rows * factor, left : left + columns * factor]
    small = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA)
    # Pixel centre i of the small picture lies at factor * i + (factor - 1) / 2 of the part.
    scaled = transform.copy()
    scaled[:, :2] *= factor
    scaled[:, 2] += transform[:, :2] @ np.array(
        [left + (factor - 1) / 2, top + (factor - 1) / 2], np.float32
    )
    return np.asarray(small, np.uint8), scaled


def crop_landmarks(landmarks: F32Array, crop_transform: F32Array) -> F32Array:
    """(478, 3) float32 landmarks in crop pixels; depth is scaled alike."""
    scale = np.float32(np.hypot(*crop_transform[:, 0]))
    moved = landmarks[:, :2] @ crop_transform[:, :2].T + crop_transform[:, 2]
    inside: F32Array = np.concatenate([moved, landmarks[:, 2:] * scale], axis=1)
    return inside.astype(np.float32, copy=False)


def stack_view(
    composite: U8Array, performer: U8Array, matte: U8Array, landmarks: F32Array
) -> U8Array:
    """(48, 48, 13) uint8: all that the refiner sees of a face.

    Args:
        composite: (S, S, 3) uint8, the crop with the patch in it.
        performer: (S, S, 3) uint8, the crop as it came.
        matte: (S, S) uint8, how much of the composite is the patch.
        landmarks: (478, 3) float32, crop pixels.
    """
    scale = np.float32(VIEW_SIZE / len(matte))
    points: F32Array = landmarks * scale
    # Pixel centre i of the smaller lies at (i + 0.5) / scale - 0.5 of the larger.
    points[:, :2] += (scale - 1) / 2
    small = shrunk(matte)
    maps = draw_maps(points, VIEW_SIZE)
    stacked = cv2.merge([shrunk(composite), shrunk(performer), small, maps, gain_reach(small)])
    return np.asarray(stacked, np.uint8)


def shrunk(crop: U8Array) -> U8Array:
    """(48, 48) or (48, 48, C) uint8: a crop at the size of the view, area-averaged."""
    size = (VIEW_SIZE, VIEW_SIZE)
    return np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_AREA), np.uint8)


def gain_reach(matte: U8Array) -> U8Array:
    """(S, S) uint8: where the refiner's gain acts. A face that is left bare is not touched.

    Args:
        matte: (S, S) uint8, how much of the composite is the patch.
    """
    reach = cv2.convertScaleAbs(matte, alpha=_GAIN_SLOPE)
    # A patch that is shown in part is mended in part.
    if 0 < (most := int(matte.max())) < 255:
        reach = cv2.convertScaleAbs(reach, alpha=most / 255)
    return np.asarray(reach, np.uint8)


@cache
def _coordinate_gain() -> F32Array:
    """(468, 3) float32: canonical x, y, z as 0..1."""
    vertices = face_mesh().vertices
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    gain: F32Array = ((vertices - low) / (high - low)).astype(np.float32)
    gain.flags.writeable = False
    return gain


@cache
def _white_skin() -> tuple[U8Array, U8Array]:
    """A texture that is white all over and hides what is under it, and its matte."""
    white = np.full((2, 2, 4), 255, np.uint8)
    white[..., 3] = 0
    return white, np.full((2, 2), 255, np.uint8)


@cache
def _no_offset() -> F32Array:
    return np.zeros((VERTEX_COUNT, 3), np.float32)


@lru_cache(maxsize=8)
def _black(size: int) -> U8Array:
    """(size, size, 3) uint8 that is only read."""
    return np.zeros((size, size, 3), np.uint8)


def draw_maps(landmarks: F32Array, size: int = CROP_SIZE) -> U8Array:
    """(size, size, 5) uint8 maps of a face in its crop.

    Canonical x, y and z of the surface (after the normalised coordinate code of Zhu et
    al. 2016, *Face Alignment Across Large Poses*), 0 off the face; eye opening 128 with
    the iris in it 255; lips 128 with the open mouth between them 255.

    Args:
        landmarks: (478, 3) float32, crop pixels.
        size: side of the crop.
    """
    opening, disc, lips = np.zeros((3, size, size), np.uint8)
    limit = 4 * size
    corners = np.round(np.clip(landmarks[_OUTLINES, :2], -limit, limit) * 2**_SHIFT)
    parts = np.split(corners.astype(np.int32), _OUTLINE_ENDS)
    for canvas, part, value in zip(
        (opening, opening, lips, lips), parts, (255, 255, 128, 255), strict=True
    ):
        cv2.fillPoly(canvas, [part], (value,), cv2.LINE_AA, _SHIFT)
    for iris in (_LEFT_IRIS, _RIGHT_IRIS):
        rim = landmarks[iris, :2]
        radius = float(np.linalg.norm(rim[1:] - rim[0], axis=1).mean())
        x, y = (round(_held(float(at), -size, 2 * size) * 2**_SHIFT) for at in rim[0])
        reach = int(_held(radius, 0, size) * 2**_SHIFT)
        cv2.circle(disc, (x, y), reach, (255,), -1, cv2.LINE_AA, _SHIFT)
    eyes = opening // 2 + cv2.bitwise_and(opening, disc) // 2
    return np.asarray(cv2.merge([_draw_surface(landmarks, size), eyes, lips]), np.uint8)


def _held(value: float, least: float, most: float) -> float:
    """The value within bounds; nought where there is none."""
    return min(max(value, least), most) if value == value else 0.0


def _draw_surface(landmarks: F32Array, size: int) -> U8Array:
    mesh = face_mesh()
    out = np.zeros((size, size, 3), np.uint8)
    vertices = np.ascontiguousarray(landmarks[:VERTEX_COUNT], np.float32)
    _kernels.raster_face(
        *_white_skin(),
        mesh.uv,
        vertices,
        np.ascontiguousarray(vertices[:, :2]),
        _coordinate_gain(),
        _no_offset(),
        mesh.triangles,
        _black(size),
        0,
        0,
        out,
        np.empty((size, size), np.uint8),
        np.empty((size, size), np.float32),
        1,
    )
    return out
