"""The one-slot mailbox and the histogram behind the statistics."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien_streamer.mailbox import Mailbox
from mien_streamer.run_stats import LatencyHistogram


def test_the_newest_wins_and_losses_are_counted() -> None:
    box: Mailbox[int] = Mailbox()
    for item in range(5):
        box.put(item)
        assert len(box) == 1
    assert box.get() == 4
    assert box.dropped == 4
    assert len(box) == 0
    assert box.get(timeout_s=0) is None


def test_closing_keeps_the_last_item_and_wakes_waiters() -> None:
    box: Mailbox[int] = Mailbox()
    box.put(1)
    box.close()
    box.put(2)
    assert not box.finished
    assert box.get() == 1
    assert box.finished
    assert box.get() is None
    empty: Mailbox[int] = Mailbox()
    got: list[int | None] = []
    waiter = threading.Thread(target=lambda: got.append(empty.get()))
    waiter.start()
    empty.close()
    waiter.join(5)
    assert got == [None]


def test_items_cross_threads_in_order() -> None:
    box: Mailbox[int] = Mailbox()
    got: list[int] = []

    def take() -> None:
        while not box.finished:
            item = box.get(1.0)
            if item is not None:
                got.append(item)

    taker = threading.Thread(target=take)
    taker.start()
    for item in range(1, 2000):
        box.put(item)
    box.close()
    taker.join(10)
    assert got == sorted(got)
    assert got[-1] == 1999
    assert len(got) + box.dropped == 1999


@given(st.lists(st.floats(0.01, 10_000), min_size=1, max_size=300))
def test_percentiles_are_right_to_one_per_cent(times_ms: list[float]) -> None:
    histogram = LatencyHistogram()
    for time_ms in times_ms:
        histogram.add(time_ms)
    for percent in (50, 95, 99):
        exact = np.percentile(times_ms, percent, method="inverted_cdf")
        assert histogram.percentile(percent) == pytest.approx(exact, rel=0.011)
    assert histogram.max_ms == max(times_ms)
    assert histogram.mean_ms == pytest.approx(np.mean(times_ms))
    assert histogram.count == len(times_ms)


def test_the_histogram_takes_extremes_and_clears() -> None:
    histogram = LatencyHistogram()
    assert histogram.summary() == {"p50": 0.0, "p95": 0.0, "p99": 0.0, "max": 0.0}
    for time_ms in (-1.0, 0.0, 1e12):
        histogram.add(time_ms)
    assert histogram.max_ms == 1e12
    histogram.clear()
    assert histogram.count == 0
    assert histogram.percentile(99) == 0.0
