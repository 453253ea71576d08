"""What a face does, read from its landmarks or its maker's parameters, and how well two agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mien.face_mesh import (
    FACE_OVAL,
    INNER_LIPS,
    LEFT_BROW,
    LEFT_EYE,
    LEFT_IRIS,
    LEFT_LID_PAIRS,
    OUTER_LIPS,
    RIGHT_BROW,
    RIGHT_EYE,
    RIGHT_IRIS,
    RIGHT_LID_PAIRS,
)
from mien.types import F32Array, FaceTrack
from mien_benchmarks.truth_set import Parameters

SIGNALS = ("pose", "jaw", "gaze", "blink")
"""What parameters and landmarks both tell; the expression is only seen."""

# Outer corner, inner corner; the middle three of the lid's seven pairs tell how open it is.
_EYES = (
    (RIGHT_EYE[0], RIGHT_EYE[8], RIGHT_IRIS[0], RIGHT_LID_PAIRS[2:5]),
    (LEFT_EYE[8], LEFT_EYE[0], LEFT_IRIS[0], LEFT_LID_PAIRS[2:5]),
)
_FACE = (*OUTER_LIPS, *INNER_LIPS, *LEFT_EYE, *RIGHT_EYE, *LEFT_BROW, *RIGHT_BROW)
_UPPER_LIP, _LOWER_LIP = 13, 14
# An eye that is shut further than this shows no gaze: strength of the unit, and lid gap over
# the eye's width.
_SHUT, _SHUT_GAP = 0.5, 0.10
# The iris stands out before the corners of the eye by this share of its width, so a head that
# turns moves it as a glance would. Fitted to rendered clips whose gaze is known: uncorrected, a
# performer who keeps looking at the camera is read the wrong way round (correlation -0.3).
_STANDS_OUT = 0.15
# A signal that moves less than this tells nothing; units of the signal.
_STILL = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """What a face does in every frame of a clip; NaN where no face was found.

    Attributes:
        pose: (N, 3) yaw, pitch, roll, degrees.
        jaw: (N, 1) how open the mouth is.
        gaze: (N, 1) to the person's left; NaN where the eyes are shut.
        blink: (N, 1) how shut the eyes are.
        expression: (N, K) lips, lids and brows in the head's own axes, eye distances;
            no columns where parameters are all there is.
    """

    pose: F32Array
    jaw: F32Array
    gaze: F32Array
    blink: F32Array
    expression: F32Array


def motion_of_faces(faces: list[FaceTrack | None]) -> Motion:
    """The motion of a face that was found frame by frame."""
    rows = [_read(face) if face is not None else None for face in faces]
    widths = (3, 1, 1, 1, 3 * len(_FACE))
    columns = []
    for part, width in enumerate(widths):
        lost = np.full(width, np.nan, np.float32)
        parts = [lost if row is None else np.reshape(row[part], width) for row in rows]
        columns.append(np.asarray(parts, np.float32).reshape(-1, width))
    pose, jaw, gaze, blink, expression = columns
    return Motion(pose=pose, jaw=jaw, gaze=gaze, blink=blink, expression=expression)


def motion_of_parameters(parameters: Parameters, frames: int) -> Motion:
    """The motion that a clip's maker put in; gaze is NaN where the eyes are shut."""
    shut = parameters.blink[:frames] > _SHUT
    gaze = np.where(shut, np.nan, parameters.gaze[:frames, 0])
    return Motion(
        pose=parameters.pose_deg[:frames],
        jaw=parameters.jaw[:frames, None],
        gaze=gaze[:, None].astype(np.float32),
        blink=parameters.blink[:frames, None],
        expression=np.empty((len(gaze), 0), np.float32),
    )


def agreement(pairs: list[tuple[F32Array, F32Array]]) -> float | None:
    """How alike signals move: the mean of the clips' correlations, each about its own means.

    What is constant in a clip (the shape of a mouth, a head's rest pose) does not count, nor
    does how far a signal swings. Clips in which the second signal moves more count more. The
    columns of a clip are correlated together, so those that move more count more. One that
    stands still while the other moves agrees with it in nothing: 0.

    Args:
        pairs: for each clip (N, K) of the one who is judged and of the one who is right;
            frames with a NaN in either are left out.

    Returns:
        -1..1; None where the second stands still or no frame is left.
    """
    agreed = weights = 0.0
    for one, other in pairs:
        both = np.isfinite(one).all(axis=1) & np.isfinite(other).all(axis=1)
        if both.sum() < 2 or not other.shape[1]:
            continue
        a, b = one[both].astype(np.float64), other[both].astype(np.float64)
        a, b = a - a.mean(axis=0), b - b.mean(axis=0)
        swing, weight = float(np.sqrt((a * a).mean())), float(np.sqrt((b * b).mean()))
        if weight <= _STILL:
            continue
        correlation = float((a * b).mean()) / (swing * weight) if swing > _STILL else 0.0
        agreed += weight * correlation
        weights += weight
    return agreed / weights if weights > 0 else None


def mean_difference(pairs: list[tuple[F32Array, F32Array]]) -> float | None:
    """Mean absolute difference of signals over all clips; None where nothing is left."""
    differences = [np.abs(one - other).ravel() for one, other in pairs]
    joined = np.concatenate(differences) if differences else np.empty(0)
    joined = joined[np.isfinite(joined)]
    return float(joined.mean()) if joined.size else None


def landmark_distance(one: F32Array, other: F32Array) -> float:
    """Mean distance of the points of two faces, as a share of the eye distance of the other.

    The oval is left out: it is where a persona's head may differ in shape, and where
    landmarks are least certain.

    Args:
        one, other: (478, 3) float32, pixels of the same picture.
    """
    inner = np.setdiff1d(np.arange(468), FACE_OVAL)
    apart = np.linalg.norm(one[inner, :2] - other[inner, :2], axis=1).mean()
    return float(apart / max(np.linalg.norm(other[33, :2] - other[263, :2]), 1e-3))


def _read(face: FaceTrack) -> tuple[F32Array, float, float, float, F32Array]:
    points = face.landmarks
    eyes = max(float(np.linalg.norm(points[33] - points[263])), 1e-3)
    gaps, looks = [], []
    for first, second, iris, lids in _EYES:
        width = max(float(np.linalg.norm(points[second] - points[first])), 1e-3)
        upper, lower = np.array(lids).T
        gaps.append(np.linalg.norm(points[upper] - points[lower], axis=1).mean() / width)
        along = points[second, :2] - points[first, :2]
        middle = (points[second, :2] + points[first, :2]) / 2
        looks.append((points[iris, :2] - middle) @ along / max(float(along @ along), 1e-6))
    pose = face.pose
    parallax = _STANDS_OUT * np.tan(np.radians(np.clip(pose.yaw_deg, -60, 60)))
    # Rows are points, so this multiplies with the transposed rotation: back to the head's axes.
    turned = (points[list(_FACE)] * (1, -1, -1)) @ pose.rotation / eyes
    turned -= turned.mean(axis=0)
    return (
        np.array([pose.yaw_deg, pose.pitch_deg, pose.roll_deg], np.float32),
        float(np.linalg.norm(points[_UPPER_LIP] - points[_LOWER_LIP])) / eyes,
        float(np.mean(looks) - parallax) if np.mean(gaps) > _SHUT_GAP else float("nan"),
        -float(np.mean(gaps)),
        np.asarray(turned.ravel(), np.float32),
    )
