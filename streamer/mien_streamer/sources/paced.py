"""A file played in real time, as if it were a camera."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

from mien.types import Frame
from mien_streamer.sources.source import NS_PER_S, ClosingSource, Source

MOST_LATE_NS = NS_PER_S
"""Lag after which the clock is set anew instead of being chased (a machine that slept)."""
FALLBACK_STEP_NS = NS_PER_S // 25


class Clock(Protocol):
    """Time, and waiting for it."""

    def now_ns(self) -> int:
        """Monotonic nanoseconds."""

    def wait(self, seconds: float, wake: threading.Event) -> None:
        """Wait until the time has passed or ``wake`` is set."""


class MonotonicClock:
    """The machine's own clock."""

    def now_ns(self) -> int:
        """Monotonic nanoseconds."""
        return time.monotonic_ns()

    def wait(self, seconds: float, wake: threading.Event) -> None:
        """Wait until the time has passed or ``wake`` is set."""
        wake.wait(seconds)


class PacedSource(ClosingSource):
    """Delivers the frames of another source when their timestamps say so.

    ``capture_ns`` is the moment of delivery, as it would be with a camera. With
    ``loop`` the source starts over at its end, timestamps and indices going on.
    """

    def __init__(self, source: Source, *, loop: bool = False, clock: Clock | None = None) -> None:
        self._source = source
        self._loop = loop
        self._clock = clock or MonotonicClock()
        self._closing = threading.Event()
        inner = source.info
        self.info = replace(
            inner,
            is_live=True,
            frame_count=None if loop else inner.frame_count,
            has_audio=inner.has_audio and not loop,
        )
        step = NS_PER_S / inner.fps if inner.fps else FALLBACK_STEP_NS
        self._step_ns = max(1, round(step))

    def frames(self) -> Iterator[Frame]:
        """Frames in real time, until the source ends or :meth:`close` is called."""
        start_ns = self._clock.now_ns()
        index = 0
        offset_ns = 0
        first_ns: int | None = None
        while True:
            last_ns = 0
            for frame in self._source.frames():
                pts_ns = frame.pts_ns + offset_ns
                first_ns = pts_ns if first_ns is None else first_ns
                start_ns = self._wait_until(start_ns, pts_ns - first_ns)
                if self._closing.is_set():
                    return
                now_ns = self._clock.now_ns()
                yield replace(frame, index=index, capture_ns=now_ns, pts_ns=pts_ns)
                index += 1
                last_ns = pts_ns
            if not self._loop or self._closing.is_set() or index == 0:
                return
            offset_ns = last_ns + self._step_ns - (first_ns or 0)

    def _wait_until(self, start_ns: int, after_ns: int) -> int:
        """Wait for the frame's time; returns the start to count the next one from."""
        left_ns = start_ns + after_ns - self._clock.now_ns()
        if left_ns > 0:
            self._clock.wait(left_ns / NS_PER_S, self._closing)
        elif left_ns < -MOST_LATE_NS:
            return start_ns - left_ns
        return start_ns

    def close(self) -> None:
        """End :meth:`frames` at once and close the inner source."""
        self._closing.set()
        self._source.close()
