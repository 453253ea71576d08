"""The studio as a performer meets it: in a browser, with a camera, under lights.

Screenshots go to the folder that MIEN_TEST_ARTEFACTS names, or to pytest's own.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

if not os.environ.get("CI"):  # there, nothing of this may be left out
    pytest.importorskip("aiortc", reason="the extra 'webrtc' is not installed")
    pytest.importorskip("aiohttp", reason="the extra 'webrtc' is not installed")

from mien.config import PipelineConfig
from mien.marking import draw_slate
from mien.perception import FaceDescriptor, FaceTracker
from mien.personas.library import Library
from mien.pipeline import Pipeline
from mien.types import U8Array
from mien_streamer.studio.gallery import Gallery
from mien_streamer.studio.stage_config import SourceChoice, StageConfig
from mien_streamer.studio.studio import Studio
from mien_streamer.webrtc.ends import WebRtcSource
from mien_streamer.webrtc.inlet import Inlet
from mien_streamer.webrtc.server import ServerConfig
from mien_streamer.webrtc.tuning import untune
from tests.studio.browser import (
    chromium,
    demand_browser,
    first_picture,
    grab,
    write_camera_clip,
)

SAME_PERSON = 0.6


@pytest.fixture
def artefacts(tmp_path: Path) -> Path:
    wanted = os.environ.get("MIEN_TEST_ARTEFACTS")
    folder = Path(wanted) if wanted else tmp_path / "artefacts"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class Eyes:
    """Recognises people."""

    def __init__(self) -> None:
        self._finder, self._describer = FaceTracker(), FaceDescriptor()

    def distance(self, picture: U8Array | None, wanted: Any) -> float | None:
        faces = self._finder.find(picture) if picture is not None else []
        if not faces or picture is None:
            return None
        seen = self._describer.describe(picture, faces[0].landmarks)
        return float(np.linalg.norm(seen - wanted))

    def sees_someone(self, picture: U8Array | None) -> bool:
        return picture is not None and bool(self._finder.find(picture))

    def close(self) -> None:
        self._finder.close()
        self._describer.close()


@pytest.fixture
def eyes() -> Iterator[Eyes]:
    opened = Eyes()
    yield opened
    opened.close()


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    demand_browser()
    library = Library(tmp_path / "library")

    def set_up(inlet: Inlet) -> StageConfig:
        webrtc = SourceChoice(key="webrtc", label="browser", open=lambda: WebRtcSource(inlet))
        return StageConfig(
            sources=(webrtc,), find=library.resolve, recordings=tmp_path / "recordings"
        )

    stop = threading.Event()
    with (
        Pipeline.create(PipelineConfig()) as pipeline,
        Studio(ServerConfig(port=0), pipeline, Gallery(library), set_up) as running,
    ):
        thread = threading.Thread(target=running.run, args=(stop,))
        thread.start()
        try:
            yield running
        finally:
            stop.set()
            thread.join()
    untune()


def wait_for(condition: Callable[[], bool], what: str, page: Any, seconds: float = 40.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        page.wait_for_timeout(250)


def looks_like(picture: U8Array | None, other: U8Array) -> bool:
    if picture is None:
        return False
    size = (64, 36)
    one = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(int)
    two = cv2.resize(other, size, interpolation=cv2.INTER_AREA).astype(int)
    return bool(np.abs(one - two).mean() < 8)


@pytest.mark.slow
def test_a_performer_changes_faces_in_the_browser_and_panics(
    studio: Studio, eyes: Eyes, tmp_path: Path, artefacts: Path
) -> None:
    clip = tmp_path / "camera.mjpeg"
    write_camera_clip(clip)
    people = {name: Library(tmp_path / "x").resolve(name).descriptor for name in ("ada", "mei")}
    camera = f"--use-file-for-fake-video-capture={clip}"
    with chromium(tmp_path, camera) as page:
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
        loaded: list[str] = []
        page.on("request", lambda request: loaded.append(request.url))
        page.goto(studio.url)
        page.wait_for_selector(".face")
        page.screenshot(path=artefacts / "1-waiting.png")

        page.click(".face[data-name=ada]")
        page.click("#go-on")
        for number, name in enumerate(people, start=2):
            if name != "ada":
                page.click(f".face[data-name={name}]")
            before: list[float] = []

            def worn(name: str = name, before: list[float] = before) -> bool:
                shown = eyes.distance(grab(page, "view-out"), people[name])
                bare = eyes.distance(grab(page, "view-in"), people[name])
                if shown is None or bare is None:
                    return False
                before[:] = [shown, bare]
                return shown < min(SAME_PERSON - 0.1, bare - 0.12)

            wait_for(worn, f"the output shows {name}, {before}", page)
            page.screenshot(path=artefacts / f"{number}-{name}.png")

        assert page.evaluate("mien.restartIce(mien.performer).then(() => 'done')") == "done"
        frames = studio.stage.measures.frames
        wait_for(lambda: studio.stage.measures.frames > frames + 30, "frames go on", page)

        screen = page.context.new_page()
        screen.set_viewport_size({"width": 960, "height": 540})
        screen.goto(f"{studio.server.url}/player")
        wait_for(lambda: eyes.sees_someone(grab(screen, "picture")), "the player", screen)
        screen.screenshot(path=artefacts / "7-player.png")
        screen.close()

        page.keyboard.press("Escape")
        shown = grab(page, "view-out")
        assert shown is not None
        slate = draw_slate((shown.shape[0], shown.shape[1]))
        wait_for(lambda: looks_like(grab(page, "view-out"), slate), "the slate", page)
        wait_for(lambda: page.inner_text("#panic") == "GO ON", "the button says so", page)
        page.screenshot(path=artefacts / "4-panic.png")
        page.click("#panic")
        wait_for(lambda: not looks_like(grab(page, "view-out"), slate), "the picture", page)

        page.click("#bare")
        page.screenshot(path=artefacts / "5-bare-asked.png")
        assert not studio.stage.state()["pass_through"]
        page.click("#bare-no")

        photo = tmp_path / "photo.png"
        cv2.imwrite(str(photo), first_picture())
        page.click("#add")
        page.set_input_files("#make-files", str(photo))
        page.fill("#make-name", "kim")
        page.click("#make-go")
        wait_for(lambda: "consent" in page.inner_text("#make-problem"), "consent is asked", page)
        page.screenshot(path=artefacts / "8-new-persona.png")
        page.fill("#make-by", "Kim Lee, who is rendered")
        page.fill("#make-consent", "I am not real and agree to everything.")
        page.click("#make-go")
        page.wait_for_selector(".face[data-name=kim][aria-checked=true]", timeout=60_000)
        assert "not real" in page.get_attribute(".face[data-name=kim]", "title")
        page.click(".face[data-name=mei]")

        page.click("#record")
        page.wait_for_timeout(1500)
        page.click("#record")
        wait_for(lambda: bool(list((tmp_path / "recordings").glob("*.mp4"))), "a file", page)

        page.set_viewport_size({"width": 390, "height": 844})
        page.wait_for_timeout(400)
        page.screenshot(path=artefacts / "6-phone.png")
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390
        (artefacts / "state.json").write_text(json.dumps(studio.stage.stats(), indent=2))
        # The refused persona is the one request that was meant to fail.
        assert [problem for problem in problems if "status of 422" not in problem] == []
        assert all(url.startswith((studio.server.url, "data:", "blob:")) for url in loaded)
    # The tab is gone: nobody performs, and a newcomer finds the slate.
    wait_for_quiet(lambda: studio.server.peers.performer is None)


def wait_for_quiet(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
