"""Durations: percentiles in flat memory, laps that add up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mien.timing import Histogram, Stopwatch


@given(st.lists(st.floats(0.002, 9e5), min_size=1, max_size=200), st.sampled_from([50, 95, 99]))
def test_percentiles_are_within_a_bin_of_the_exact_ones(samples: list[float], percent: int) -> None:
    histogram = Histogram()
    for sample in samples:
        histogram.add(sample)
    exact = float(np.percentile(samples, percent, method="inverted_cdf"))
    # Bins grow by 1 %; a hair more for rounding at their edges.
    assert histogram.percentile(percent) == pytest.approx(exact, rel=0.0105)


def test_spread_of_known_samples() -> None:
    histogram = Histogram()
    for sample in range(1, 101):
        histogram.add(float(sample))
    spread = histogram.spread()
    assert spread.count == 100
    assert spread.mean == pytest.approx(50.5)
    assert spread.p50 == pytest.approx(50, rel=0.01)
    assert spread.p99 == pytest.approx(99, rel=0.01)
    assert spread.max == 100
    assert set(spread.to_json()) == {"p50", "p95", "p99", "max"}


def test_nothing_measured_gives_zeros_and_extremes_do_not_break() -> None:
    histogram = Histogram()
    assert histogram.spread().p99 == 0.0
    for extreme in (0.0, -1.0, 1e12):
        histogram.add(extreme)
    assert histogram.percentile(100) <= 1e12
    with pytest.raises(ValueError):
        histogram.percentile(101)


def test_laps_of_one_name_add_up() -> None:
    watch = Stopwatch()
    first = watch.lap("swap")
    second = watch.lap("swap")
    assert watch.stages_ms == {"swap": pytest.approx(first + second)}
