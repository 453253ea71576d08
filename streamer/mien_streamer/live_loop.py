"""The newest frame and nothing else, at the source's own pace.

A thread captures, a thread processes, the caller's thread feeds the sink (windows want
the main thread); one-slot mailboxes lie between them, so a slow stage drops frames and
never queues: a frame waits for at most one run of each stage.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from mien.errors import MienError
from mien.types import Frame, U8Array
from mien_streamer.mailbox import Mailbox
from mien_streamer.run_stats import LatencyHistogram, OutcomeLike, RunStats
from mien_streamer.sinks.sink import Interactive, Sink
from mien_streamer.sources.source import NS_PER_S, Source

logger = logging.getLogger(__name__)

Event = Literal["stalled", "resumed"]

POLL_S = 0.1
"""How long a thread waits at a mailbox before it looks whether to stop."""
STATUS_S = 1.0
STALL_S = 0.5
"""Silence after which a source counts as stalled; slow sources get three frame times."""
JOIN_S = 3.0
"""Patience with a camera driver that does not return from its read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveStatus:
    """The last second of a live run.

    Attributes:
        seconds: time since the run began.
        fps: frames handed to the sink per second, in the last second.
        p50_ms, p95_ms: capture to sink, of the last second's frames.
        frames, dropped, guarded: totals since the run began.
        stalled: nothing comes from the source at present.
    """

    seconds: float
    fps: float
    p50_ms: float
    p95_ms: float
    frames: int
    dropped: int
    guarded: int
    stalled: bool


def run_live(
    source: Source,
    process: Callable[[Frame], OutcomeLike],
    sink: Sink,
    *,
    stop: threading.Event,
    on_status: Callable[[LiveStatus], None] | None = None,
    on_event: Callable[[Event], None] | None = None,
    idle: Callable[[float], U8Array | None] | None = None,
) -> RunStats:
    """Process the newest frame again and again until the source ends or ``stop`` is set.

    Args:
        source: where frames come from, in a thread of its own; closed at the end.
        process: called in a thread of its own with the newest frame.
        sink: called in this thread; closed at the end.
        stop: set it, from any thread, to end the run.
        on_status: called in this thread once a second.
        on_event: called in this thread when the source stalls and when it is back.
        idle: called in this thread about ten times a second while the source is
            stalled, with the seconds since its last frame; the picture that it
            returns (the guard's slate, say) is sent, None sends nothing.

    Returns:
        Counts and times. A source that fails after its first frame (a camera that was
        pulled out) ends the run with ``stats.error`` set and the output kept.

    Raises:
        MienError: the source fails before its first frame, or the sink fails.
        Exception: whatever ``process`` raises; the sink is finished first, and the
            frame is not sent.
    """
    return _Live(source, process, sink, stop, on_status, on_event, idle).run()


