"""How long the stages of a frame take, measured cheaply."""

from __future__ import annotations

from time import perf_counter_ns

NS_PER_MS = 1_000_000


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
