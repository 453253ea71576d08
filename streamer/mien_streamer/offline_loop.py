"""Every frame of a source, in order, as fast as it goes.

A thread decodes ahead, the caller's thread processes, a thread encodes; short bounded
queues between them keep the order and hold the decoder back.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

from mien.errors import MienError
from mien.types import Frame
from mien_streamer.run_stats import OutcomeLike, RunStats
from mien_streamer.sinks.sink import Sink
from mien_streamer.sources.source import Source

Process = Callable[[Frame], OutcomeLike]
Progress = Callable[[int, int | None], None]

QUEUE_BYTES = 128 * 2**20
"""Most pixels that wait between two threads of the offline loop."""
QUEUE_FRAMES = 4
POLL_S = 0.1
"""How long a thread waits at a queue before it looks whether to stop."""
JOIN_S = 3.0
"""Patience with a camera driver that does not return from its read."""


def run_offline(
    source: Source,
    process: Process,
    sink: Sink,
    *,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> RunStats:
    """Process every frame of a source in order and finish the sink.

    Args:
        source: where frames come from; closed at the end.
        process: called in this thread, once per frame, in order.
        sink: closed at the end, or aborted if anything fails.
        progress: called in this thread with frames done and the number to expect.
        stop: set it to end early; what is there is kept.

    Returns:
        Counts and times. A source that fails after its first frame ends the run with
        ``stats.error`` set and the output kept.

    Raises:
        MienError: the source fails at its first frame, or the sink cannot be written.
        Exception: whatever ``process`` raises; the sink is aborted.
    """
    return _Offline(source, process, sink, progress, stop or threading.Event()).run()


class _Offline:
    def __init__(
        self,
        source: Source,
        process: Process,
        sink: Sink,
        progress: Progress | None,
        stop: threading.Event,
    ) -> None:
        self._source, self._process, self._sink = source, process, sink
        self._progress, self._stop = progress, stop
        self._quit = threading.Event()
        info = source.info
        fit = QUEUE_BYTES // max(1, info.width * info.height * 3)
        depth = max(1, min(QUEUE_FRAMES, fit))
        self._decoded: queue.Queue[Frame | None] = queue.Queue(depth)
        self._ready: queue.Queue[Frame | None] = queue.Queue(depth)
        self._source_error: Exception | None = None
        self._sink_error: Exception | None = None
        self._stats = RunStats()

    def run(self) -> RunStats:
        started = time.perf_counter()
        decoder = threading.Thread(target=self._decode, name="mien-decode", daemon=True)
        encoder = threading.Thread(target=self._encode, name="mien-encode", daemon=True)
        decoder.start()
        encoder.start()
        try:
            self._work()
            _put(self._ready, None, self._quit)
            encoder.join()
            self._finish()
        except BaseException:
            self._quit.set()
            encoder.join(JOIN_S)
            self._sink.abort()
            raise
        finally:
            self._quit.set()
            self._source.close()
            decoder.join(JOIN_S)
        self._stats.seconds = time.perf_counter() - started
        return self._stats

    def _work(self) -> None:
        done, expected = 0, self._source.info.frame_count
        while not self._stop.is_set() and self._sink_error is None:
            try:
                frame = self._decoded.get(timeout=POLL_S)
            except queue.Empty:
                continue
            if frame is None:
                return
            outcome = self._process(frame)
            self._stats.add_outcome(outcome)
            _put(self._ready, outcome.frame, self._quit)
            done += 1
            if self._progress is not None:
                self._progress(done, expected)

    def _finish(self) -> None:
        if self._sink_error is not None:
            raise self._sink_error
        if self._source_error is not None:
            if self._stats.frames == 0 or not isinstance(self._source_error, MienError):
                raise self._source_error
            self._stats.error = self._source_error
        self._sink.close()

    def _decode(self) -> None:
        try:
            for frame in self._source.frames():
                if not _put(self._decoded, frame, self._quit):
                    return
        except Exception as error:
            self._source_error = error
        finally:
            _put(self._decoded, None, self._quit)

    def _encode(self) -> None:
        while not self._quit.is_set():
            try:
                frame = self._ready.get(timeout=POLL_S)
            except queue.Empty:
                continue
            if frame is None:
                return
            try:
                before = time.perf_counter()
                self._stats.add_sent(frame, time.monotonic_ns())
                self._sink.write(frame)
                self._stats.add_stage("sink", (time.perf_counter() - before) * 1e3)
            except Exception as error:
                self._sink_error = error
                self._quit.set()


def _put(box: queue.Queue[Frame | None], item: Frame | None, give_up: threading.Event) -> bool:
    while not give_up.is_set():
        try:
            box.put(item, timeout=POLL_S)
        except queue.Full:
            continue
        return True
    return False
