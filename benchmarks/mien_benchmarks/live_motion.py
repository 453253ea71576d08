"""Do drawn faces move as their true swaps do: what the landmark network reads off both."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

from mien.perception.landmarks import Landmarker
from mien.perception.pose import estimate_pose
from mien.perception.roi import roi_from_landmarks
from mien.types import F32Array, FaceTrack
from mien_benchmarks.truth_motion import Motion, agreement, motion_of_faces

# Faces are as small as the generator's pictures; the landmark network looks at 192 px.
_ENLARGED = 2

Picture = npt.NDArray[np.uint8]


def motion_agreement(cases: Iterable[tuple[str, Picture, Picture, F32Array]]) -> dict[str, float]:
    """Correlation of jaw, gaze, blink and expression, for each persona about its own means.

    Args:
        cases: who is drawn, the drawn and the true picture, (S, S, 3) uint8, and the
            landmarks, (478, 2) float32, pixels of the pictures, that say where to look.
    """
    landmarker = Landmarker()
    seen: dict[str, tuple[list[FaceTrack | None], list[FaceTrack | None]]] = {}
    for persona, drawn, truth, landmarks in cases:
        for faces, picture in zip(seen.setdefault(persona, ([], [])), (drawn, truth), strict=True):
            faces.append(_read(landmarker, picture, landmarks))
    landmarker.close()
    motions = [tuple(motion_of_faces(faces) for faces in both) for both in seen.values()]
    return {
        name: agreement([(_part(one, name), _part(other, name)) for one, other in motions]) or 0.0
        for name in ("jaw", "gaze", "blink", "expression")
    }


def _part(motion: Motion, name: str) -> F32Array:
    values: F32Array = getattr(motion, name)
    return values


def _read(landmarker: Landmarker, picture: Picture, landmarks: F32Array) -> FaceTrack:
    large = np.asarray(
        cv2.resize(picture, None, fx=_ENLARGED, fy=_ENLARGED, interpolation=cv2.INTER_CUBIC),
        np.uint8,
    )
    there = np.zeros((len(landmarks), 3), np.float32)
    # Pixel centre i of the picture lies at (i + 0.5) * _ENLARGED - 0.5 of the larger one.
    there[:, :2] = (landmarks + 0.5) * _ENLARGED - 0.5
    found, quality = landmarker.locate_refined(large, roi_from_landmarks(there), rounds=2)
    return FaceTrack(
        track_id=0,
        landmarks=found,
        pose=estimate_pose(found),
        quality=quality,
        age=0,
        is_performer=True,
    )
