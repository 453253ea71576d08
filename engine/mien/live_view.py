"""What the live generator is told of a frame: where the head is, and a condition vector.

Shared by training, which draws samples with it, and by the swapper that runs the
networks, so that both see the same. Nothing here depends on the persona, and as little as
can be on who the performer is: expression is what differs from the performer's own neutral
face, light is what differs from the performer's own skin.

Two squares matter. The *crop* is what is cut from the frame and what the generator's
picture replaces. The *head's square* moves rigidly with the head: upright by the
head's own axis, centred on a point inside the face, its side a fixed number of canonical
centimetres. How the one lies in the other goes into the generator's input transform, so
that the picture sticks to the head however the crop was taken.

Two ONNX files, all float32, S = ``LIVE_SIZE``:

* ``encoder.onnx``: ``condition`` (1, CONDITION_SIZE) as :func:`observe_driver` gives it and a
  persona's ``latent`` (1, 256) -> ``w`` (1, 256).
* ``generator.onnx``: ``ws`` (1, L, 256), one row a layer, all ``w`` unless somebody mixes, and
  ``grid`` (1, 22, 22, 2) as :func:`mien.live_warp.input_grid` gives it -> ``image`` (1, 4, S, S):
  BGR 0..1, then how much of each pixel is the persona, 0..1. Colours mean nothing where that is 0.
"""

from __future__ import annotations

from functools import cache
from math import atan2, cos, sin
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from mien.face_light import HARMONICS, vertex_colours
from mien.face_mesh import (
    FACE_OVAL,
    INNER_LIPS,
    LEFT_BROW,
    LEFT_EYE,
    LEFT_IRIS,
    MIDDLE_LIP_PAIRS,
    OUTER_LIPS,
    RIGHT_BROW,
    RIGHT_EYE,
    RIGHT_IRIS,
)
from mien.face_shape import canonical_from_landmarks
from mien.refiner_view import crop_from_frame, cut_crop
from mien.types import F32Array, FaceTrack, HeadPose, U8Array

LIVE_SIZE = 128
"""Side of the generator's picture in pixels."""

LATENT_SIZE = 256
"""Numbers in a persona's latent."""

EYE_GAIN = 4.0
"""Lids and irises are eight numbers among hundreds, and small in the picture: the encoder hears
them so much louder."""

# The head's square: its side is the canonical face oval's height times the crop's margin.
HEAD_SPAN_CM = 22.6
"""Side of the head's square."""

HEAD_CENTRE_CM = np.array([0.0, -0.57, 2.0], dtype=np.float32)
"""Its middle in the canonical head."""

_JAW = FACE_OVAL[10:27]
_NOSE_AND_CHEEKS = (1, 4, 98, 327, 50, 280, 205, 425, 101, 330)

# Light is looked at through so many tiles a side, each of so many pixels.
_TILES, _TILE_PX = 6, 8
# Keeps the logarithm of dark pixels from following noise; code values.
_DARK = 8.0

# (ring of the eye, iris, upper and lower lid); the ring's points 0 and 8 are its corners.
_EYES = (
    (RIGHT_EYE, RIGHT_IRIS, 159, 145, 1.0),
    (LEFT_EYE, LEFT_IRIS, 386, 374, -1.0),
)


class LivePerformer(Protocol):
    """What is known of a performer; the mesh swapper's model of one fits."""

    neutral: F32Array
    normals: F32Array
    skin_bgr: F32Array

    def observe_shape(self, shape: F32Array) -> None:
        """Learns the neutral face from one more frame."""
        ...

    def observe_light(self, colours: F32Array, normals: F32Array) -> F32Array:
        """(9, 3) float32 coefficients of the light in this frame."""
        ...


@cache
def condition_points() -> npt.NDArray[np.int64]:
    """(137,) the mesh's vertices whose motion is told: lips, lids, brows, jaw, nose, cheeks."""
    middle = tuple(point for pair in MIDDLE_LIP_PAIRS for point in pair)
    parts = (OUTER_LIPS, INNER_LIPS, middle, LEFT_EYE, RIGHT_EYE, LEFT_BROW, RIGHT_BROW, _JAW)
    indices = sorted({*_NOSE_AND_CHEEKS, *(point for part in parts for point in part)})
    points: npt.NDArray[np.int64] = np.array(indices, dtype=np.int64)
    points.flags.writeable = False
    return points


def condition_parts() -> dict[str, slice]:
    """Where in the vector each part lies: expression, eyes, pose, tone, tiles, light."""
    sizes = {
        "expression": 3 * len(condition_points()),
        "eyes": 8,
        "pose": 6,
        "tone": 6,
        "tiles": 3 * _TILES**2,
        "light": 3 * HARMONICS,
    }
    parts, start = {}, 0
    for name, size in sizes.items():
        parts[name] = slice(start, start + size)
        start += size
    return parts


CONDITION_SIZE = condition_parts()["light"].stop
"""Numbers in a condition vector."""


def live_crop(landmarks: F32Array) -> F32Array:
    """(2, 3) float32: maps frame pixels to the tight upright crop of 128 px.

    Any crop near it will do: whoever follows a face over time may smooth it.

    Args:
        landmarks: (478, 3) float32, frame pixels.
    """
    return crop_from_frame(landmarks, LIVE_SIZE)


