"""Counts and times of a run, in memory that does not grow with its length."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mien.errors import MienError
from mien.types import Frame

NS_PER_MS = 1_000_000
LOWEST_MS = 0.001
GROWTH = 1.01
"""Ratio of neighbouring bucket edges: percentiles are right to half a per cent."""
BUCKETS = 2100
"""Covers 1 microsecond to about 20 minutes."""


class LatencyHistogram:
    """Times in logarithmic buckets; count, mean and maximum are exact."""

    def __init__(self) -> None:
        self._counts = array("q", bytes(8 * BUCKETS))
        self.count = 0
        self.sum_ms = 0.0
        self.max_ms = 0.0

    def add(self, time_ms: float) -> None:
        """Count one time."""
        bucket = 0
        if time_ms > LOWEST_MS:
            bucket = min(BUCKETS - 1, int(math.log(time_ms / LOWEST_MS) / math.log(GROWTH)))
        self._counts[bucket] += 1
        self.count += 1
        self.sum_ms += time_ms
        self.max_ms = max(self.max_ms, time_ms)

    @property
    def mean_ms(self) -> float:
        """Average; 0 when empty."""
        return self.sum_ms / self.count if self.count else 0.0

    def percentile(self, percent: float) -> float:
        """Time in ms that ``percent`` of the samples do not exceed; 0 when empty."""
        if not self.count:
            return 0.0
        wanted = max(1, math.ceil(self.count * percent / 100.0))
        seen = 0
        for bucket, count in enumerate(self._counts):
            seen += count
            if seen >= wanted:
                middle = LOWEST_MS * GROWTH ** (bucket + 0.5)
                return float(min(middle, self.max_ms))
        return self.max_ms

    def summary(self) -> dict[str, float]:
        """``{"p50", "p95", "p99", "max"}`` in ms, as the report wants them."""
        values = {f"p{p}": self.percentile(p) for p in (50, 95, 99)}
        return {name: round(value, 3) for name, value in (values | {"max": self.max_ms}).items()}

    def clear(self) -> None:
        """Forget all samples."""
        self._counts = array("q", bytes(8 * BUCKETS))
        self.count = 0
        self.sum_ms = 0.0
        self.max_ms = 0.0


class OutcomeLike(Protocol):
    """What ``process`` returns for a frame; :class:`mien.pipeline.Outcome` is one."""

    @property
    def frame(self) -> Frame:
        """The frame to send."""

    @property
    def tracks(self) -> Sequence[object]:
        """Faces found."""

    @property
    def swapped(self) -> int:
        """Faces swapped."""

    @property
    def guarded(self) -> bool:
        """The guard replaced the picture."""

    @property
    def stage_ms(self) -> Mapping[str, float]:
        """Time of each stage."""


@dataclass(slots=True, kw_only=True)
class RunStats:
    """What a run did. Written by the loop, read by anyone afterwards.

    Attributes:
        frames: frames handed to the sink.
        dropped: frames of a live source that were never shown because newer ones came.
        faces_found: faces found, summed over frames.
        swapped: faces swapped, summed over frames.
        guarded: frames in which the guard stepped in.
        seconds: length of the run.
        total: capture (decode, for files) to handing over, ms.
        stages: time of each stage, ms, by name.
        error: what ended the source early, where the output up to there was kept.
    """

    frames: int = 0
    dropped: int = 0
    faces_found: int = 0
    swapped: int = 0
    guarded: int = 0
    seconds: float = 0.0
    total: LatencyHistogram = field(default_factory=LatencyHistogram)
    stages: dict[str, LatencyHistogram] = field(default_factory=dict)
    error: MienError | None = None

    @property
    def fps(self) -> float:
        """Frames handed over per second of the run."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0

    def add_stage(self, name: str, time_ms: float) -> None:
        """Count one run of a stage."""
        if name not in self.stages:
            self.stages[name] = LatencyHistogram()
        self.stages[name].add(time_ms)

    def add_outcome(self, outcome: OutcomeLike) -> None:
        """Count what ``process`` did with one frame."""
        self.faces_found += len(outcome.tracks)
        self.swapped += outcome.swapped
        self.guarded += bool(outcome.guarded)
        for name, time_ms in outcome.stage_ms.items():
            self.add_stage(name, time_ms)

    def add_sent(self, frame: Frame, now_ns: int) -> None:
        """Count one frame handed to the sink."""
        self.frames += 1
        self.total.add((now_ns - frame.capture_ns) / NS_PER_MS)
