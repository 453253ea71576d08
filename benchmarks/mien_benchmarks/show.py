"""A live show with a cue every few seconds, ordered by OSC: what do cues cost?

The cues come over a real socket from a thread of their own, at moments that have nothing to do
with the frames. A cue's time is counted in frames, because a frame is the least that a change
of face can take: 1 is the first frame that was begun after the message had been received.
"""

from __future__ import annotations

import itertools
import os
import socket
import threading
import time
from bisect import bisect_right
from dataclasses import asdict, dataclass, field
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np

from mien.config import PipelineConfig, TrackerConfig
from mien.errors import MediaError
from mien.pipeline import Outcome, Pipeline
from mien.shows import Event, Show, parse_show
from mien.types import Frame
from mien_benchmarks.times import commit_of_checkout, spread
from mien_streamer.cli.report import device, versions
from mien_streamer.cli.setup import find_persona
from mien_streamer.controls import osc_message
from mien_streamer.controls.osc import OscControl
from mien_streamer.geometry import Geometry, with_geometry
from mien_streamer.loop import RunStats, run_live
from mien_streamer.show_session import ShowSession
from mien_streamer.sinks.sink import NullSink
from mien_streamer.sources import Source, open_source

CAST = ("ada", "tunde", "mei", "rafael", "greta", "kai")
# No flicker: whether it changes the very next frame is left to chance.
TRANSITIONS = ("morph", "cut", "wipe", "cut", "morph", "cut")
TRANSITION_S = 0.5

NEAR_S = 0.6
"""A frame that is lost so shortly after a cue is held against it."""

_READY_S = 60.0
_DRIFT_S = 0.013
"""Cues wander against the frames by this much, so that every moment between two is met."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowBenchSettings:
    """What to measure.

    Attributes:
        minutes: length of the show.
        every_s: seconds between cues.
        size: (width, height).
        clip: what to run on, over and over in real time; the bundled clip if None.
        swapper: which swapper.
        device: where faces are drawn.
        threads: threads of each network.
    """

    minutes: float = 5.0
    every_s: float = 2.0
    size: tuple[int, int] = (1280, 720)
    clip: Path | None = None
    swapper: str = "mesh"
    device: str = "cpu"
    threads: int = 1


@dataclass(slots=True)
class _Log:
    """What was seen, in the thread of the frames; monotonic seconds."""

    begun_s: list[float] = field(default_factory=list)
    done_s: list[float] = field(default_factory=list)
    indices: list[int] = field(default_factory=list)
    waiting_s: list[float] = field(default_factory=list)
    received_s: list[float] = field(default_factory=list)
    changed: list[int] = field(default_factory=list)


def show_of_the_cast() -> Show:
    """Everybody in turn, each by an OSC address of their own."""
    cues = "".join(
        f'[[cue]]\nname = "{name}"\nto = "{name}"\nosc = "/bench/{name}"\n'
        f'transition = "{kind}"\nduration = "{TRANSITION_S}s"\n'
        for name, kind in zip(CAST, TRANSITIONS, strict=True)
    )
    show, problems = parse_show(f'[show]\nname = "bench"\nstart = "{CAST[-1]}"\n{cues}')
    if show is None:
        raise MediaError(f"the benchmark's show: {problems[0].what}", "reinstall mien")
    return show


def measure_show(settings: ShowBenchSettings) -> dict[str, Any]:
    """All figures of the show, ready for JSON.

    Raises:
        MienError: the clip, a persona or the swapper cannot be used.
    """
    commit = commit_of_checkout()
    config = PipelineConfig(device=settings.device, tracker=TrackerConfig(threads=settings.threads))
    load = os.getloadavg() if hasattr(os, "getloadavg") else (0.0, 0.0, 0.0)
    with Pipeline.create(config, settings.swapper) as pipeline:
        session = ShowSession(show_of_the_cast(), pipeline, find_persona, live=True)
        _wait_for_all(pipeline)
        control = OscControl(session.player, ("127.0.0.1", 0))
        try:
            stats, log, sent_s = _play(pipeline, session, control, settings)
        finally:
            control.close()
    return {
        "commit": commit,
        "device": device(),
        "load_average": [round(one, 2) for one in load],
        "versions": versions(),
        "settings": {**asdict(settings), "clip": settings.clip and str(settings.clip)},
        "where": pipeline.where,
        **figures(stats, log, sent_s),
    }


def _wait_for_all(pipeline: Pipeline) -> None:
    """Personas are prepared beside the frames; here, before them: they are not what is asked."""
    end_s = time.monotonic() + _READY_S
    while not all(pipeline.wings.is_ready(name) for name in CAST):
        for name in CAST:
            problem = pipeline.wings.problem(name)
            if problem is not None:
                raise problem
        if time.monotonic() > end_s:
            raise MediaError("the cast is not ready after a minute", "is the machine busy?")
        time.sleep(0.05)


def _play(
    pipeline: Pipeline, session: ShowSession, control: OscControl, settings: ShowBenchSettings
) -> tuple[RunStats, _Log, list[float]]:
    log = _Log()
    fired: list[Event] = []
    session.player.listen(lambda event: fired.append(event) if event.kind == "fired" else None)

    def process(frame: Frame) -> Outcome:
        before = session.player.looks()
        log.begun_s.append(time.monotonic())
        outcome = pipeline.process(frame)
        log.done_s.append(time.monotonic())
        log.indices.append(frame.index)
        _note(log, fired, changed=session.player.looks() != before)
        return outcome

    stop = threading.Event()
    sent_s: list[float] = []
    sender = threading.Thread(
        target=_send, args=(control.endpoint, settings.every_s, stop, sent_s), daemon=True
    )
    timer = threading.Timer(settings.minutes * 60.0, stop.set)
    with as_file(files("mien_streamer").joinpath("demo", "driver.mp4")) as bundled:
        source = _source(settings.clip or bundled, settings.size)
        sender.start()
        timer.start()
        try:
            stats = run_live(source, process, NullSink(), stop=stop)
        finally:
            timer.cancel()
            stop.set()
            sender.join()
    return stats, log, sent_s


def _note(log: _Log, fired: list[Event], *, changed: bool) -> None:
    """Counts the frames from each cue's message to the first that is changed."""
    log.waiting_s += [event.time_s for event in fired]
    fired.clear()
    if not changed:
        return
    for at_s in log.waiting_s:
        frames = len(log.begun_s) - bisect_right(log.begun_s, at_s)
        log.received_s.append(at_s)
        log.changed.append(max(frames, 1))
    log.waiting_s.clear()


