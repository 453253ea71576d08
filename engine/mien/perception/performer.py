"""The performer lock: which of the faces is to be swapped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mien.perception._track import Identity, Track
from mien.perception.descriptor import SAME_PERSON
from mien.types import F32Array

_SETTLED_FRAMES = 3
"""A track must live this long before its identity becomes the performer's."""

_CLEARLY_BETTER = 0.1
"""A newcomer takes the lock from a match only if nearer by this distance."""


class PerformerLock:
    """Keeps the swap on one person.

    With an enrolled descriptor, only a face that matches it is the performer. Without
    one, the largest face at the start is, and its own first good views become the
    descriptor that decides who comes back. One thread at a time may use it.
    """

    def __init__(self) -> None:
        self._enrolled: Identity | None = None
        self._learned: Identity | None = None
        self._performer_id: int | None = None
        self._cast: dict[str, Identity] = {}
        self._roles: dict[int, str] = {}
        self._is_new_scene = False

    def enrol_cast(self, descriptors: Mapping[str, F32Array]) -> None:
        """Lock on to several people at once, each under the name of a role.

        Raises:
            ValueError: a descriptor is not (128,) finite numbers.
        """
        self._cast = {
            role: Identity(_checked(descriptor).copy(), reach=SAME_PERSON)
            for role, descriptor in descriptors.items()
        }
        self._roles = {}

    def is_missing(self, tracks: Sequence[Track]) -> bool:
        """True while somebody whom the lock knows is not among the tracks."""
        seen = [track.identity.mean for track in tracks if track.identity is not None]
        targets = list(self._cast.values()) or ([self.target] if self.target else [])
        return not all(any(target.fits(mean) for mean in seen) for target in targets)

    def assign(self, tracks: Sequence[Track]) -> dict[int, str]:
        """Role by track id of the performers among the tracks of this frame.

        Each role goes to the nearest track and each track to one role; a track keeps its
        role unless another fits clearly better.
        """
        if not self._cast:
            performer = self.choose(tracks)
            return {} if performer is None else {performer.track_id: ""}
        pairs = []
        for track in tracks:
            if track.identity is None:
                continue
            for role, target in self._cast.items():
                gap = target.distance(track.identity.mean)
                kept = self._roles.get(track.track_id) == role
                if gap < target.reach:
                    pairs.append((gap - _CLEARLY_BETTER * kept, track.track_id, role))
        roles: dict[int, str] = {}
        for _, track_id, role in sorted(pairs):
            if track_id not in roles and role not in roles.values():
                roles[track_id] = role
        self._roles = roles
        return roles

    @property
    def has_cast(self) -> bool:
        """Several people are enrolled."""
        return bool(self._cast)

    @property
    def enrolled(self) -> Identity | None:
        """The enrolled performer."""
        return self._enrolled

    @property
    def target(self) -> Identity | None:
        """Whom the lock waits for or follows; None when any face may take it."""
        return self._enrolled or self._learned

    def enrol(self, descriptor: F32Array | None) -> None:
        """Lock on to the person of this descriptor, or with None on to whoever starts.

        Raises:
            ValueError: the descriptor is not (128,) finite numbers.
        """
        if descriptor is not None:
            descriptor = _checked(descriptor)
        self._enrolled = (
            None if descriptor is None else Identity(descriptor.copy(), reach=SAME_PERSON)
        )
        self._learned = None
        self._performer_id = None

    def matches(self, descriptor: F32Array) -> bool:
        """True when the lock knows its person and this is that person."""
        if self._cast:
            return any(target.fits(descriptor) for target in self._cast.values())
        target = self.target
        return target is not None and target.fits(descriptor)

    def choose(self, tracks: Sequence[Track]) -> Track | None:
        """The performer among the tracks of this frame, if present."""
        if self._is_new_scene and tracks:
            self._is_new_scene = False
            if self._learned is not None and _best(tracks, self._learned, None) is None:
                self._learned = None
        target = self.target
        current = next((t for t in tracks if t.track_id == self._performer_id), None)
        if target is None:
            chosen = current or max(tracks, key=lambda track: track.size_px, default=None)
        else:
            chosen = _best(tracks, target, current)
        self._performer_id = None if chosen is None else chosen.track_id
        if chosen is not None and target is None and chosen.age >= _SETTLED_FRAMES:
            self._learned = chosen.identity
        return chosen

    def new_scene(self) -> None:
        """After a cut or seek: unless the learned performer shows again, learn anew."""
        self._is_new_scene = True


def _checked(descriptor: F32Array) -> F32Array:
    descriptor = np.asarray(descriptor, np.float32)
    if descriptor.shape != (128,) or not np.isfinite(descriptor).all():
        raise ValueError(
            f"expected a descriptor of (128,) finite numbers, got {descriptor.shape}; "
            "make it with FaceDescriptor.describe"
        )
    return descriptor


def _best(tracks: Sequence[Track], target: Identity, current: Track | None) -> Track | None:
    """The track whose identity is nearest to the target and near enough."""
    near = {
        track.track_id: target.distance(track.identity.mean)
        for track in tracks
        if track.identity is not None
    }
    near = {track_id: value for track_id, value in near.items() if value < target.reach}
    matching = [track for track in tracks if track.track_id in near]
    best = min(matching, key=lambda track: near[track.track_id], default=None)
    if best is None or current is None or current.track_id not in near:
        return best
    return best if near[best.track_id] < near[current.track_id] - _CLEARLY_BETTER else current
