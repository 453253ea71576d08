"""A studio with a pipeline that is quick and says what it was told."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

if not os.environ.get("CI"):  # there, nothing of this may be left out
    pytest.importorskip("aiortc", reason="the extra 'webrtc' is not installed")
    pytest.importorskip("aiohttp", reason="the extra 'webrtc' is not installed")

from mien.errors import DeviceError
from mien.marking import draw_slate
from mien.personas.library import Library
from mien.personas.persona import Consent, Persona
from mien.pipeline import Outcome
from mien.types import Frame
from mien_streamer.sources.source import ClosingSource, SourceInfo
from mien_streamer.studio.gallery import Gallery
from mien_streamer.studio.stage_config import SourceChoice, StageConfig
from mien_streamer.studio.studio import Studio
from mien_streamer.webrtc.ends import WebRtcSource
from mien_streamer.webrtc.inlet import Inlet
from mien_streamer.webrtc.server import ServerConfig
from mien_streamer.webrtc.tuning import untune
from tests.studio import finders


class PaintingPipeline:
    """Paints the frame in one grey per persona; remembers what it was told."""

    def __init__(self) -> None:
        self.persona: Persona | None = None
        self.persona_error: Exception | None = None
        self.likeness = 1.0
        self._panic = False

    def set_persona(self, persona: Persona | None) -> None:
        self.persona = persona

    def set_likeness(self, likeness: float) -> None:
        self.likeness = likeness

    def panic(self, on: bool) -> None:
        self._panic = on

    def enrol_performer(self, descriptor: Any) -> None:
        raise NotImplementedError

    def process(self, frame: Frame) -> Outcome:
        if self._panic:
            slate = replace(frame, bgr=draw_slate(frame.size))
            return Outcome(frame=slate, guarded=True, reason="panic", stage_ms={"guard": 0.1})
        frame.bgr[:] = 40 if self.persona is None else 40 + len(self.persona.name) * 10
        return Outcome(frame=frame, swapped=1, stage_ms={"track": 1.0, "swap": 2.0})


class GreyCamera(ClosingSource):
    """Thirty grey pictures a second."""

    info = SourceInfo(name="grey", width=320, height=180, is_live=True)

    def __init__(self) -> None:
        self._closed = threading.Event()

    def frames(self) -> Iterator[Frame]:
        index = 0
        while not self._closed.wait(1 / 30):
            now_ns = time.monotonic_ns()
            bgr = np.full((180, 320, 3), 120, np.uint8)
            yield Frame(index=index, bgr=bgr, capture_ns=now_ns, pts_ns=now_ns)
            index += 1

    def close(self) -> None:
        self._closed.set()


def no_camera() -> GreyCamera:
    raise DeviceError("no camera answers", "plug one in")


def made_up(name: str, photos: Any, consent: Consent) -> Persona:
    """A persona without the seconds that a real one takes."""
    template = Library(Path("nowhere")).resolve("ada")
    for photo in photos:
        assert cv2.imread(str(photo)) is not None
    return replace(template, name=name, consent=consent)


Open = Callable[..., Studio]


@pytest.fixture
def open_studio(tmp_path: Path) -> Iterator[Open]:
    stop = threading.Event()
    running: list[tuple[Studio, threading.Thread]] = []

    def open_it(**server: Any) -> Studio:
        library = Library(tmp_path / "library")

        def set_up(inlet: Inlet) -> StageConfig:
            return StageConfig(
                sources=(
                    SourceChoice(key="grey", label="grey", open=GreyCamera),
                    SourceChoice(key="webrtc", label="browser", open=lambda: WebRtcSource(inlet)),
                    SourceChoice(key="broken", label="broken", open=no_camera),
                ),
                find=library.resolve,
                recordings=tmp_path / "recordings",
                device="a machine",
            )

        config = ServerConfig(port=0, **server)
        gallery = Gallery(library, made_up, finders.quick)
        studio = Studio(config, PaintingPipeline(), gallery, set_up)
        thread = threading.Thread(target=studio.run, args=(stop,))
        thread.start()
        running.append((studio, thread))
        return studio

    yield open_it
    stop.set()
    for studio, thread in running:
        thread.join()
        studio.close()
    untune()


@pytest.fixture
def studio(open_studio: Open) -> Studio:
    return open_studio()
