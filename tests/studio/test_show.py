"""A show in the studio: its state, its commands, and the timeline in a browser."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiortc", reason="the extra 'webrtc' is not installed")
pytest.importorskip("aiohttp", reason="the extra 'webrtc' is not installed")

import aiohttp

from mien.config import PipelineConfig
from mien.look import EVERYONE
from mien.perception import FaceDescriptor, FaceTracker
from mien.perception.descriptor import distance
from mien.personas.library import Library
from mien.pipeline import Pipeline
from mien.shows import ShowPlayer
from mien_streamer.show_session import ShowSession
from mien_streamer.sources import open_source
from mien_streamer.studio.commands import Commands
from mien_streamer.studio.gallery import Gallery
from mien_streamer.studio.show_part import hook_show
from mien_streamer.studio.stage_config import SourceChoice, StageConfig
from mien_streamer.studio.studio import Studio
from mien_streamer.webrtc.inlet import Inlet
from mien_streamer.webrtc.server import ServerConfig
from mien_streamer.webrtc.tuning import untune
from tests.shows.shows import HEAD, cue, show_of
from tests.studio.browser import chromium, demand_browser, grab
from tests.studio.conftest import Open


@dataclass
class BareStudio:
    stage: Any
    commands: Commands


class BareStage:
    show_part: Callable[[], Any]
    statement: object = None
    set_bare: Callable[[bool], None]


def test_the_page_sees_the_show_and_has_its_hands_on_it() -> None:
    show = show_of(
        cue("one", at="4s", transition="cut"),
        cue("two", to="slate", button="curtain"),
    )
    player = ShowPlayer(show)
    stage = BareStage()
    studio = BareStudio(stage, Commands(stage))  # type: ignore[arg-type]
    bare: list[bool] = []
    hook_show(studio, player, set_bare=bare.append)
    player.advance(0.0)
    part = stage.show_part()
    json.dumps(part)
    assert (part["name"], part["next"], part["length_s"]) == ("test", "one", 4.0)
    assert part["cues"][1] == {
        "name": "two",
        "to": "slate",
        "state": "ahead",
        "at_s": None,
        "triggers": ["button curtain"],
    }

    def do(**message: object) -> bool:
        reply = studio.commands.answer(json.dumps(message))
        player.advance(player.state().show_s + 0.1)
        return bool(reply["ok"])

    assert do(do="go")
    assert stage.show_part()["current"] == "one"
    assert do(do="back")
    assert stage.show_part()["wears"] == {EVERYONE: "ada"}
    assert do(do="cue", name="one")
    assert stage.show_part()["wears"] == {EVERYONE: "kai"}
    assert do(do="button", name="curtain")
    assert stage.show_part()["wears"] == {EVERYONE: "slate"}
    assert do(do="hold", on=True)
    assert stage.show_part()["holding"]
    assert do(do="hold")
    assert not stage.show_part()["holding"]
    for wrong in (
        {"do": "cue"},
        {"do": "cue", "name": "three"},
        {"do": "button", "name": "x"},
        {"do": "hold", "on": 3},
    ):
        assert not do(**wrong)
    stage.set_bare(True)
    assert bare == [True]


def test_orders_by_http(open_studio: Open) -> None:
    studio = open_studio(token="open sesame")
    show = show_of(
        cue("one", transition="cut"),
        cue("the ½ turn", to="mei", transition="cut"),
        cue("card", to="slate", button="curtain"),
    )
    player = ShowPlayer(show)
    bearer = {"Authorization": "Bearer open sesame"}

    def wears() -> str:
        player.advance(player.state().show_s + 0.1)
        return player.state().wears[EVERYONE]

    async def run() -> None:
        async with aiohttp.ClientSession(studio.server.url) as http:
            before = await http.post("/api/go", headers=bearer)
            assert before.status == 409
            assert "--show" in (await before.json())["hint"]
            hook_show(studio, player, set_bare=lambda on: None)
            for path, worn in (
                ("/api/go", "kai"),
                ("/api/cues/the%20%C2%BD%20turn", "mei"),
                ("/api/back", "kai"),
                ("/api/buttons/curtain", "slate"),
            ):
                answer = await http.post(path, headers=bearer)
                assert (answer.status, await answer.json()) == (200, {"ok": True})
                assert wears() == worn
            for query, held in (("", True), ("?on=0", False), ("?on=true", True)):
                assert (await http.post(f"/api/hold{query}", headers=bearer)).status == 200
                assert wears() == "slate"
                assert player.state().holding is held
            for path, status in (
                ("/api/cues/three", 404),
                ("/api/cues/..%2Fgo", 404),
                ("/api/buttons/x", 404),
                ("/api/hold?on=perhaps", 422),
                ("/api/forward", 404),
            ):
                assert (await http.post(path, headers=bearer)).status == status
            assert (await http.get("/api/go", headers=bearer)).status == 405
            assert (await http.post("/api/go")).status == 401
            evil = {**bearer, "Origin": "https://evil.example"}
            assert (await http.post("/api/go", headers=evil)).status == 403
            statuses = [(await http.post("/api/go", headers=bearer)).status for _ in range(90)]
            assert 429 in statuses
        assert wears() == "slate"

    asyncio.run(run())


@pytest.mark.slow
def test_go_changes_the_face_in_the_browser(tmp_path: Path) -> None:
    demand_browser()
    wanted = os.environ.get("MIEN_TEST_ARTEFACTS")
    artefacts = Path(wanted) if wanted else tmp_path
    library = Library(tmp_path / "library")
    show = show_of(
        cue("into kai", duration="1s"),
        cue("mei across", to="mei", transition="wipe", duration="1s"),
        cue("by the clock", to="ada", at="10:00"),
        head=HEAD,
    )
    describe, finder = FaceDescriptor(), FaceTracker()

    def like(picture: Any, name: str) -> float:
        faces = finder.find(picture) if picture is not None else []
        if not faces:
            return 9.0
        seen = describe.describe(picture, faces[0].landmarks)
        return distance(seen, library.resolve(name).descriptor)

    stop = threading.Event()
    clip = files("mien_streamer").joinpath("demo", "driver.mp4")
    with as_file(clip) as path, Pipeline.create(PipelineConfig()) as pipeline:

        def set_up(inlet: Inlet) -> StageConfig:
            del inlet
            demo = SourceChoice(
                key="demo", label="demo", open=lambda: open_source(f"file:{path}", loop=True)
            )
            return StageConfig(sources=(demo,), find=library.resolve, recordings=tmp_path)

        with Studio(ServerConfig(port=0), pipeline, Gallery(library), set_up) as studio:
            session = ShowSession(show, pipeline, library.resolve, live=True)
            hook_show(studio, session.player, set_bare=pipeline.set_bare)
            thread = threading.Thread(target=studio.run, args=(stop,))
            thread.start()
            try:
                with chromium(tmp_path) as page:
                    problems: list[str] = []
                    page.on("pageerror", lambda error: problems.append(str(error)))
                    page.goto(studio.url)
                    page.wait_for_selector("#cues button.next")
                    assert page.locator("#cues button").count() == 3
                    # The show's clock would bring "ada" only after ten minutes.
                    for number, name in enumerate(("kai", "mei")):
                        page.click("#show-go")
                        other = ("mei", "kai")[number]

                        def worn(name: str = name, other: str = other) -> bool:
                            picture = grab(page, "view-out")
                            return like(picture, name) < like(picture, other) - 0.05

                        wait_for(worn, name, page)
                        page.screenshot(path=artefacts / f"show-{number}-{name}.png")
                    assert page.inner_text("#show-next") == "next: by the clock"
                    page.click("#show-back")
                    wait_for(lambda: session.player.state().current == "into kai", "back", page)
                    page.click("#show-hold")
                    wait_for(lambda: session.player.state().holding, "held", page)
                    page.click("#cues li:nth-child(2) button")
                    wait_for(lambda: session.player.state().current == "mei across", "cue", page)
                    assert page.locator("#cast").is_hidden()
                    refused = studio.commands.answer('{"do": "persona", "name": "noor"}')
                    assert "the show says" in refused["error"]["what"]
                    page.set_viewport_size({"width": 390, "height": 844})
                    page.wait_for_timeout(400)
                    page.screenshot(path=artefacts / "show-phone.png")
                    assert page.evaluate("document.documentElement.scrollWidth") <= 390
                    assert problems == []
            finally:
                stop.set()
                thread.join()
                describe.close()
                finder.close()
    untune()


def wait_for(condition: Callable[[], bool], what: str, page: Any, seconds: float = 40.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        page.wait_for_timeout(200)
