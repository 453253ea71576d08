"""The studio without a browser: commands, state, uploads, health, metrics, manners."""

from __future__ import annotations

import asyncio
import io
import json
import re
import time
from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import aiohttp
import av
import cv2
import numpy as np
import pytest

from mien_streamer.studio.commands import MOST_COMMAND_BYTES
from mien_streamer.studio.studio import Studio
from tests.studio.conftest import Open


class Desk:
    """A script that drives the studio by its WebSocket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self.state: dict[str, Any] = {}
        self.stats: dict[str, Any] = {}
        self.personas: list[dict[str, Any]] = []

    async def hear(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self._socket.receive_str(timeout=10))
        if message["type"] == "state":
            self.state = message
        elif message["type"] == "stats":
            self.stats = message
        elif message["type"] == "personas":
            self.personas = message["personas"]
        return message

    async def order(self, command: str, **values: Any) -> dict[str, Any]:
        self._number += 1
        await self._socket.send_json({"id": self._number, "do": command, **values})
        return await self.reply(self._number)

    async def reply(self, number: Any) -> dict[str, Any]:
        while True:
            message = await self.hear()
            if message["type"] == "reply" and message["id"] == number:
                return message

    async def raw(self, text: str) -> dict[str, Any]:
        await self._socket.send_str(text)
        return await self.reply(None)

    async def until(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, self.state
            await self.hear()


def at_the_desk(studio: Studio, scenario: Callable[[Desk], Awaitable[None]]) -> None:
    async def run() -> None:
        async with (
            aiohttp.ClientSession(studio.server.url) as http,
            http.ws_connect("/ws") as socket,
        ):
            desk = Desk(socket)
            await desk.until(lambda: bool(desk.state))
            await scenario(desk)

    asyncio.run(run())


def test_the_state_follows_what_is_asked_for(studio: Studio) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.until(lambda: bool(desk.state and desk.personas and desk.stats))
        assert desk.state["version"] == 1
        assert desk.state["show"] is None
        assert {p["name"] for p in desk.personas} >= {"ada", "mei"}
        assert (await desk.order("persona", name="ada"))["ok"]
        await desk.until(lambda: desk.state["persona"]["on_stage"] == "ada")
        assert (await desk.order("likeness", value=0.25))["ok"]
        await desk.until(lambda: desk.state["likeness"] == 0.25)
        assert (await desk.order("panic", on=True))["ok"]
        await desk.until(lambda: desk.state["panic"] and desk.state["guard"]["acting"])
        assert (await desk.order("panic", on=False))["ok"]
        await desk.until(lambda: not desk.state["panic"] and not desk.state["guard"]["acting"])
        await desk.until(lambda: desk.stats["fps"] > 10)
        assert desk.stats["latency_ms"]["swap"]["p50"] == 2.0
        assert desk.stats["latency_ms"]["total"]["p95"] > 0

    at_the_desk(studio, scenario)


def test_the_bare_face_needs_a_confirmation(studio: Studio) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.order("persona", name="ada")
        for values in ({"on": True}, {"on": True, "confirm": "yes"}, {"on": "true"}):
            reply = await desk.order("pass_through", **values)
            assert not reply["ok"]
        assert not studio.stage.state()["pass_through"]
        assert (await desk.order("pass_through", on=True, confirm=True))["ok"]
        await desk.until(lambda: desk.state["pass_through"])
        assert desk.state["persona"]["on_stage"] is None
        assert (await desk.order("pass_through", on=False))["ok"]
        await desk.until(lambda: desk.state["persona"]["on_stage"] == "ada")

    at_the_desk(studio, scenario)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "[]",
        "null",
        "{}",
        '{"do": 5}',
        '{"do": "fly"}',
        '{"do": "likeness", "value": NaN}',
        '{"do": "likeness", "value": true}',
        '{"do": "likeness", "value": 1.5}',
        '{"do": "persona"}',
        '{"do": "persona", "name": "../../etc/passwd"}',
        '{"do": "persona", "name": "nobody.persona"}',
        '{"do": "source", "key": "file:/etc/passwd"}',
        '{"do": "panic", "on": 1}',
        '{"do": "record"}',
        "[" * 5000,
    ],
)
def test_bad_commands_are_answered_with_what_and_hint(studio: Studio, text: str) -> None:
    async def scenario(desk: Desk) -> None:
        reply = await desk.raw(text)
        assert not reply["ok"]
        assert reply["error"]["what"]
        assert "Traceback" not in reply["error"]["what"]

    at_the_desk(studio, scenario)


def test_a_message_that_is_too_long_ends_the_socket(studio: Studio) -> None:
    async def run() -> None:
        async with (
            aiohttp.ClientSession(studio.server.url) as http,
            http.ws_connect("/ws") as socket,
        ):
            await socket.send_str('"' + "x" * (2 * MOST_COMMAND_BYTES) + '"')
            async for _ in socket:
                pass
            assert socket.close_code == 1009

    asyncio.run(run())


def test_a_source_that_fails_is_a_problem_and_not_the_end(studio: Studio) -> None:
    async def scenario(desk: Desk) -> None:
        assert (await desk.order("source", key="broken"))["ok"]
        await desk.until(lambda: "no camera answers" in desk.state["source"]["problem"])
        assert not desk.state["source"]["running"]
        assert (await desk.order("source", key="grey"))["ok"]
        await desk.until(lambda: desk.state["source"]["running"])
        assert desk.state["source"]["problem"] == ""

    at_the_desk(studio, scenario)


def test_a_recording_holds_what_was_shown(studio: Studio, tmp_path: Path) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.order("persona", name="ada")
        await desk.until(lambda: desk.state.get("source", {}).get("running", False))
        assert (await desk.order("record", on=True))["ok"]
        await desk.until(lambda: desk.state["recording"]["seconds"] > 1.0)
        assert (await desk.order("record", on=False))["ok"]
        await desk.until(lambda: not desk.state["recording"]["on"])
        assert desk.state["recording"]["problem"] == ""

    at_the_desk(studio, scenario)
    [path] = (tmp_path / "recordings").iterdir()
    with av.open(str(path)) as container:
        pictures = [f.to_ndarray(format="bgr24") for f in container.decode(video=0)]
    assert len(pictures) > 15
    assert abs(float(pictures[-1].mean()) - 70) < 4  # "ada" is painted in 40 + 3 * 10


def test_a_virtual_camera_that_is_not_there_is_said_so(studio: Studio) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.order("virtual_camera", on=True)
        await desk.until(lambda: "camera" in desk.state["virtual_camera"]["problem"])
        assert not desk.state["virtual_camera"]["on"]
        await desk.order("virtual_camera", on=False)
        await desk.until(lambda: desk.state["virtual_camera"]["problem"] == "")

    at_the_desk(studio, scenario)


def form(name: str = "kim", *photos: bytes, **fields: str) -> aiohttp.FormData:
    data = aiohttp.FormData(default_to_multipart=True)
    values = {"consent": "I agree", "given_by": "Kim Lee", **fields}
    data.add_field("name", name)
    for key, value in values.items():
        data.add_field(key, value)
    for photo in photos:
        data.add_field(
            "photo", io.BytesIO(photo), filename="../../x.jpg", content_type="image/jpeg"
        )
    return data


def jpeg() -> bytes:
    done, data = cv2.imencode(".jpg", np.full((32, 32, 3), 90, np.uint8))
    assert done
    return bytes(data.tobytes())


def test_a_dropped_photo_becomes_a_persona_with_its_consent(studio: Studio, tmp_path: Path) -> None:
    async def run() -> None:
        async with (
            aiohttp.ClientSession(studio.server.url) as http,
            http.ws_connect("/ws") as socket,
        ):
            desk = Desk(socket)
            answer = await http.post("/personas", data=form("kim", jpeg(), until="2030-01-01"))
            assert (answer.status, await answer.json()) == (201, {"name": "kim"})
            await desk.until(lambda: any(p["name"] == "kim" for p in desk.personas))
            kim = next(p for p in desk.personas if p["name"] == "kim")
            assert (kim["consent"], kim["given_by"]) == ("I agree", "Kim Lee")
            picture = await http.get("/personas/kim/preview.jpg")
            assert picture.content_type == "image/jpeg"
            assert (await desk.order("persona", name="kim"))["ok"]

    asyncio.run(run())
    assert [path.name for path in (tmp_path / "library").iterdir()] == ["kim.persona"]


def test_a_latent_is_looked_for_if_wished_and_the_one_who_wears_it_gets_it(
    studio: Studio,
) -> None:
    async def run() -> None:
        async with (
            aiohttp.ClientSession(studio.server.url) as http,
            http.ws_connect("/ws") as socket,
        ):
            desk = Desk(socket)
            answer = await http.post("/personas", data=form("kim", jpeg(), latent="1"))
            assert answer.status == 201
            assert (await desk.order("persona", name="kim"))["ok"]
            # A process is begun for it, which takes its time on a busy machine.
            await desk.until(
                lambda: not (desk.state.get("fitting") or {}).get("running", True), seconds=300.0
            )
            assert desk.state["fitting"]["problem"] == ""
            while "live-test" not in studio.stage._pipeline.persona.latents:  # type: ignore[union-attr]
                await asyncio.sleep(0.01)
            assert (await desk.order("stop_fitting"))["ok"]

    asyncio.run(run())


def test_bad_uploads_are_refused_in_words(studio: Studio, tmp_path: Path) -> None:
    async def run() -> None:
        async with aiohttp.ClientSession(studio.server.url) as http:
            cases = [
                (form("kim", jpeg(), consent=" "), 422),
                (form("kim", jpeg(), given_by=""), 422),
                (form("../kim", jpeg()), 422),
                (form("ada", jpeg()), 422),
                (form("kim"), 422),
                (form("kim", jpeg(), until="soon"), 422),
                (form("kim", *[jpeg()] * 9), 413),
                (form("kim", b"x" * (33 << 20)), 413),
                (form("kim", jpeg(), consent="x" * 9000), 413),
            ]
            for data, status in cases:
                answer = await http.post("/personas", data=data)
                said = await answer.json()
                assert (answer.status, bool(said["what"])) == (status, True), said
            answer = await http.post("/personas", json={"name": "kim"})
            assert answer.status == 415
            headers = {"Content-Type": "multipart/form-data; boundary=x"}
            answer = await http.post("/personas", data=b"nonsense", headers=headers)
            assert answer.status in (400, 422)
            for name in ("nobody", "..%2F..%2Fetc%2Fpasswd"):
                assert (await http.get(f"/personas/{name}/preview.jpg")).status == 404

    asyncio.run(run())
    assert not (tmp_path / "library").exists()


def test_health_and_metrics_answer(studio: Studio) -> None:
    async def run() -> None:
        async with aiohttp.ClientSession(studio.server.url) as http:
            assert await (await http.get("/healthz")).json() == {"status": "ok"}
            while studio.stage.measures.frames < 5:
                await asyncio.sleep(0.05)
            answer = await http.get("/metrics")
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            text = await answer.text()
        lines = text.splitlines()
        sample = re.compile(r'^[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? -?[0-9.e+-]+$')
        assert all(line.startswith("# ") or sample.match(line) for line in lines), text
        names = [line.split()[2] for line in lines if line.startswith("# TYPE")]
        assert len(names) == len(set(names))
        found = re.search(r'mien_stage_seconds\{stage="swap",quantile="0.5"\} ([0-9.]+)', text)
        assert found is not None
        assert float(found[1]) == pytest.approx(0.002, rel=0.02)

    asyncio.run(run())


def test_the_token_is_needed_everywhere_but_for_the_empty_page(open_studio: Open) -> None:
    studio = open_studio(token="open sesame")

    async def run() -> None:
        async with aiohttp.ClientSession(studio.server.url) as http:
            for path in ("/", "/player", "/perform", "/healthz"):
                assert (await http.get(path)).status == 200
            for path in ("/metrics", "/personas/ada/preview.jpg", "/ws"):
                assert (await http.get(path)).status == 401
                assert (await http.get(path + "?token=wrong")).status == 401
            assert (await http.post("/personas", data=form("kim", jpeg()))).status == 401
            assert (await http.get("/metrics?token=open sesame")).status == 200
            async with http.ws_connect("/ws?token=open sesame") as socket:
                assert json.loads(await socket.receive_str())["type"] in ("personas", "state")

    asyncio.run(run())
    assert studio.url.endswith("#token=open sesame")


def test_other_sites_cannot_reach_the_studio_through_the_browser(studio: Studio) -> None:
    async def run() -> None:
        async with aiohttp.ClientSession(studio.server.url) as http:
            evil = {"Origin": "https://evil.example"}
            with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                await http.ws_connect("/ws", headers=evil)
            answer = await http.post("/personas", data=form("kim", jpeg()), headers=evil)
            assert answer.status == 403
            for path in ("/", "/ws", "/metrics"):
                rebound = await http.get(path, headers={"Host": "evil.example"})
                assert rebound.status == 403

    asyncio.run(run())


def test_pages_are_small_and_fetch_nothing_from_elsewhere(studio: Studio) -> None:
    async def run() -> None:
        async with aiohttp.ClientSession(studio.server.url) as http:
            for path in ("/", "/player", "/perform"):
                answer = await http.get(path)
                text = await answer.text()
                assert len(text) < 300_000
                assert "{{nonce}}" not in text
                policy = answer.headers["Content-Security-Policy"]
                assert "default-src 'none'" in policy
                outside = re.findall(r"(?:src|href|url)\W{1,2}(https?:)?//", text)
                assert outside == []

    asyncio.run(run())
    previews = [len(p) for p in _previews()]
    assert sum(previews) + 40_000 < 300_000


def _previews() -> list[bytes]:
    from mien.personas.library import Library

    entries = Library(Path("nowhere")).list()
    return [entry.file.persona.preview_jpeg for entry in entries if entry.file is not None]


def test_every_id_that_the_script_names_is_in_the_page() -> None:
    folder = files("mien_streamer.studio").joinpath("pages")
    text = folder.joinpath("index.html").read_text(encoding="utf-8")
    named = set(re.findall(r'\$\("([a-z0-9-]+)"\)', text))
    there = set(re.findall(r'\bid="([a-z0-9-]+)"', text))
    assert named <= there
    labelled = re.findall(r"<(?:input|select|textarea)[^>]*>", text)
    assert labelled


def test_shows_can_hook_in(studio: Studio) -> None:
    told: list[Any] = []
    studio.commands.add("cue", lambda values: told.append(values["name"]))
    studio.stage.show_part = lambda: {"cue": "finale"}

    async def scenario(desk: Desk) -> None:
        assert (await desk.order("cue", name="finale"))["ok"]
        await desk.until(lambda: desk.state["show"] == {"cue": "finale"})

    at_the_desk(studio, scenario)
    assert told == ["finale"]
    with pytest.raises(ValueError, match="already"):
        studio.commands.add("panic", lambda values: None)