def _send(
    endpoint: tuple[str, int], every_s: float, stop: threading.Event, sent_s: list[float]
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as desk:
        for turn, name in enumerate(itertools.cycle(CAST)):
            if stop.wait(every_s + _DRIFT_S * (turn % 7)):
                return
            sent_s.append(time.monotonic())
            desk.sendto(osc_message.write(f"/bench/{name}", ()), endpoint)


def _source(clip: Path, size: tuple[int, int]) -> Source:
    source = open_source(f"file:{clip}", loop=True)
    if (source.info.width, source.info.height) == size:
        return source
    return with_geometry(source, Geometry(size=size))


def figures(stats: RunStats, log: _Log, sent_s: list[float]) -> dict[str, Any]:
    """What the log says."""
    near, near_frames, elsewhere = _drops(log, sent_s)
    frames = len(log.begun_s)
    # To a change that can be seen: the frame that carries it is done.
    places = [
        min(bisect_right(log.begun_s, at_s) + count - 1, frames - 1)
        for at_s, count in zip(log.received_s, log.changed, strict=True)
    ]
    to_done = [
        (log.done_s[place] - at_s) * 1e3 for place, at_s in zip(places, log.received_s, strict=True)
    ]
    return {
        "seconds": round(stats.seconds, 2),
        "frames": frames,
        "fps": round(stats.fps, 2),
        "dropped": stats.dropped,
        "guarded": stats.guarded,
        "cues": {"sent": len(sent_s), "seen": len(log.changed)},
        "drops": {
            "near_cues": near,
            "frames_near_cues": near_frames,
            "elsewhere": elsewhere,
            "frames_elsewhere": frames - near_frames,
        },
        "frames_to_change": {
            "p50": _percentile(log.changed, 50),
            "p99": _percentile(log.changed, 99),
            "max": max(log.changed, default=0),
        },
        "received_to_drawn_ms": spread(to_done) if to_done else None,
        "total_ms": stats.total.summary(),
        "stages_ms": {name: times.summary() for name, times in stats.stages.items()},
    }


def _drops(log: _Log, sent_s: list[float]) -> tuple[int, int, int]:
    """Frames lost shortly after a cue, frames drawn there, frames lost elsewhere."""
    near = near_frames = elsewhere = 0
    for place in range(1, len(log.indices)):
        lost = max(log.indices[place] - log.indices[place - 1] - 1, 0)
        begun_s = log.begun_s[place]
        cue = bisect_right(sent_s, begun_s)
        if cue and begun_s - sent_s[cue - 1] < NEAR_S:
            near += lost
            near_frames += 1
        else:
            elsewhere += lost
    return near, near_frames, elsewhere


def _percentile(values: list[int], share: int) -> float:
    return float(np.percentile(values, share)) if values else 0.0
