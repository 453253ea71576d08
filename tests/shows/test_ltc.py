"""Timecode as sound: what was recorded is read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.shows.ltc import LtcFrame, LtcReader
from mien.shows.timecode import Timecode
from mien.types import F32Array
from tests.shows.tape import RATE, play

FIRST = Timecode(0, 59, 58, 0)
COUNT = 60
NEAR_S = 100e-6
"""How well the beginning of a label is placed: five samples."""


def read(sound: F32Array, rate: int = RATE, block: int = 1000) -> list[LtcFrame]:
    reader = LtcReader(rate)
    frames: list[LtcFrame] = []
    for start in range(0, len(sound), block):
        frames += reader.feed(sound[start : start + block])
    return frames


@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0])
@pytest.mark.parametrize(
    ("fps", "nominal", "drop"),
    [
        (24.0, 24, False),
        (24000 / 1001, 24, False),
        (25.0, 25, False),
        (30000 / 1001, 30, True),
        (30.0, 30, False),
    ],
)
def test_every_label_is_read_at_its_moment(
    fps: float, nominal: int, drop: bool, speed: float
) -> None:
    first = Timecode(0, 59, 58, 0, drop)
    sound, begins = play(first, COUNT, fps, nominal=nominal, speed=lambda share: speed)
    frames = read(sound)
    assert [frame.label for frame in frames] == [label for label, _ in begins][1:]
    for frame, (_, begin_s) in zip(frames, begins[1:], strict=True):
        assert frame.start_s == pytest.approx(begin_s, abs=NEAR_S)
        assert not frame.backwards


@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0])
def test_a_tape_that_is_played_backwards_is_read_backwards(speed: float) -> None:
    sound, begins = play(FIRST, COUNT, 25.0, nominal=25, speed=lambda share: speed)
    frames = read(sound[::-1].copy())
    assert len(frames) >= COUNT - 2
    assert all(frame.backwards for frame in frames)
    length_s = len(sound) / RATE
    expected = {label: length_s - begin_s for label, begin_s in begins}
    for frame in frames:
        assert frame.end_s == pytest.approx(expected[frame.label], abs=NEAR_S)


def test_a_tape_that_is_wound_up_and_down_is_read_throughout() -> None:
    sound, begins = play(
        FIRST, 300, 25.0, nominal=25, speed=lambda share: 0.5 * 4.0 ** (1 - abs(2 * share - 1))
    )
    frames = read(sound)
    assert len(frames) >= len(begins) - 3
    times = dict(begins)
    assert all(abs(frame.start_s - times[frame.label]) < NEAR_S for frame in frames)


@pytest.mark.parametrize(
    ("share", "worse"),
    [
        (0.95, {"noise": 0.1}),
        (0.95, {"hum": 0.4}),
        (0.95, {"hum": 0.3, "noise": 0.1}),
        (0.95, {"level": 0.01, "noise": 0.0005}),
        (0.95, {"rise_s": 120e-6}),
        (0.95, {"user": 0xFFFFFFFF}),
        (0.95, {"user": 0xA5A5A5A5, "level": 1.0}),
    ],
)
def test_a_bad_recording_is_read(share: float, worse: dict[str, float]) -> None:
    sound, begins = play(FIRST, COUNT, 30.0, **worse)  # type: ignore[arg-type]
    frames = read(sound)
    assert len(frames) >= share * COUNT
    known = {label for label, _ in begins}
    assert all(frame.label in known for frame in frames)


@pytest.mark.parametrize("rate", [16_000, 44_100, 96_000])
def test_other_rates(rate: int) -> None:
    sound, _ = play(FIRST, COUNT, 25.0, nominal=25, rate=rate)
    assert len(read(sound, rate)) == COUNT - 1
    with pytest.raises(ValueError, match="16,000"):
        LtcReader(8000)


def test_noise_that_drowns_the_signal_makes_up_no_label() -> None:
    sound, begins = play(FIRST, 150, 30.0, noise=0.3)
    known = dict(begins)
    assert all(frame.label in known for frame in read(sound))
    chance = np.random.default_rng(1)
    hiss = (0.3 * chance.standard_normal(3 * RATE)).astype(np.float32)
    assert read(hiss) == []
    assert read(np.zeros(RATE, np.float32)) == []


def test_a_dropout_costs_the_frames_that_it_hits_and_no_other() -> None:
    sound, begins = play(FIRST, COUNT, 25.0, nominal=25)
    lost = begins[30][1]
    sound[round((lost + 0.010) * RATE) : round((lost + 0.014) * RATE)] = 0.0
    read_labels = [frame.label for frame in read(sound)]
    expected = [label for label, _ in begins][1:]
    missing = [label for label in expected if label not in read_labels]
    assert begins[30][0] in missing
    assert len(missing) <= 4


def test_a_jump_of_the_tape_is_read_on_both_sides() -> None:
    one, _ = play(FIRST, 20, 25.0, nominal=25)
    two, begins = play(Timecode(5, 0, 0, 0), 20, 25.0, nominal=25)
    read_labels = [frame.label for frame in read(np.concatenate([one, two]))]
    assert read_labels[-18:] == [label for label, _ in begins][-18:]


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=40))
@settings(max_examples=15, deadline=None)
def test_how_the_sound_is_cut_does_not_matter(cuts: list[int]) -> None:
    sound, _ = play(FIRST, 20, 30.0, noise=0.05)
    reader = LtcReader(RATE)
    frames: list[LtcFrame] = []
    at = 0
    for length in cuts:
        frames += reader.feed(sound[at : at + length])
        at += length
    frames += reader.feed(sound[at:])
    assert frames == read(sound)
