"""File to virtual camera: numbered pictures through the live loop into a driver that reads them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, ClassVar

from mien.pipeline import Outcome, Pipeline
from mien.types import Frame, U8Array
from mien_benchmarks.bar_code import paint, read
from mien_benchmarks.latency_ways import LatencySettings, Way, clip_pictures
from mien_streamer.loop import run_live
from mien_streamer.sinks.virtual_camera import VirtualCameraSink
from mien_streamer.sources.source import ClosingSource, SourceInfo

_BACKEND = "mien-measure"


class ReadingDriver:
    """A virtual camera's driver that reads the number of what it is sent, and the clock."""

    seen: ClassVar[list[tuple[int | None, float]]] = []

    def __init__(self, *, width: int, height: int, **more: Any) -> None:
        self._shape = (height, width)

    def device(self) -> str:
        """Its name."""
        return "none"

    def native_fourcc(self) -> int | None:
        """No format is dearer to it than another."""
        return None

    def close(self) -> None:
        """Nothing to release."""

    def send(self, frame: U8Array) -> None:
        """Takes a flat I420 picture."""
        now = time.monotonic()
        rows, columns = self._shape
        luma = frame.reshape(-1)[: rows * columns].reshape(rows, columns, 1)
        self.seen.append((read(luma), now))


class NumberedClip(ClosingSource):
    """The bundled clip with a number in each picture, played in real time."""

    def __init__(self, settings: LatencySettings, pictures: list[U8Array]) -> None:
        width, height = settings.size
        self.info = SourceInfo(
            name="numbered", width=width, height=height, fps=Fraction(settings.fps), is_live=True
        )
        self._pictures = pictures
        self._settings = settings
        self._closed = threading.Event()
        self.taken: dict[int, float] = {}

    def frames(self) -> Iterator[Frame]:
        """Pictures until the settings' seconds are over."""
        start_s = time.monotonic()
        for number in range(round(self._settings.seconds * self._settings.fps)):
            left_s = start_s + number / self._settings.fps - time.monotonic()
            if self._closed.wait(max(left_s, 0.0)):
                return
            bgr = self._pictures[number % len(self._pictures)].copy()
            paint(bgr, number)
            now_ns = time.monotonic_ns()
            self.taken[number] = now_ns / 1e9
            yield Frame(index=number, bgr=bgr, capture_ns=now_ns, pts_ns=now_ns)

    def close(self) -> None:
        """Ends at once."""
        self._closed.set()


def measure_camera(settings: LatencySettings) -> dict[str, Any]:
    """Latency from taking a picture to handing it to the virtual camera's driver."""
    import pyvirtualcam

    pyvirtualcam.register_backend(_BACKEND, ReadingDriver)
    try:
        ReadingDriver.seen.clear()
        pictures = clip_pictures(settings.size)
        return _measure(settings, pictures)
    finally:
        pyvirtualcam.camera.BACKENDS.pop(_BACKEND, None)


def _measure(settings: LatencySettings, pictures: list[U8Array]) -> dict[str, Any]:
    from mien.config import GuardConfig, PipelineConfig

    source = NumberedClip(settings, pictures)
    sink = VirtualCameraSink(source.info, backend=_BACKEND, planar=True)
    stop = threading.Event()
    if settings.work == "none":
        stats = run_live(source, lambda frame: Outcome(frame=frame), sink, stop=stop)
    else:
        with Pipeline.create(PipelineConfig(guard=GuardConfig(mode="off"))) as pipeline:
            pipeline.set_persona(settings.persona, wait=True)
            stats = run_live(source, pipeline.process, sink, stop=stop)
    read_back = [(n, at) for n, at in ReadingDriver.seen if n in source.taken]
    way = Way(
        samples=[1e3 * (at - source.taken[n]) for n, at in read_back if n is not None],
        sent=len(source.taken),
        unread=len(ReadingDriver.seen) - len(read_back),
        widths={str(settings.size[0]): len(ReadingDriver.seen)},
    )
    return {
        "ways": {"file to virtual camera": way.summary()},
        "samples": {"file to virtual camera": [round(x, 2) for x in way.samples]},
        "server": {
            "frames": stats.frames,
            "dropped": stats.dropped,
            "total_ms": stats.total.summary(),
            "stages_ms": {name: times.summary() for name, times in stats.stages.items()},
        },
    }
