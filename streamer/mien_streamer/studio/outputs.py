"""Where the studio's pictures go besides WebRTC: a virtual camera and a recording."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from pathlib import Path

from mien.errors import MienError, OutputError
from mien.types import Frame
from mien_streamer.sinks.sink import Sink
from mien_streamer.sinks.video import VideoFileSink
from mien_streamer.sources.source import SourceInfo
from mien_streamer.webrtc.ends import fit

logger = logging.getLogger(__name__)

_MOST_WAITING = 20
"""Frames that a slow disk or encoder may lie behind; 55 MB at 720p."""
_FINISH_S = 10.0


class FixedOutput:
    """A sink of a size that cannot change, fed with pictures of any size, in its own thread.

    Frames that it cannot keep up with are dropped and counted. ``write`` and ``close``
    belong to one thread at a time.

    Attributes:
        problem: why it stopped, or "".
        dropped: frames that did not fit.
    """

    def __init__(self, open_sink: Callable[[SourceInfo], Sink]) -> None:
        self._open = open_sink
        self._frames: queue.Queue[Frame | None] = queue.Queue(_MOST_WAITING)
        self._thread = threading.Thread(target=self._run, name="mien-output", daemon=True)
        self._started_ns = 0
        self._running = False
        self.frames = 0
        self.dropped = 0
        self.problem = ""

    @property
    def seconds(self) -> float:
        """Time since the first frame."""
        return (time.monotonic_ns() - self._started_ns) / 1e9 if self._started_ns else 0.0

    def write(self, frame: Frame) -> None:
        """Takes a frame; its pixels are copied."""
        if self.problem:
            return
        if not self._running:
            self._running = True
            self._started_ns = frame.capture_ns
            self._thread.start()
        if self._frames.full():
            self.dropped += 1
            return
        pts_ns = max(frame.capture_ns - self._started_ns, 0)
        self._frames.put_nowait(
            replace(frame, bgr=frame.bgr.copy(), pts_ns=pts_ns, decoded=None, planes=None)
        )

    def close(self) -> None:
        """Finishes what was taken so far."""
        if not self._running:
            return
        self._frames.put(None)
        self._thread.join(_FINISH_S)

    def _run(self) -> None:
        sink: Sink | None = None
        size = (0, 0)
        try:
            while (frame := self._frames.get()) is not None:
                if sink is None:
                    height, width = (side & ~1 for side in frame.size)
                    size = (width, height)
                    sink = self._open(_info(size))
                sink.write(replace(frame, bgr=fit(frame.bgr, size)))
                self.frames += 1
            if sink is not None:
                sink.close()
        except MienError as error:
            self._fail(f"{error.what}; {error.hint}" if error.hint else error.what)
        except Exception as error:
            self._fail(f"{type(error).__name__}: {error}")

    def _fail(self, problem: str) -> None:
        self.problem = problem
        logger.warning("output stopped: %s", problem)
        while True:  # whoever waits to put the end in must not wait for ever
            try:
                self._frames.get_nowait()
            except queue.Empty:
                return


def _info(size: tuple[int, int]) -> SourceInfo:
    return SourceInfo(name="studio", width=size[0], height=size[1], fps=Fraction(30), is_live=True)


class Recording(FixedOutput):
    """A recording under a name made of the time; the folder is made when needed.

    Attributes:
        path: where it will be.
    """

    def __init__(
        self,
        folder: Path,
        tags: Mapping[str, str],
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        self.path = _free_path(folder, now())
        super().__init__(lambda info: self._file(info, tags))

    def _file(self, info: SourceInfo, tags: Mapping[str, str]) -> Sink:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"the folder {self.path.parent} cannot be made: {error.strerror or error}",
                "choose another with --recordings",
            ) from error
        return VideoFileSink(self.path, info, metadata=tags)


def _free_path(folder: Path, moment: datetime) -> Path:
    stem = moment.strftime("mien-%Y%m%d-%H%M%S")
    path = folder / f"{stem}.mp4"
    number = 2
    while path.exists():
        path = folder / f"{stem}-{number}.mp4"
        number += 1
    return path
