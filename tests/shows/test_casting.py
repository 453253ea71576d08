"""Two performers on stage, each bound to a persona, who cross each other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from mien.config import TrackerConfig
from mien.perception import FaceDescriptor, FaceTracker
from mien.perception._track import Identity, Track
from mien.perception.performer import PerformerLock
from mien.perception.roi import Roi
from mien.types import F32Array, Frame
from tests.perception.stage import Actor, Camera, backdrop, compose, portrait


def descriptor_of(name: str) -> F32Array:
    describe = FaceDescriptor()
    with FaceTracker() as finder:
        (face,) = finder.find(portrait(name))[:1]
    try:
        return describe.describe(portrait(name), face.landmarks)
    finally:
        describe.close()


@pytest.fixture(scope="module")
def tracker() -> Iterator[FaceTracker]:
    with FaceTracker(TrackerConfig(max_faces=2)) as made:
        made.enrol_cast({"alice": descriptor_of("a"), "bob": descriptor_of("d")})
        yield made


def roles_at(tracker: FaceTracker, frame: Frame) -> dict[str, float]:
    """Middle of each role's face."""
    return {
        track.role: (track.box[0] + track.box[2]) / 2
        for track in tracker.track(frame)
        if track.is_performer
    }


def test_each_keeps_their_role_while_they_cross(tracker: FaceTracker) -> None:
    tracker.reset()
    camera = Camera()
    mixed_up = seen = 0
    for k in range(90):
        ax = 130 + 380 * min(max((k - 10) / 70, 0), 1)
        bx = 510 - 380 * min(max((k - 10) / 70, 0), 1)
        # Bob passes in front.
        picture = compose([Actor("a", ax), Actor("d", bx)], backdrop(2))
        found = roles_at(tracker, camera.shoot(picture))
        if abs(ax - bx) < 120:
            continue
        for role, x in (("alice", ax), ("bob", bx)):
            if role in found:
                seen += 1
                other = bx if role == "alice" else ax
                mixed_up += abs(found[role] - other) < abs(found[role] - x)
    assert seen > 90
    assert mixed_up <= 0.02 * seen


def test_a_stranger_gets_no_role(tracker: FaceTracker) -> None:
    tracker.reset()
    camera = Camera()
    for _ in range(12):
        picture = compose([Actor("astronaut", 160), Actor("d", 480)], backdrop(3))
        found = roles_at(tracker, camera.shoot(picture))
    assert set(found) == {"bob"}
    assert abs(found["bob"] - 480) < 60


def test_more_performers_than_faces_are_refused() -> None:
    with FaceTracker() as small, pytest.raises(ValueError, match="max_faces=2"):
        small.enrol_cast({"a": np.zeros(128, np.float32), "b": np.ones(128, np.float32)})


def known(track_id: int, mean: F32Array) -> Track:
    track = Track.at(np.random.default_rng(track_id).normal(size=(478, 3)).astype(np.float32), 1.0)
    track.track_id, track.identity = track_id, Identity(mean)
    assert isinstance(track.roi, Roi)
    return track


def unit(axis: int, length: float = 1.0) -> F32Array:
    vector = np.zeros(128, np.float32)
    vector[axis] = length
    return vector


def test_roles_go_to_the_nearest_and_stay_unless_clearly_wrong() -> None:
    lock = PerformerLock()
    lock.enrol_cast({"alice": unit(0), "bob": unit(1)})
    near_alice, near_bob = known(1, unit(0, 0.9)), known(2, unit(1, 0.8))
    assert lock.assign([near_bob, near_alice]) == {1: "alice", 2: "bob"}
    stranger = known(3, unit(5))
    assert lock.assign([stranger, near_bob]) == {2: "bob"}
    assert lock.is_missing([near_bob])
    assert not lock.is_missing([near_bob, near_alice])
    # Slightly nearer is not enough to take a role over; clearly nearer is.
    assert lock.assign([near_bob, known(4, unit(1, 0.85))]) == {2: "bob"}
    assert lock.assign([near_bob, known(5, unit(1, 0.95))]) == {5: "bob"}
    lock.enrol_cast({})
    assert lock.assign([stranger]) == {3: ""}


def test_one_face_that_fits_two_roles_takes_the_nearer() -> None:
    lock = PerformerLock()
    lock.enrol_cast({"alice": unit(0), "twin": unit(0, 0.8)})
    assert lock.assign([known(1, unit(0, 0.82))]) == {1: "twin"}
