"""Photons to photons: a camera films a window with a number that changes, through the live loop.

What lies between drawing a number and reading it in the loop's output is the screen, the light,
the camera and the loop: the same parts as between a performer's move and the screen that shows it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import cv2
import numpy as np

from mien.config import GuardConfig, PipelineConfig
from mien.errors import DeviceError
from mien.pipeline import Outcome, Pipeline
from mien.types import Frame, U8Array
from mien_benchmarks.bar_board import PANEL, BoardReader, paint_board, why_unread
from mien_benchmarks.latency_ways import LatencySettings, Way, clip_pictures
from mien_streamer.controls.hotkeys import Action
from mien_streamer.loop import RunStats, run_live
from mien_streamer.sinks.sink import ClosingSink, Sink
from mien_streamer.sinks.window import WindowSink
from mien_streamer.sources.opening import open_source
from mien_streamer.sources.source import Source

Place = Literal["captured", "output"]
SEEN, OUTPUT = "screen to captured", "photons to photons"

AIM_S = 30.0
"""Patience with whoever aims the camera."""
_HINT_EVERY_S = 3.0
_STEADY = 10
"""Readable frames in a row after which the camera counts as aimed."""
_STALE_NS = 5_000_000_000
"""A number older than this was misread."""
_WAITING = 64
"""Pictures that wait to be read; more are left out and counted."""
_CLIP_HEIGHT = 0.58
_TEXT = "mien: point the camera at this window, all of it in the picture. Q ends."


class Tally:
    """When numbers were drawn, and how old they were where they were read.

    ``drew`` is called in one thread and ``read`` in another one.
    """

    def __init__(self) -> None:
        self._drawn_ns: list[int] = []
        self._readers = {"captured": BoardReader(), "output": BoardReader()}
        self.ways: dict[Place, Way] = {"captured": Way(), "output": Way()}
        self.in_a_row = 0
        self.counts = False

    def drew(self, at_ns: int) -> None:
        """The next number was handed to the screen."""
        self._drawn_ns.append(at_ns)

    @property
    def next_number(self) -> int:
        """The number that is drawn next."""
        return len(self._drawn_ns)

    def read(self, place: Place, grey: U8Array, at_ns: int) -> float | None:
        """The age in ms of the number in an (H, W) uint8 picture; None if it is not readable."""
        number = self._readers[place].read(grey)
        age_ms = None if number is None else self._age_ms(number, at_ns)
        if place == "captured":
            self.in_a_row = 0 if age_ms is None else self.in_a_row + 1
        if self.counts:
            way = self.ways[place]
            way.sent += 1
            if age_ms is None:
                way.unread += 1
            else:
                way.samples.append(age_ms)
        return age_ms

    def _age_ms(self, number: int, at_ns: int) -> float | None:
        # The code holds 16 bits; the latest number with these, drawn before the picture was taken.
        last = len(self._drawn_ns) - 1
        latest = last - (last - number & 0xFFFF)
        if latest < 0:
            return None
        age_ns = at_ns - self._drawn_ns[latest]
        return age_ns / 1e6 if 0 <= age_ns < _STALE_NS else None


class _Watcher:
    """Reads grey pictures in a thread of its own, so that reading is not in what is measured."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._waiting: queue.Queue[tuple[Place, U8Array, int] | None] = queue.Queue(_WAITING)
        self.left_out = 0
        self.last: U8Array | None = None
        self._thread = threading.Thread(target=self._work, name="mien-bench-reader")
        self._thread.start()

    def look(self, place: Place, bgr: U8Array, at_ns: int) -> None:
        """Keep a grey copy of a picture to be read."""
        try:
            grey = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), np.uint8)
            self._waiting.put_nowait((place, grey, at_ns))
        except queue.Full:
            self.left_out += 1

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            if item[0] == "captured":
                self.last = item[1]
            self._tally.read(*item)

    def close(self) -> None:
        """Read what waits, and end."""
        self._waiting.put(None)
        self._thread.join()


class _ReadSink(ClosingSink):
    """The loop's output: looked at, and shown nowhere."""

    def __init__(self, watcher: _Watcher) -> None:
        self._watcher = watcher

    def write(self, frame: Frame) -> None:
        self._watcher.look("output", frame.bgr, time.monotonic_ns())

    def close(self) -> None:
        """Nothing to finish."""

    def abort(self) -> None:
        """Nothing to undo."""


@dataclass(slots=True)
class _Filming:
    """The live loop in a thread, as the window wants the main one."""

    stop: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    stats: RunStats = field(default_factory=RunStats)
    error: Exception | None = None

    def run(self, source: Source, process: Callable[[Frame], Outcome], sink: Sink) -> None:
        try:
            self.stats = run_live(source, process, sink, stop=self.stop)
            self.error = self.stats.error
        except Exception as error:
            self.error = error
        finally:
            self.ended.set()


