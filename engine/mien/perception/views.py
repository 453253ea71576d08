"""What a set of landmarks tells about itself: in the picture, judgeable, changed?"""

from __future__ import annotations

from functools import cache

import numpy as np

from mien.face_mesh import face_mesh
from mien.perception.pose import estimate_pose
from mien.types import F32Array, U8Array

_LEAST_IN_PICTURE = 0.35
"""Share of the landmarks that must lie in the picture; the rest is the model's guess."""

_LEAST_TO_JUDGE = 0.9
"""The same for a face that is to be recognised."""

_WIDEST_YAW_DEG, _WIDEST_PITCH_DEG = 40.0, 30.0
"""Identity was measured up to about these turns (distances to 0.44); beyond, nobody is judged."""

_SMALLEST_EYES_PX = 14.0
"""Least distance between the outer eye corners for a usable descriptor."""


def in_picture(landmarks: F32Array, image_bgr: U8Array) -> bool:
    """True when enough of the face lies inside the image."""
    return _share_in_picture(landmarks, image_bgr) >= _LEAST_IN_PICTURE


def judgeable(landmarks: F32Array, image_bgr: U8Array) -> bool:
    """True when the identity descriptor can be trusted on this view."""
    if float(np.hypot(*(landmarks[263, :2] - landmarks[33, :2]))) < _SMALLEST_EYES_PX:
        return False
    if _share_in_picture(landmarks, image_bgr) < _LEAST_TO_JUDGE:
        return False
    pose = estimate_pose(landmarks)
    return abs(pose.yaw_deg) < _WIDEST_YAW_DEG and abs(pose.pitch_deg) < _WIDEST_PITCH_DEG


def shape_change(before: F32Array, after: F32Array) -> float:
    """How much a face deformed between two frames, apart from moving.

    RMS distance of the stable points after the best similarity, over their spread. A
    face that turns or speaks changes little in one frame; a region that slides from one
    head to another changes much.
    """
    indices = _stable_points()
    a = before[indices, 0] + 1j * before[indices, 1]
    b = after[indices, 0] + 1j * after[indices, 1]
    a, b = a - a.sum() / len(a), b - b.sum() / len(b)
    spread = float(np.vdot(a, a).real)
    if spread < 1e-9:
        return 0.0
    rest = b - a * (np.vdot(a, b) / spread)
    return float(np.sqrt(np.vdot(rest, rest).real / max(np.vdot(b, b).real, 1e-9)))


def _share_in_picture(landmarks: F32Array, image_bgr: U8Array) -> float:
    height, width = image_bgr.shape[:2]
    x, y = landmarks[:, 0], landmarks[:, 1]
    if x.min() >= 0 and y.min() >= 0 and x.max() < width and y.max() < height:
        return 1.0
    return float(((x >= 0) & (y >= 0) & (x < width) & (y < height)).mean())


@cache
def _stable_points() -> np.ndarray[tuple[int, ...], np.dtype[np.intp]]:
    return np.nonzero(face_mesh().pose_weights)[0]
