"""What a bare face looked like, and how what is seen now differs from it."""

from __future__ import annotations

import numpy as np

from mien.occlusion.memory import BareMemory
from mien.occlusion_view import (
    CROP_SIZE,
    INPUT_CHANNELS,
    UNCHANGED,
    BareMoment,
    draw_news,
    stack_inputs,
)
from mien.types import F32Array, U8Array

from .conftest import plain_landmarks

MARKS = plain_landmarks(CROP_SIZE, 0.7)
FREE = np.zeros((CROP_SIZE, CROP_SIZE), np.float32)


def _crop(seed: int = 1) -> U8Array:
    coarse = np.random.default_rng(seed).integers(60, 200, (8, 8, 3)).astype(np.uint8)
    return np.ascontiguousarray(coarse.repeat(16, axis=0).repeat(16, axis=1))


def _moment(crop: U8Array, landmarks: F32Array = MARKS) -> BareMoment:
    return BareMoment(crop=crop, landmarks=landmarks, known=np.full(crop.shape[:2], 255, np.uint8))


def _guess(share: float) -> F32Array:
    guess = FREE.copy()
    guess[40 : 40 + round(share * CROP_SIZE)] = 0.9
    return guess


def test_the_same_picture_is_no_news() -> None:
    news = draw_news(_crop(), MARKS, _moment(_crop()))
    on_face = news[..., 3] == 255
    assert 0.2 < on_face.mean() < 0.8
    assert np.abs(news[..., :3].astype(int) - UNCHANGED).max() <= 3


def test_news_is_the_difference_on_the_face_alone() -> None:
    before = _crop()
    now = np.clip(before.astype(int) + np.array([10, -20, 30]), 0, 255).astype(np.uint8)
    news = draw_news(now, MARKS, _moment(before))
    assert tuple(news[64, 64]) == (UNCHANGED + 30, UNCHANGED - 60, UNCHANGED + 90, 255)
    assert tuple(news[2, 2]) == (UNCHANGED, UNCHANGED, UNCHANGED, 0)


def test_the_picture_from_before_follows_the_face() -> None:
    smooth = np.linspace(40, 220, CROP_SIZE).astype(np.uint8)
    before = np.ascontiguousarray(np.broadcast_to(smooth[None, :, None], (CROP_SIZE, CROP_SIZE, 3)))
    shift = 9
    now = np.roll(before, shift, axis=1)
    moved = MARKS + np.array([shift, 0, 0], np.float32)
    still = draw_news(now, MARKS, _moment(before))
    followed = draw_news(now, moved.astype(np.float32), _moment(before))
    assert abs(int(still[64, 64, 0]) - UNCHANGED) > 24
    assert abs(int(followed[64, 64, 0]) - UNCHANGED) <= 6


def test_what_was_not_known_is_not_compared() -> None:
    before = _moment(_crop())
    before.known[40:90, 40:90] = 0
    news = draw_news(_crop(2), MARKS, before)
    assert tuple(news[64, 64]) == (UNCHANGED, UNCHANGED, UNCHANGED, 0)
    assert np.array_equal(draw_news(_crop(2), MARKS, None)[..., 3], np.zeros((128, 128)))
    assert stack_inputs(_crop(), MARKS, None).shape == (CROP_SIZE, CROP_SIZE, INPUT_CHANNELS)


def test_the_first_moment_must_do_until_one_is_proven() -> None:
    memory = BareMemory()
    assert memory.recall(0) is None
    memory.note(_crop(1), MARKS, FREE, 0)
    memory.note(_crop(2), MARKS, _guess(0.2), 1)
    kept = memory.recall(2)
    assert kept is not None
    assert np.array_equal(kept.crop, _crop(1))


def test_a_moment_counts_once_nothing_followed_it() -> None:
    memory = BareMemory()
    for look in range(14):
        memory.note(_crop(1), MARKS, FREE, look)
    # A hand comes: a moment just before it may already have shown its tip.
    tip = _crop(2)
    memory.note(tip, MARKS, FREE, 14)
    for look in range(15, 40):
        memory.note(_crop(3), MARKS, _guess(0.2), look)
    kept = memory.recall(40)
    assert kept is not None
    assert np.array_equal(kept.crop, _crop(1))
    for look in range(40, 60):
        memory.note(_crop(4), MARKS, FREE, look)
    kept = memory.recall(60)
    assert kept is not None
    assert np.array_equal(kept.crop, _crop(4))


def test_a_memory_outlives_a_cover_but_not_for_ever() -> None:
    memory = BareMemory()
    for look in range(30):
        memory.note(_crop(1), MARKS, FREE, look)
    assert memory.recall(30) is not None
    for look in range(30, 150):
        memory.note(_crop(2), MARKS, _guess(0.3), look)
    kept = memory.recall(150)
    assert kept is not None
    assert np.array_equal(kept.crop, _crop(1))
    # What stays different for so long is no hand: it would be cut out for ever.
    assert memory.recall(400) is None


def test_a_fringe_is_not_remembered_as_skin() -> None:
    memory = BareMemory()
    fringe = FREE.copy()
    fringe[24:27, 52:76] = 0.8
    for look in range(30):
        memory.note(_crop(1), MARKS, fringe, look)
    kept = memory.recall(30)
    assert kept is not None
    assert not kept.known[24:27, 52:76].any()
    assert kept.known[64, 64] == 255


def test_a_hand_that_stays_does_not_become_unknown() -> None:
    memory = BareMemory()
    for look in range(20):
        memory.note(_crop(1), MARKS, FREE, look)
    finger = FREE.copy()
    finger[60:80, 60:75] = 0.9
    for look in range(20, 60):
        memory.note(_crop(2), MARKS, finger, look)
    kept = memory.recall(60)
    assert kept is not None
    assert kept.known.all()
