"""What the last seconds were like: rates and times for the page and for Prometheus."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from mien_streamer.run_stats import LatencyHistogram, OutcomeLike

WINDOW = 150
"""Frames that the percentiles look back on: five seconds at 30 fps."""
_MOST_STAGES = 32


class Measures:
    """Counts since the start, percentiles of the last frames; any thread may add and ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recent: dict[str, deque[float]] = {}
        self._totals: dict[str, LatencyHistogram] = {}
        self.frames = 0
        self.swapped = 0
        self.guarded = 0
        self.faces = 0
        self.reason = ""
        self.acting = False

    def add(self, stage: str, time_ms: float) -> None:
        """Counts one run of a stage."""
        with self._lock:
            if stage not in self._recent:
                if len(self._recent) >= _MOST_STAGES:
                    return
                self._recent[stage] = deque(maxlen=WINDOW)
                self._totals[stage] = LatencyHistogram()
            self._recent[stage].append(time_ms)
            self._totals[stage].add(time_ms)

    def add_outcome(self, outcome: OutcomeLike, reason: str) -> None:
        """Counts what became of one frame."""
        for stage, time_ms in outcome.stage_ms.items():
            self.add(stage, time_ms)
        with self._lock:
            self.frames += 1
            self.swapped += outcome.swapped
            self.guarded += bool(outcome.guarded)
            self.faces = len(outcome.tracks)
            self.reason = reason
            self.acting = bool(outcome.guarded)

    def percentiles(self) -> dict[str, dict[str, float]]:
        """``{stage: {"p50", "p95"}}`` in ms over the last frames."""
        with self._lock:
            recent = {stage: sorted(times) for stage, times in self._recent.items() if times}
        return {
            stage: {"p50": _at(times, 0.50), "p95": _at(times, 0.95)}
            for stage, times in recent.items()
        }

    def totals(self) -> dict[str, Any]:
        """Since the start: counts, and for each stage (count, sum in ms, percentiles)."""
        with self._lock:
            stages = {
                stage: {"count": times.count, "sum_ms": times.sum_ms, **times.summary()}
                for stage, times in self._totals.items()
            }
            return {
                "frames": self.frames,
                "swapped": self.swapped,
                "guarded": self.guarded,
                "stages": stages,
            }


def _at(ordered: list[float], part: float) -> float:
    return round(ordered[min(int(part * len(ordered)), len(ordered) - 1)], 2)