class _Live:
    def __init__(
        self,
        source: Source,
        process: Callable[[Frame], OutcomeLike],
        sink: Sink,
        stop: threading.Event,
        on_status: Callable[[LiveStatus], None] | None,
        on_event: Callable[[Event], None] | None,
        idle: Callable[[float], U8Array | None] | None,
    ) -> None:
        self._source, self._process, self._sink, self._stop = source, process, sink, stop
        self._on_status, self._on_event, self._idle = on_status, on_event, idle
        self._captured: Mailbox[Frame] = Mailbox()
        self._ready: Mailbox[OutcomeLike] = Mailbox()
        self._source_error: Exception | None = None
        self._process_error: Exception | None = None
        self._stats = RunStats()
        self._recent = LatencyHistogram()
        self._stalled = False
        fps = source.info.fps
        self._stall_ns = int(max(STALL_S, 3.0 / float(fps) if fps else 0.0) * NS_PER_S)
        self._last_pts_ns = 0
        self._last_seen_ns = 0

    def run(self) -> RunStats:
        self._started_ns = self._last_seen_ns = self._said_ns = time.monotonic_ns()
        threads = [
            threading.Thread(target=self._capture, name="mien-capture", daemon=True),
            threading.Thread(target=self._work, name="mien-work", daemon=True),
        ]
        for thread in threads:
            thread.start()
        try:
            self._send()
        finally:
            self._halt(threads)
        return self._finish()

    def _halt(self, threads: list[threading.Thread]) -> None:
        """Close the devices and finish the sink, whatever ended the run."""
        self._captured.close()
        self._ready.close()
        self._source.close()
        for thread in threads:
            thread.join(JOIN_S)
            if thread.is_alive():
                logger.warning("%s does not end; the device may hang", thread.name)
        stats = self._stats
        stats.seconds = (time.monotonic_ns() - self._started_ns) / NS_PER_S
        stats.dropped = self._captured.dropped + self._ready.dropped
        if stats.frames:
            self._sink.close()
        else:
            self._sink.abort()

    def _finish(self) -> RunStats:
        if self._process_error is not None:
            raise self._process_error
        if self._source_error is not None:
            if self._stats.frames == 0 or not isinstance(self._source_error, MienError):
                raise self._source_error
            self._stats.error = self._source_error
        return self._stats

    def _capture(self) -> None:
        try:
            for frame in self._source.frames():
                self._captured.put(frame)
                if self._stop.is_set() or self._process_error is not None:
                    return
        except Exception as error:
            self._source_error = error
        finally:
            self._captured.close()

    def _work(self) -> None:
        try:
            while not self._captured.finished and not self._stop.is_set():
                frame = self._captured.get(POLL_S)
                if frame is not None:
                    self._ready.put(self._process(frame))
        except Exception as error:
            self._process_error = error
        finally:
            self._ready.close()

    def _send(self) -> None:
        while not self._ready.finished and not self._stop.is_set():
            outcome = self._ready.get(POLL_S)
            now_ns = time.monotonic_ns()
            if outcome is not None:
                self._hand_over(outcome, now_ns)
            elif now_ns - self._last_seen_ns > self._stall_ns:
                self._wait_for_source(now_ns)
            if outcome is None and isinstance(self._sink, Interactive):
                self._sink.poll()
            if now_ns - self._said_ns >= STATUS_S * NS_PER_S:
                self._say(now_ns)

    def _hand_over(self, outcome: OutcomeLike, now_ns: int) -> None:
        frame = outcome.frame
        self._last_pts_ns, self._last_seen_ns = frame.pts_ns, now_ns
        if self._stalled:
            self._stalled = False
            self._tell("resumed")
        self._stats.add_outcome(outcome)
        self._stats.add_sent(frame, now_ns)
        self._recent.add((now_ns - frame.capture_ns) / 1e6)
        before_ns = time.perf_counter_ns()
        self._sink.write(frame)
        self._stats.add_stage("sink", (time.perf_counter_ns() - before_ns) / 1e6)

    def _wait_for_source(self, now_ns: int) -> None:
        if not self._stalled:
            self._stalled = True
            self._tell("stalled")
        if self._idle is None:
            return
        silent_ns = now_ns - self._last_seen_ns
        picture = self._idle(silent_ns / NS_PER_S)
        if picture is not None:
            pts_ns = self._last_pts_ns + silent_ns
            self._sink.write(Frame(index=-1, bgr=picture, capture_ns=now_ns, pts_ns=pts_ns))

    def _tell(self, event: Event) -> None:
        logger.info("source %s", event)
        if self._on_event is not None:
            self._on_event(event)

    def _say(self, now_ns: int) -> None:
        passed_s = (now_ns - self._said_ns) / NS_PER_S
        status = LiveStatus(
            seconds=(now_ns - self._started_ns) / NS_PER_S,
            fps=self._recent.count / passed_s,
            p50_ms=self._recent.percentile(50),
            p95_ms=self._recent.percentile(95),
            frames=self._stats.frames,
            dropped=self._captured.dropped + self._ready.dropped,
            guarded=self._stats.guarded,
            stalled=self._stalled,
        )
        self._said_ns = now_ns
        self._recent.clear()
        if self._on_status is not None:
            self._on_status(status)
