"""Onsets: where the drum was struck, and nowhere else."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.shows.onset import Onset, OnsetReader
from mien.types import F32Array
from mien_streamer.demo import beat

RATE = beat.RATE
BEAT_S = 60.0 / beat.BPM
NEAR_S = 0.002
"""How well a hit is placed, seconds."""


@cache
def music() -> F32Array:
    return (beat.render() / 32768.0).astype(np.float32).mean(axis=1)


def hits() -> tuple[list[float], list[float]]:
    """When the beat's drums are struck, and when anything is, seconds; as it is written there."""
    drums, all_of_it = set(), set()
    for bar in range(beat.BARS):
        last = bar == beat.BARS - 1
        strong = [0.0] if last else [0.0, 1.5, 2.25]
        strong += [1.0, 3.0] if bar > 0 and not last else []
        strong += [3.5, 3.75] if bar % 4 == 3 and not last else []
        hats = [half // 2 + (0.58 if half % 2 else 0.0) for half in range(1 if last else 8)]
        drums |= {round((bar * 4 + at) * BEAT_S, 6) for at in strong}
        all_of_it |= {round((bar * 4 + at) * BEAT_S, 6) for at in [*strong, *hats]}
    return sorted(drums), sorted(all_of_it)


def heard(sound: F32Array, block: int = 777, **settings: float) -> list[Onset]:
    reader = OnsetReader(RATE, **settings)
    onsets: list[Onset] = []
    for start in range(0, len(sound), block):
        onsets += reader.feed(sound[start : start + block])
    return onsets


def burst(level: float, at_s: float = 1.0) -> F32Array:
    sound = np.zeros(2 * RATE, np.float32)
    start = round(at_s * RATE)
    chance = np.random.default_rng(3)
    sound[start : start + 400] = level * chance.standard_normal(400)
    return sound


def test_the_bundled_beat_is_heard_as_it_was_written() -> None:
    times = np.array([onset.time_s for onset in heard(music())])
    drums, all_of_it = hits()
    # The very first has nothing before it to rise from.
    found = [np.abs(times - hit).min() for hit in drums[1:]]
    assert np.mean(np.array(found) < NEAR_S) > 0.97
    assert all(np.abs(np.array(all_of_it) - time).min() < 0.012 for time in times)


@pytest.mark.parametrize("level", [0.01, 0.1, 0.9])
def test_a_hit_out_of_silence_is_placed_to_the_millisecond(level: float) -> None:
    (onset,) = heard(burst(level))
    assert onset.time_s == pytest.approx(1.0, abs=0.001)
    assert onset.strength > 1.0


def test_what_goes_on_begins_only_once() -> None:
    time = np.arange(3 * RATE) / RATE
    for tone in (
        np.sin(2 * np.pi * 440 * time),
        np.sin(2 * np.pi * 440 * time + 8 * np.sin(2 * np.pi * 6 * time)),
        np.random.default_rng(0).standard_normal(3 * RATE) / 3,
        np.zeros(3 * RATE),
        np.ones(3 * RATE),
    ):
        later = [onset for onset in heard((0.3 * tone).astype(np.float32)) if onset.time_s > 0.05]
        assert later == []


def test_after_an_onset_no_other_counts_for_a_while() -> None:
    sound = burst(0.5, 0.5) + burst(0.5, 0.56) + burst(0.5, 1.0)
    assert len(heard(sound, gap_s=0.03)) == 3
    assert [round(onset.time_s, 2) for onset in heard(sound, gap_s=0.1)] == [0.5, 1.0]


def test_more_is_heard_by_the_more_sensitive() -> None:
    counts = [len(heard(music(), sensitivity=level)) for level in (0.0, 0.5, 1.0)]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=20))
@settings(max_examples=10, deadline=None)
def test_how_the_sound_is_cut_does_not_matter(cuts: list[int]) -> None:
    sound = music()[: 3 * RATE]
    reader = OnsetReader(RATE)
    onsets: list[Onset] = []
    at = 0
    for length in cuts:
        onsets += reader.feed(sound[at : at + length])
        at += length
    onsets += reader.feed(sound[at:])
    assert onsets == heard(sound)


def test_other_rates_and_those_that_are_too_low() -> None:
    reader = OnsetReader(16_000)
    (onset,) = reader.feed(burst(0.5)[::3].copy())
    assert onset.time_s == pytest.approx(1.0, abs=0.002)
    with pytest.raises(ValueError, match="8,000"):
        OnsetReader(4000)
