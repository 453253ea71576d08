"""Who is swapped, decided on tracks made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mien.perception._track import Identity, Memory, Track
from mien.perception.performer import PerformerLock
from mien.types import F32Array


def person(number: int, off: float = 0.0) -> F32Array:
    """A descriptor; two numbers lie 1.0 apart, ``off`` moves one away from itself."""
    descriptor = np.zeros(128, np.float32)
    descriptor[number] = 0.7071
    descriptor[127] = off
    return descriptor


def track(track_id: int, size: float, descriptor: F32Array | None, age: int = 10) -> Track:
    landmarks = np.zeros((478, 3), np.float32)
    landmarks[:239, :2] = size
    made = Track.at(landmarks, 1.0)
    made.track_id, made.age = track_id, age
    made.identity = None if descriptor is None else Identity(descriptor)
    return made


def test_without_a_lock_the_largest_face_at_the_start_keeps_the_swap() -> None:
    lock = PerformerLock()
    small, large = track(0, 100, person(1)), track(1, 200, person(2))
    assert lock.choose([small, large]) is large
    huge = track(2, 500, person(3))
    assert lock.choose([small, large, huge]) is large


def test_when_the_learned_performer_leaves_nobody_takes_over() -> None:
    lock = PerformerLock()
    lock.choose([track(0, 200, person(1))])
    assert lock.choose([track(1, 300, person(2))]) is None
    back = track(2, 80, person(1, off=0.3))
    assert lock.choose([track(1, 300, person(2)), back]) is back


def test_a_face_of_a_moment_does_not_set_the_lock() -> None:
    lock = PerformerLock()
    lock.choose([track(0, 200, person(1), age=0)])
    assert lock.target is None
    other = track(1, 100, person(2), age=0)
    assert lock.choose([other]) is other


def test_with_a_lock_only_the_enrolled_face_is_chosen() -> None:
    lock = PerformerLock()
    lock.enrol(person(1))
    stranger, unknown = track(0, 500, person(2)), track(1, 400, None)
    assert lock.choose([stranger, unknown]) is None
    performer = track(2, 50, person(1, off=0.5))
    assert lock.choose([stranger, unknown, performer]) is performer


def test_of_two_matches_the_nearer_is_chosen_and_kept() -> None:
    lock = PerformerLock()
    lock.enrol(person(1))
    near, alike = track(0, 100, person(1, off=0.2)), track(1, 300, person(1, off=0.25))
    assert lock.choose([alike, near]) is near
    slightly_better = track(2, 100, person(1, off=0.15))
    assert lock.choose([near, slightly_better]) is near
    much_better = track(3, 100, person(1, off=0.01))
    assert lock.choose([near, much_better]) is much_better


def test_a_new_scene_without_the_learned_performer_is_learned_anew() -> None:
    lock = PerformerLock()
    lock.choose([track(0, 200, person(1))])
    lock.new_scene()
    assert lock.choose([]) is None
    star = track(1, 300, person(2))
    assert lock.choose([star, track(2, 100, person(3))]) is star


def test_a_new_scene_with_the_learned_performer_keeps_them() -> None:
    lock = PerformerLock()
    lock.choose([track(0, 200, person(1))])
    lock.new_scene()
    same = track(2, 100, person(1, off=0.1))
    assert lock.choose([track(1, 300, person(2)), same]) is same


def test_a_new_scene_never_lifts_an_enrolled_lock() -> None:
    lock = PerformerLock()
    lock.enrol(person(1))
    lock.new_scene()
    assert lock.choose([track(1, 300, person(2))]) is None


@pytest.mark.parametrize(
    "bad", [np.zeros(64, np.float32), np.full(128, np.nan, np.float32), np.zeros((1, 128))]
)
def test_a_descriptor_that_is_none_is_refused(bad: F32Array) -> None:
    with pytest.raises(ValueError, match="128"):
        PerformerLock().enrol(bad)


def test_a_track_is_another_person_after_two_misses_in_a_row() -> None:
    followed = track(0, 100, person(1))
    assert followed.judge(person(2), 1.0)
    assert followed.judge(person(1), 1.1)
    assert followed.judge(person(2), 1.2)
    assert not followed.judge(person(2), 1.3)


def test_checks_grow_rare_and_doubt_makes_them_soon() -> None:
    followed = track(0, 100, person(1))
    gaps = []
    for time_s in range(10, 20):
        followed.judge(person(1), float(time_s))
        gaps.append(followed.check_at_s - time_s)
    assert gaps[0] == pytest.approx(0.1)
    assert gaps[-1] == pytest.approx(1.0)
    followed.doubt()
    assert followed.check_at_s <= 0.0


def test_memory_gives_each_id_back_once_and_only_to_its_person() -> None:
    memory = Memory()
    memory.add(track(7, 100, person(1)), 0.0)
    assert memory.recall(person(2), 1.0) is None
    found = memory.recall(person(1, off=0.2), 1.0)
    assert found is not None
    assert found.track_id == 7
    assert memory.recall(person(1), 1.0) is None


def test_memory_forgets_after_a_while_and_never_knew_the_unrecognised() -> None:
    memory = Memory()
    memory.add(track(1, 100, person(1)), 0.0)
    memory.add(track(2, 100, None), 0.0)
    assert memory.recall(person(1), 100.0) is None


def test_a_face_too_turned_to_be_recognised_is_known_by_its_place_for_a_moment() -> None:
    memory = Memory()
    lost = track(3, 100, person(1))
    memory.add(lost, 0.0)
    assert memory.recall_place(lost.roi, 2.0) is None
    here = memory.recall_place(lost.roi, 0.2)
    assert here is not None
    assert here.track_id == 3
