"""Media made on the spot, and small stand-ins for what surrounds the loops."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from mien.types import Frame, U8Array
from mien_streamer.sinks.sink import ClosingSink
from mien_streamer.sources.source import NS_PER_S, ClosingSource, SourceInfo


def striped(index: int, width: int, height: int) -> U8Array:
    """(H, W, 3) BGR with a diagonal ramp and a block that tells the index."""
    y, x = np.mgrid[0:height, 0:width]
    ramp = (x * 90 // max(1, width) + y * 90 // max(1, height)).astype(np.uint8)
    picture = np.stack([ramp + 20, ramp + 40, 200 - ramp], -1).astype(np.uint8)
    picture[: height // 2, : width // 2] = 40 + (index * 20) % 180
    return picture


def make_video(
    path: Path,
    *,
    ticks: Sequence[int] = tuple(range(0, 12 * 512, 512)),
    time_base: Fraction = Fraction(1, 15360),
    size: tuple[int, int] = (64, 48),
    pix_fmt: str = "yuv420p",
    codec: str = "libx264",
    audio: str | None = None,
    audio_s: float = 0.5,
    audio_start_s: int = 0,
    rotation: float = 0.0,
    hflip: bool = False,
    tags: dict[str, int] | None = None,
    picture: Callable[[int, int, int], U8Array] = striped,
    options: dict[str, str] | None = None,
    matrix: str = "ITU709",
) -> Path:
    """A video file with exactly these timestamps."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=Fraction(1) / (512 * time_base))
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        stream.time_base = stream.codec_context.time_base = time_base
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        if rotation or hflip:
            stream.set_display_rotation(rotation, hflip=hflip)
        sound = None
        if audio is not None:
            sound = container.add_stream(audio, rate=48_000)
            sound.layout = "stereo"
        for index, tick in enumerate(ticks):
            frame = av.VideoFrame.from_ndarray(picture(index, *size), format="bgr24")
            full = int((tags or {}).get("color_range", 1) == 2)
            frame = frame.reformat(
                format=pix_fmt, dst_colorspace=matrix, dst_color_range=("MPEG", "JPEG")[full]
            )
            frame.pts, frame.time_base = tick, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            _add_tone(container, sound, audio_s, audio_start_s)
    return path


def _add_tone(container: Any, stream: Any, seconds: float, start_s: int) -> None:
    count = int(seconds * 48_000)
    wave = (np.sin(np.arange(count) * 0.06) * 9000).astype(np.int16)
    resampler = av.AudioResampler(stream.format, "stereo", 48_000, frame_size=1024)
    frame = av.AudioFrame.from_ndarray(np.repeat(wave, 2)[None], format="s16", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = 48_000, start_s * 48_000, Fraction(1, 48_000)
    for piece in (*resampler.resample(frame), *resampler.resample(None)):
        container.mux(stream.encode(piece))
    container.mux(stream.encode(None))


def video_times(path: Path) -> list[Fraction]:
    """Exact presentation times of a file's pictures, in seconds."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [frame.pts * frame.time_base for frame in container.decode(stream)]


def audio_packets(path: Path) -> list[tuple[Fraction, bytes]]:
    """Exact time and content of every audio packet."""
    with av.open(str(path)) as container:
        return [
            (packet.pts * packet.time_base, bytes(packet))
            for packet in container.demux(audio=0)
            if packet.size
        ]


@dataclass
class Passed:
    """The outcome of a process that changes nothing."""

    frame: Frame
    tracks: list[object] = field(default_factory=list)
    swapped: int = 0
    guarded: bool = False
    stage_ms: dict[str, float] = field(default_factory=dict)


def passing(frame: Frame) -> Passed:
    """Leave the frame as it is; it found and swapped one face."""
    return Passed(frame, tracks=[object()], swapped=1, stage_ms={"track": 1.0})


class MadeSource(ClosingSource):
    """Frames from memory; each may wait for a permit and the end may be an error."""

    def __init__(
        self,
        count: int,
        *,
        size: tuple[int, int] = (16, 12),
        fps: int = 30,
        is_live: bool = False,
        error: Exception | None = None,
        before: Callable[[int], None] = lambda index: None,
    ) -> None:
        self.info = SourceInfo(
            name="made",
            width=size[0],
            height=size[1],
            fps=Fraction(fps),
            frame_count=count,
            is_live=is_live,
        )
        self._count, self._error, self._before = count, error, before
        self.closed = False

    def frames(self) -> Iterator[Frame]:
        for index in range(self._count):
            self._before(index)
            if self.closed:
                return
            yield self.frame(index)
        if self._error is not None:
            raise self._error

    def frame(self, index: int) -> Frame:
        """Frame number ``index``, captured at that many frame times."""
        assert self.info.fps is not None
        time_ns = round(index * NS_PER_S / self.info.fps)
        picture = np.full((self.info.height, self.info.width, 3), index % 251, np.uint8)
        return Frame(index=index, bgr=picture, capture_ns=time_ns, pts_ns=time_ns)

    def close(self) -> None:
        self.closed = True


class ListSink(ClosingSink):
    """Keeps the indices of what it gets."""

    def __init__(self, *, fail_at: int | None = None, error: Exception | None = None) -> None:
        self.indices: list[int] = []
        self.pictures: list[U8Array] = []
        self.closed = self.aborted = False
        self._fail_at, self._error = fail_at, error

    def write(self, frame: Frame) -> None:
        if self._fail_at == len(self.indices) and self._error is not None:
            raise self._error
        self.indices.append(frame.index)
        self.pictures.append(frame.bgr)

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True


class ManualClock:
    """A clock that moves only when someone waits."""

    def __init__(self) -> None:
        self.time_ns = 1_000
        self.waits: list[float] = []

    def now_ns(self) -> int:
        return self.time_ns

    def wait(self, seconds: float, wake: threading.Event) -> None:
        self.waits.append(seconds)
        self.time_ns += round(seconds * NS_PER_S)