def head_from_frame(pose: HeadPose, size: int = LIVE_SIZE) -> F32Array:
    """(2, 3) float32: maps frame pixels to pixels of the head's square.

    Args:
        pose: of the head in the frame.
        size: side of the square in pixels.
    """
    roll = _in_plane(pose.rotation)
    scale = size / (HEAD_SPAN_CM * max(pose.scale, 1e-6))
    # Pictures have y downwards, so a turn by -roll in the view is one by +roll here.
    linear = np.array([[cos(roll), -sin(roll)], [sin(roll), cos(roll)]]) * scale
    view = pose.scale * (pose.rotation @ HEAD_CENTRE_CM) + pose.translation
    centre = np.array([view[0], -view[1]])
    shift = (size - 1) / 2 - linear @ centre
    return np.asarray(np.concatenate([linear, shift[:, None]], axis=1), dtype=np.float32)


def input_transform(crop: F32Array, pose: HeadPose, size: int = LIVE_SIZE) -> F32Array:
    """(3, 3) float32: from the crop to the head's square.

    Both in units of their side with 0 in the middle, x to the right, y down. The identity
    where the crop is the head's square itself.

    Args:
        crop: (2, 3), crop-from-frame.
        pose: of the head in the frame.
        size: side of the crop in pixels.
    """
    head = _whole(head_from_frame(pose, size))
    unit_from_pixel = np.array(
        [
            [1 / size, 0, -(size - 1) / (2 * size)],
            [0, 1 / size, -(size - 1) / (2 * size)],
            [0, 0, 1],
        ]
    )
    between = head @ np.linalg.inv(_whole(crop))
    return np.asarray(unit_from_pixel @ between @ np.linalg.inv(unit_from_pixel), dtype=np.float32)


def observe_driver(frame_bgr: U8Array, track: FaceTrack, performer: LivePerformer) -> F32Array:
    """The condition vector of a frame; the performer's model learns from it on the way.

    Call it once for every frame, in order, with one model for each face.

    Args:
        frame_bgr: (H, W, 3) uint8.
        track: the face in it.
        performer: what is known of who acts.

    Returns:
        (CONDITION_SIZE,) float32, finite; see :func:`condition_parts`.
    """
    pose, landmarks = track.pose, track.landmarks
    shape = canonical_from_landmarks(landmarks, pose)
    performer.observe_shape(shape)
    colours = vertex_colours(frame_bgr, landmarks, pose.scale)
    light = performer.observe_light(colours, performer.normals @ pose.rotation.T)
    condition = np.empty(CONDITION_SIZE, dtype=np.float32)
    parts = condition_parts()
    points = condition_points()
    condition[parts["expression"]] = (shape - performer.neutral)[points].reshape(-1)
    condition[parts["eyes"]] = _eyes(landmarks, shape, performer.neutral)
    condition[parts["pose"]] = _upright(pose.rotation)[:, :2].T.reshape(-1)
    skin = np.maximum(performer.skin_bgr, 1.0)
    tiles = _tiles(frame_bgr, pose)
    mean = tiles.mean(axis=(0, 1))
    condition[parts["tone"]] = np.r_[mean, np.log((skin + _DARK) / 128)]
    condition[parts["tiles"]] = (tiles - mean).reshape(-1)
    condition[parts["light"]] = (light / skin).reshape(-1)
    return np.nan_to_num(condition, copy=False, nan=0.0, posinf=0.0, neginf=0.0)


def _whole(affine: F32Array) -> npt.NDArray[np.float64]:
    return np.vstack([affine.astype(np.float64), [0.0, 0.0, 1.0]])


def _in_plane(rotation: F32Array) -> float:
    """Angle of the head's own upward axis in the picture, counter-clockwise from upright."""
    return atan2(-float(rotation[0, 1]), float(rotation[1, 1]))


def _upright(rotation: F32Array) -> F32Array:
    """The rotation less what is in the plane of the picture."""
    roll = _in_plane(rotation)
    back = np.array([[cos(roll), sin(roll), 0], [-sin(roll), cos(roll), 0], [0, 0, 1]], np.float32)
    return np.asarray(back @ rotation, np.float32)


def _eyes(landmarks: F32Array, shape: F32Array, neutral: F32Array) -> F32Array:
    """(8,): for the right and the left eye, opening over width, opening over that of the
    neutral face, and the iris across and up from the middle of the corners, over width."""
    values = []
    for ring, iris, upper, lower, side in _EYES:
        corners = landmarks[[ring[0], ring[8]], :2]
        # From the picture's left corner to its right one.
        across = (corners[1] - corners[0]) * np.float32(side)
        width = max(float(np.hypot(*across)), 1e-3)
        across = across / np.float32(width)
        gap = landmarks[lower, :2] - landmarks[upper, :2]
        away = landmarks[iris[0], :2] - corners.mean(axis=0)
        opening = (across[0] * gap[1] - across[1] * gap[0]) / width
        present = float(np.linalg.norm(shape[upper] - shape[lower]))
        usual = max(float(np.linalg.norm(neutral[upper] - neutral[lower])), 0.1)
        values += [
            float(opening),
            min(present / usual, 3.0),
            float(across @ away) / width,
            float(across[1] * away[0] - across[0] * away[1]) / width,
        ]
    return np.array(values, dtype=np.float32)


def _tiles(frame_bgr: U8Array, pose: HeadPose) -> F32Array:
    """(6, 6, 3) float32: log of the mean colour of each part of the head's square."""
    size = _TILES * _TILE_PX
    square = cut_crop(frame_bgr, head_from_frame(pose, size), size)
    small = cv2.resize(square.astype(np.float32), (_TILES, _TILES), interpolation=cv2.INTER_AREA)
    return np.asarray(np.log((small + _DARK) / 128), np.float32)
