"""Keeps what a face looked like when nothing covered it, to compare with what is seen now."""

from __future__ import annotations

import cv2
import numpy as np

from mien.face_mesh import FACE_OVAL
from mien.occlusion_view import BareMoment
from mien.types import F32Array, U8Array

# Looks for which nothing new may be found before a moment takes the place of another: a hand
# that was missed at first has been found, or is gone.
_PROVEN_AFTER = 12
# Looks after which a memory is forgotten. A lamp that was switched on or glasses that were
# put on differ from the memory for as long as it lasts; 6 seconds at 30 pictures a second.
_FORGOTTEN_AFTER = 180
# Share of the face that may be covered at a bare moment (a fringe); what is covered then is
# not known. No more may be than at the moment before, or a hand that stays would become unknown.
_MOST_COVERED, _GROWTH = 0.12, 0.01
# A guess from here on is not remembered as face.
_SUSPECT = 0.15


class BareMemory:
    """The last bare moment of one face. Belongs to one thread."""

    def __init__(self) -> None:
        self._kept: BareMoment | None = None
        self._kept_at = 0
        self._kept_share = 0.0
        self._next: BareMoment | None = None
        self._next_at = 0
        self._next_share = 0.0

    def recall(self, look: int) -> BareMoment | None:
        """The bare moment to compare with; None if there is none or it is too long ago.

        Where none is proven yet, the latest that looked bare must do.

        Args:
            look: number of the look.
        """
        if self._kept is not None and look - self._kept_at > _FORGOTTEN_AFTER:
            self._kept = None
        return self._kept or self._next

    def note(self, crop: U8Array, landmarks: F32Array, guess: F32Array, look: int) -> None:
        """Takes in what was seen and found at a look.

        Args:
            crop: (S, S, 3) uint8 BGR.
            landmarks: (478, 3) float32, crop pixels.
            guess: (S, S) float32, 0..1, how much each pixel is covered.
            look: number of the look.
        """
        face = np.zeros(guess.shape, np.uint8)
        corners = np.clip(landmarks[list(FACE_OVAL), :2], -1000, 1000)
        cv2.fillPoly(face, [np.round(corners).astype(np.int32)], (1,))
        suspect = np.asarray((guess > _SUSPECT) & (face > 0), np.uint8)
        share = float(suspect.sum()) / max(float(face.sum()), 1.0)
        if self._next is not None:
            if share > self._next_share + _GROWTH:
                if self._kept is None:
                    self._keep()
                self._next = None
            elif look - self._next_at >= _PROVEN_AFTER:
                self._keep()
        most = _MOST_COVERED if self._kept is None else self._kept_share + _GROWTH
        if self._next is None and share <= most:
            known = cv2.dilate(suspect, np.ones((5, 5), np.uint8)) == 0
            self._next = BareMoment(
                crop=crop, landmarks=landmarks, known=np.where(known, 255, 0).astype(np.uint8)
            )
            self._next_at, self._next_share = look, share

    def _keep(self) -> None:
        self._kept, self._next = self._next, None
        self._kept_at, self._kept_share = self._next_at, self._next_share
