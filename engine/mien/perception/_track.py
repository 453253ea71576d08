"""What the tracker remembers about one face."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mien.perception.descriptor import SAME_PERSON_SAME_DAY, distance
from mien.perception.roi import RegionKeeper, Roi, roi_from_landmarks
from mien.perception.smoothing import OneEuro
from mien.types import F32Array

_SAMPLES = 4
"""Descriptors averaged into an identity; more would follow slow drift."""

_SOONEST_S, _LATEST_S = 0.1, 1.0
"""A young or doubtful track is checked soon, then at doubling intervals."""


@dataclass(slots=True)
class Identity:
    """The mean descriptor of one person's first good views, and how far it reaches."""

    mean: F32Array
    samples: int = 1
    reach: float = SAME_PERSON_SAME_DAY

    def distance(self, descriptor: F32Array) -> float:
        """How far the descriptor lies from this person."""
        return distance(self.mean, descriptor)

    def fits(self, descriptor: F32Array) -> bool:
        """True when the descriptor is near enough to be this person's."""
        return self.distance(descriptor) < self.reach

    def add(self, descriptor: F32Array) -> None:
        """Take one more view into the mean, up to a few."""
        if self.samples < _SAMPLES:
            self.samples += 1
            self.mean = self.mean + (descriptor - self.mean) / np.float32(self.samples)


@dataclass(slots=True)
class Track:
    """One face that is being followed.

    ``landmarks`` are as the network gave them; the smoothed ones are only published.
    """

    track_id: int
    landmarks: F32Array
    quality: float
    region: RegionKeeper
    age: int = 0
    identity: Identity | None = None
    smoother: OneEuro = field(default_factory=OneEuro)
    check_at_s: float = 0.0
    interval_s: float = _SOONEST_S
    strikes: int = 0

    @classmethod
    def at(cls, landmarks: F32Array, quality: float) -> Track:
        """A track without an id that begins on these landmarks."""
        return cls(-1, landmarks, quality, RegionKeeper(roi_from_landmarks(landmarks)))

    @property
    def roi(self) -> Roi:
        """Where to look for the face in the next frame."""
        return self.region.roi

    def move_to(self, landmarks: F32Array, quality: float) -> None:
        """Take the landmarks of the next frame."""
        self.landmarks, self.quality = landmarks, quality
        self.region.follow(landmarks)

    @property
    def size_px(self) -> float:
        """Long side of the landmarks' box."""
        return self.roi.side / 1.5

    def doubt(self) -> None:
        """Have the identity checked on this very frame."""
        self.check_at_s = 0.0
        self.interval_s = _SOONEST_S

    def judge(self, descriptor: F32Array, time_s: float) -> bool:
        """Compare with the track's own identity.

        Returns:
            False when this is another person now: twice in a row it did not match.
        """
        self.check_at_s = time_s + self.interval_s
        self.interval_s = min(self.interval_s * 2, _LATEST_S)
        if self.identity is None:
            self.identity = Identity(descriptor)
        elif self.identity.fits(descriptor):
            self.identity.add(descriptor)
        else:
            self.strikes += 1
            self.doubt()
            return self.strikes < 2
        self.strikes = 0
        return True


@dataclass(slots=True)
class Lost:
    """A person who left the picture, and the id to give back on return."""

    track_id: int
    identity: Identity
    roi: Roi
    time_s: float


class Memory:
    """People who left, so that they get their track id back."""

    _KEEP_S = 30.0
    _KEEP = 16
    _HERE_S = 0.5
    _HERE = 0.4

    def __init__(self) -> None:
        self._lost: list[Lost] = []

    def add(self, track: Track, time_s: float) -> None:
        """Remember a track that ended, if it was ever recognised."""
        if track.identity is not None:
            self._lost.append(Lost(track.track_id, track.identity, track.roi, time_s))
            del self._lost[: -self._KEEP]

    def recall(self, descriptor: F32Array, time_s: float) -> Lost | None:
        """Take out the person who fits the descriptor best, if any does."""
        best = self._nearest(descriptor, time_s)
        if best is not None:
            self._lost.remove(best)
        return best

    def knows(self, descriptor: F32Array, time_s: float) -> bool:
        """True when :meth:`recall` would find somebody."""
        return self._nearest(descriptor, time_s) is not None

    def recall_place(self, roi: Roi, time_s: float) -> Lost | None:
        """Take out the person who was lost just here, just now.

        For a face turned too far to be recognised; it is checked once it turns back.
        """
        for lost in self._lost:
            if time_s - lost.time_s < self._HERE_S and lost.roi.overlap(roi) > self._HERE:
                self._lost.remove(lost)
                return lost
        return None

    def _nearest(self, descriptor: F32Array, time_s: float) -> Lost | None:
        self._lost = [lost for lost in self._lost if time_s - lost.time_s < self._KEEP_S]
        best = min(self._lost, key=lambda lost: lost.identity.distance(descriptor), default=None)
        return best if best is not None and best.identity.fits(descriptor) else None
