"""A library, a short talking clip with sound, and a quick swapper for commands to work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from importlib.resources import as_file, files
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from mien.config import PipelineConfig
from mien.guard import Guard
from mien.marking import Marker, draw_slate
from mien.perception import FaceTracker
from mien.personas import save_persona
from mien.pipeline import Pipeline
from mien.types import U8Array
from mien_streamer.cli import run
from tests.pipeline.fakes import FakeCompositor, FakeSwapper, make_persona

PERSONA = "tess"


@dataclass(frozen=True)
class Result:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def error_lines(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.strip()]


Mien = Callable[..., Result]


@pytest.fixture
def mien(capfd: pytest.CaptureFixture[str]) -> Mien:
    """Runs a command line in this process."""

    def call(*arguments: object) -> Result:
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Result(code, captured.out, captured.err)

    return call


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library of one persona."""
    folder = tmp_path / "home"
    (folder / "personas").mkdir(parents=True)
    monkeypatch.setenv("MIEN_HOME", str(folder))
    save_persona(sound_persona(PERSONA), folder / "personas" / f"{PERSONA}.persona")
    return folder


def sound_persona(name: str) -> object:
    """A persona that passes every check; its texture is plain."""
    ok, preview = cv2.imencode(".jpg", np.full((256, 256, 3), 120, np.uint8))
    assert ok
    return make_persona(name, side=256, preview=preview.tobytes())


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> FakeSwapper:
    """Pipelines with the real tracker, guard and mark, and a swapper that paints a flat colour."""
    swapper = FakeSwapper()

    def create(config: PipelineConfig | None = None, swapper_name: str = "mesh") -> Pipeline:
        del swapper_name
        config = config or PipelineConfig()
        return Pipeline(
            config,
            tracker=FaceTracker(config.tracker),
            swapper=swapper,
            compositor=FakeCompositor(),
            guard=Guard(config.guard, draw_slate),
            marker=Marker(config.mark),
        )

    monkeypatch.setattr(Pipeline, "create", staticmethod(create))
    return swapper


@pytest.fixture(scope="session")
def demo_frames() -> list[U8Array]:
    """24 frames of the bundled clip at 640x360: a head that fills a good part of the picture."""
    with as_file(files("mien_streamer").joinpath("demo", "driver.mp4")) as path:
        frames = []
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                picture = frame.to_ndarray(format="bgr24")
                frames.append(cv2.resize(picture, (640, 360), interpolation=cv2.INTER_AREA))
                if len(frames) == 24:
                    break
    return frames


@pytest.fixture(scope="session")
def talking(tmp_path_factory: pytest.TempPathFactory, demo_frames: list[U8Array]) -> Path:
    """A clip of those frames with sound, and one long pause between two of them."""
    path = tmp_path_factory.mktemp("clips") / "talking.mp4"
    write_clip(path, demo_frames, sound=True, pause_at=12)
    return path


def write_clip(
    path: Path,
    frames: list[U8Array],
    *,
    fps: int = 24,
    sound: bool = False,
    pause_at: int | None = None,
) -> None:
    """An H.264 file; with ``pause_at``, frames from there on come half a second later."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=fps, options={"crf": "20"})
        video.height, video.width = frames[0].shape[:2]
        video.pix_fmt = "yuv420p"
        video.time_base = video.codec_context.time_base = Fraction(1, 1000)
        audio = container.add_stream("aac", rate=44_100, layout="mono") if sound else None
        for index, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            late = pause_at is not None and index >= pause_at
            frame.pts = index * 1000 // fps + (500 if late else 0)
            frame.time_base = Fraction(1, 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            _write_tone(container, audio, len(frames) / fps + 0.5)


def _write_tone(container: av.container.OutputContainer, stream: object, seconds: float) -> None:
    count = int(seconds * 44_100) // 1024
    for block in range(count):
        time = (np.arange(1024) + block * 1024) / 44_100
        wave = (0.3 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
        frame.sample_rate = 44_100
        frame.pts = block * 1024
        container.mux(stream.encode(frame))  # type: ignore[attr-defined]
    container.mux(stream.encode(None))  # type: ignore[attr-defined]


def times_of(path: Path, kind: str = "video") -> list[float]:
    """Presentation times of a stream's frames, seconds from the first."""
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[0]
        times = [float(frame.pts * stream.time_base) for frame in container.decode(stream)]
    return [time - times[0] for time in times]
