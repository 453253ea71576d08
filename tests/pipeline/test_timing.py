"""Laps: they add up by name and nothing falls between them."""

from __future__ import annotations

import time

import pytest

from mien.timing import Stopwatch


def test_laps_of_one_name_add_up() -> None:
    watch = Stopwatch()
    first = watch.lap("swap")
    second = watch.lap("swap")
    assert watch.stages_ms == {"swap": pytest.approx(first + second)}


def test_laps_cover_the_whole_time() -> None:
    before = time.perf_counter()
    watch = Stopwatch()
    for stage in ("track", "swap", "track"):
        time.sleep(0.002)
        watch.lap(stage)
    whole_ms = (time.perf_counter() - before) * 1e3
    assert 6.0 <= sum(watch.stages_ms.values()) <= whole_ms