class Board:
    """The pictures that the window shows."""

    def __init__(self, settings: LatencySettings) -> None:
        width, height = settings.size
        self._ground = np.zeros((height, width, 3), np.uint8)
        at = (round(PANEL[0] * width), round(0.39 * height))
        font, scale = cv2.FONT_HERSHEY_SIMPLEX, height / 1200
        cv2.putText(self._ground, _TEXT, at, font, scale, (150, 150, 150), 1, cv2.LINE_AA)
        self._clip: list[U8Array] = []
        if settings.work != "none":
            # The swapper needs a face to work on.
            tall = round(_CLIP_HEIGHT * height)
            self._clip = clip_pictures((round(tall * width / height) & ~1, tall & ~1))

    def picture(self, number: int) -> U8Array:
        """The board with a number."""
        shown = self._ground.copy()
        if self._clip:
            face = self._clip[number // 2 % len(self._clip)]
            left = (shown.shape[1] - face.shape[1]) // 2
            shown[-face.shape[0] :, left : left + face.shape[1]] = face
        paint_board(shown, number)
        return shown


def measure_photons(
    settings: LatencySettings,
    camera: str,
    say: Callable[[str], None] = lambda text: None,
    *,
    open_camera: Callable[..., Source] | None = None,
    open_window: Callable[[Callable[[Action], None]], Sink] | None = None,
    aim_s: float = AIM_S,
) -> dict[str, Any]:
    """Latency from the screen through a camera and the live loop, with a window of its own.

    Call it from the main thread.

    Args:
        settings: size, rate, length and work.
        camera: number, device path or part of the name of the camera.
        say: told how to aim while the code cannot be read.
        open_camera: opens the source; with ``size`` and ``fps``.
        open_window: opens the sink that shows the board.
        aim_s: how long to wait for a readable picture.

    Raises:
        DeviceError: there is no such camera, no window, or the code is never readable.
    """
    closed = threading.Event()

    def on_action(action: Action) -> None:
        if action is Action.QUIT:
            closed.set()

    tally = Tally()
    with _work(settings) as work:
        source = (open_camera or open_source)(
            f"camera:{camera}", size=settings.size, fps=settings.fps
        )
        try:
            window = (open_window or WindowSink)(on_action)
        except BaseException:
            source.close()
            raise
        watcher = _Watcher(tally)
        filming = _Filming()

        def process(frame: Frame) -> Outcome:
            watcher.look("captured", frame.bgr, frame.capture_ns)
            return work(frame)

        thread = threading.Thread(
            target=filming.run, args=(source, process, _ReadSink(watcher)), name="mien-bench-loop"
        )
        thread.start()
        try:
            screen = _Screen(Board(settings), window, tally, settings.fps)
            _aim(screen, filming, closed, watcher, say, aim_s)
            tally.counts = True
            say(f"the code is readable; measuring for {settings.seconds:g} s")
            screen.show(settings.seconds, lambda: closed.is_set() or filming.ended.is_set())
        finally:
            filming.stop.set()
            thread.join()
            watcher.close()
            window.close()
    if filming.error is not None:
        raise filming.error
    if not tally.ways["output"].samples:
        raise DeviceError("no frame was readable in the loop's output", _reason(watcher))
    return _result(tally, filming.stats, watcher)


@dataclass(slots=True)
class _Screen:
    """Draws numbers at twice the camera's rate: an exposure then sees two changes at most."""

    board: Board
    window: Sink
    tally: Tally
    fps: float

    def show(self, seconds: float, enough: Callable[[], bool]) -> None:
        """Draw for some time, or until it is enough."""
        end_s = time.monotonic() + seconds
        due_s = time.monotonic()
        while due_s < end_s and not enough():
            picture = self.board.picture(self.tally.next_number)
            time.sleep(max(due_s - time.monotonic(), 0.0))
            now_ns = time.monotonic_ns()
            self.tally.drew(now_ns)
            self.window.write(Frame(index=0, bgr=picture, capture_ns=now_ns, pts_ns=now_ns))
            # A late picture delays the next ones; numbers never come in a burst.
            due_s = max(due_s + 0.5 / self.fps, now_ns / 1e9)


def _aim(
    screen: _Screen,
    filming: _Filming,
    closed: threading.Event,
    watcher: _Watcher,
    say: Callable[[str], None],
    aim_s: float,
) -> None:
    """Draw until the code has been read in some frames in a row."""

    def over() -> bool:
        return closed.is_set() or filming.ended.is_set() or screen.tally.in_a_row >= _STEADY

    passed_s = 0.0
    while not over() and passed_s < aim_s:
        step_s = min(_HINT_EVERY_S, aim_s - passed_s)
        screen.show(step_s, over)
        passed_s += step_s
        if not over():
            say(f"cannot read the code: {_reason(watcher)}")
    if screen.tally.in_a_row >= _STEADY or filming.error is not None:
        return
    if closed.is_set():
        raise DeviceError("the window was closed before the camera saw the code", _reason(watcher))
    raise DeviceError(
        "the camera cannot read the code in the window", _reason(watcher) + "; then start again"
    )


def _reason(watcher: _Watcher) -> str:
    return "no picture came yet" if watcher.last is None else why_unread(watcher.last)


@contextmanager
def _work(settings: LatencySettings) -> Iterator[Callable[[Frame], Outcome]]:
    if settings.work == "none":
        yield lambda frame: Outcome(frame=frame)
        return
    # The number must come back readable, so nothing is covered.
    with Pipeline.create(PipelineConfig(guard=GuardConfig(mode="off"))) as pipeline:
        pipeline.set_persona(settings.persona, wait=True)
        yield pipeline.process


def _result(tally: Tally, stats: RunStats, watcher: _Watcher) -> dict[str, Any]:
    ways = {OUTPUT: tally.ways["output"], SEEN: tally.ways["captured"]}
    readable = {
        name: round(len(way.samples) / way.sent, 4) if way.sent else 0.0
        for name, way in ways.items()
    }
    return {
        "ways": {name: {**way.summary(), "readable": readable[name]} for name, way in ways.items()},
        "samples": {name: [round(x, 2) for x in way.samples] for name, way in ways.items()},
        "server": {
            "frames": stats.frames,
            "dropped": stats.dropped,
            "total_ms": stats.total.summary(),
            "stages_ms": {name: times.summary() for name, times in stats.stages.items()},
        },
        "not_looked_at": watcher.left_out,
        "last_hint": "" if watcher.last is None else why_unread(watcher.last),
    }
