"""Finds faces for the benchmarks: unsmoothed, and quickly where one face is expected."""

from __future__ import annotations

from mien.closing import Closing
from mien.perception import FaceTracker, estimate_pose
from mien.perception.landmarks import FACE_BELIEF, Landmarker
from mien.perception.roi import roi_from_landmarks
from mien.types import F32Array, FaceTrack, U8Array

# The first round looks where the face should be, the second where it is.
_ROUNDS = 2


class FaceReader(Closing):
    """Landmarks of each picture for itself, so that nothing is smoothed away.

    All pictures of a frame are looked at in the region of the performer's face. Belongs to
    one thread.

    Attributes:
        finder: looks for faces in whole pictures.
    """

    def __init__(self, threads: int = 1) -> None:
        self.finder = FaceTracker()
        self._landmarker = Landmarker(threads)

    def read(self, picture: U8Array, near: F32Array | None) -> FaceTrack | None:
        """The face near the given landmarks, or the largest of the picture without any.

        Args:
            picture: (H, W, 3) uint8 BGR.
            near: (478, 3) float32 landmarks of a face that should lie where this one does.
        """
        if near is None:
            return next(iter(self.finder.find(picture)), None)
        landmarks, belief = self._landmarker.locate_refined(
            picture, roi_from_landmarks(near), rounds=_ROUNDS
        )
        if belief < FACE_BELIEF:
            return None
        return FaceTrack(
            track_id=0,
            landmarks=landmarks,
            pose=estimate_pose(landmarks),
            quality=belief,
            age=0,
            is_performer=True,
        )

    def close(self) -> None:
        """Frees the networks."""
        self._landmarker.close()
        self.finder.close()
