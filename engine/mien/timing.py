"""How long things take, measured cheaply and remembered in flat memory."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log
from time import perf_counter_ns

NS_PER_MS = 1_000_000

# Bins grow by 1 %, so a percentile is off by at most 0.5 %: finer than any machine is steady.
_GROWTH = log(1.01)
_LOWEST_MS = 1e-3
_HIGHEST_MS = 1e6
_BIN_COUNT = int(log(_HIGHEST_MS / _LOWEST_MS) / _GROWTH) + 2


class Stopwatch:
    """Splits one frame's time into named stages.

    Belongs to one thread. A stage that is timed twice in a frame adds up.
    """

    __slots__ = ("_last_ns", "stages_ms")

    def __init__(self) -> None:
        self.stages_ms: dict[str, float] = {}
        self._last_ns = perf_counter_ns()

    def lap(self, stage: str) -> float:
        """Books the time since the last lap (or the start) to ``stage``; returns it in ms."""
        now_ns = perf_counter_ns()
        spent_ms = (now_ns - self._last_ns) / NS_PER_MS
        self._last_ns = now_ns
        self.stages_ms[stage] = self.stages_ms.get(stage, 0.0) + spent_ms
        return spent_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """What a set of durations looks like, in milliseconds; all zero when it is empty."""

    count: int = 0
    mean: float = 0.0
    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    max: float = 0.0

    def to_json(self) -> dict[str, float]:
        """The four figures of a report, rounded to a microsecond."""
        return {name: round(getattr(self, name), 3) for name in ("p50", "p95", "p99", "max")}


class Histogram:
    """Durations counted in bins that grow by 1 %: percentiles over any run, 17 kB for ever.

    Belongs to the thread that adds; reading from another one sees a slightly older state.
    """

    __slots__ = ("_bins", "_max_ms", "_sum_ms", "count")

    def __init__(self) -> None:
        self._bins = [0] * _BIN_COUNT
        self._sum_ms = 0.0
        self._max_ms = 0.0
        self.count = 0

    def add(self, duration_ms: float) -> None:
        """Counts one duration; what lies outside 1 us .. 1000 s goes to the outer bins."""
        if duration_ms <= _LOWEST_MS:
            position = 0
        else:
            position = min(int(log(duration_ms / _LOWEST_MS) / _GROWTH) + 1, _BIN_COUNT - 1)
        self._bins[position] += 1
        self.count += 1
        self._sum_ms += duration_ms
        if duration_ms > self._max_ms:
            self._max_ms = duration_ms

    def percentile(self, percent: float) -> float:
        """The duration that ``percent`` of the samples do not exceed, in milliseconds."""
        if not 0.0 <= percent <= 100.0:
            raise ValueError(f"a percentile lies in 0..100, got {percent}")
        if self.count == 0:
            return 0.0
        wanted = self.count * percent / 100.0
        seen = 0
        for position, number in enumerate(self._bins):
            seen += number
            if number and seen >= wanted:
                middle_ms = _LOWEST_MS * exp(_GROWTH * max(position - 0.5, 0.0))
                return min(middle_ms, self._max_ms)
        return self._max_ms

    def spread(self) -> Spread:
        """Count, mean, p50, p95, p99 and maximum so far."""
        return Spread(
            count=self.count,
            mean=self._sum_ms / self.count if self.count else 0.0,
            p50=self.percentile(50),
            p95=self.percentile(95),
            p99=self.percentile(99),
            max=self._max_ms,
        )
