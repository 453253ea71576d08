"""The studio's pages, its WebSocket, uploads, health and metrics."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import BodyPartReader, WSMsgType, web

from mien.errors import MienError
from mien_streamer.studio.commands import MOST_COMMAND_BYTES, Commands, is_panic
from mien_streamer.studio.gallery import MOST_PHOTO_BYTES, MOST_PHOTOS, Gallery
from mien_streamer.studio.metrics import prometheus
from mien_streamer.studio.stage import Stage
from mien_streamer.webrtc.access import Access
from mien_streamer.webrtc.pages import page
from mien_streamer.webrtc.peers import Peers

logger = logging.getLogger(__name__)

SCHEMA = 1
_STATE_EVERY_S = 0.2
_STATS_EVERY_S = 0.5
_MOST_SOCKETS = 16
_MOST_FIELD_BYTES = 4096
_PONG_S = 20.0
_COMMANDS_PER_S = 60
"""A slider sends one per picture of the screen; what is beyond is not obeyed."""
_ORDERS = {
    "go": "go",
    "back": "back",
    "hold": "hold",
    "cue": "cues/{name}",
    "button": "buttons/{name}",
}
_SWITCH = {"1": True, "true": True, "0": False, "false": False}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class StudioPages:
    """Everything but WHIP and WHEP; belongs to the event loop."""

    def __init__(
        self, stage: Stage, commands: Commands, gallery: Gallery, access: Access, peers: Peers
    ) -> None:
        self._stage, self._commands, self._gallery = stage, commands, gallery
        self._access, self._peers = access, peers
        self._sockets: set[web.WebSocketResponse] = set()
        self._bucket = Access(posts_per_s=_COMMANDS_PER_S, burst=_COMMANDS_PER_S)

    def add_to(self, application: web.Application) -> None:
        """Adds the routes, and a farewell to open sockets."""
        application.add_routes(
            [
                web.get("/", page("mien_streamer.studio", "index.html", self._access)),
                web.get("/ws", self._guard(self._socket)),
                web.get("/healthz", self._health),
                web.get("/metrics", self._guard(self._metrics)),
                web.get("/streams", self._guard(self._streams)),
                web.get("/personas/{name}/preview.jpg", self._guard(self._preview)),
                web.post("/personas", self._guard(self._create)),
                *(
                    web.post(f"/api/{where}", self._guard(self._order(do)))
                    for do, where in _ORDERS.items()
                ),
            ]
        )
        application.on_shutdown.append(self._hang_up)

    def _guard(self, handler: Handler) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            access = self._access
            if access.allowed_origin(request) is None or not access.host_is_ours(request):
                return _problem(403, "this page may not talk to the studio", "")
            if not access.knows_token(request, in_query=True):
                return _problem(401, "the token is missing or wrong", "open the printed address")
            return await handler(request)

        return answer

    async def _health(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "ok"})

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        text = prometheus(self._stage, await self._peers.facts())
        return web.Response(text=text, headers={"Content-Type": "text/plain; version=0.0.4"})

    async def _streams(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"streams": self._stage.config.streams()})

    async def _preview(self, request: web.Request) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        name = request.match_info["name"]
        picture = await loop.run_in_executor(None, self._gallery.preview, name)
        if picture is None:
            return _problem(404, "there is no such persona", "")
        headers = {"Cache-Control": "private, max-age=300", "X-Content-Type-Options": "nosniff"}
        return web.Response(body=picture, content_type="image/jpeg", headers=headers)

    # ---- state and commands ------------------------------------------------------------------

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if len(self._sockets) >= _MOST_SOCKETS:
            return _problem(503, "too many pages are open", "close one")
        socket = web.WebSocketResponse(
            heartbeat=_PONG_S, max_msg_size=MOST_COMMAND_BYTES, compress=False
        )
        await socket.prepare(request)
        self._sockets.add(socket)
        tasks = {asyncio.ensure_future(self._feed(socket))}
        in_turn = asyncio.Lock()
        bucket = Access(posts_per_s=_COMMANDS_PER_S, burst=_COMMANDS_PER_S)
        try:
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    continue
                if is_panic(message.data):
                    # Never waits behind another command, and is never too much.
                    await _send(socket, self._commands.answer(message.data))
                elif bucket.may_post(""):
                    task = asyncio.ensure_future(self._obey(socket, in_turn, message.data))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
        finally:
            for task in tasks:
                task.cancel()
            self._sockets.discard(socket)
        return socket

    async def _obey(self, socket: web.WebSocketResponse, turn: asyncio.Lock, text: str) -> None:
        async with turn:
            loop = asyncio.get_running_loop()
            await _send(socket, await loop.run_in_executor(None, self._commands.answer, text))

    async def _feed(self, socket: web.WebSocketResponse) -> None:
        """State when it changes, times twice a second, the gallery when it grows."""
        loop = asyncio.get_running_loop()
        said: dict[str, Any] | None = None
        gallery = -1
        next_stats_s = 0.0
        while not socket.closed:
            if gallery != self._gallery.version:
                gallery = self._gallery.version
                listed = await loop.run_in_executor(None, self._gallery.list)
                await _send(socket, {"type": "personas", "personas": listed})
            state = {
                **self._stage.state(),
                "peers": await self._peers.facts(),
                "fitting": self._gallery.fitting.facts(),
            }
            if state != said:
                said = state
                await _send(socket, {"type": "state", "version": SCHEMA, **state})
            if loop.time() >= next_stats_s:
                next_stats_s = loop.time() + _STATS_EVERY_S
                await _send(socket, {"type": "stats", **self._stage.stats()})
            await asyncio.sleep(_STATE_EVERY_S)

    async def _hang_up(self, application: web.Application) -> None:
        for socket in list(self._sockets):
            await socket.close(code=1001, message=b"the studio closes")

    def _order(self, do: str) -> Handler:
        """An order to the show, as on the WebSocket, for scripts and lighting desks."""

        async def answer(request: web.Request) -> web.StreamResponse:
            if not self._bucket.may_post(request.remote or ""):
                return _problem(429, "too many requests", "wait a moment")
            if self._stage.show_part() is None:
                return _problem(409, "no show is on", "start with: mien studio --show SHOW")
            facts: dict[str, Any] = {"do": do, **request.match_info}
            if "on" in request.query:
                facts["on"] = _SWITCH.get(request.query["on"].lower(), "neither")
            loop = asyncio.get_running_loop()
            text = json.dumps(facts)
            reply = await loop.run_in_executor(None, self._commands.answer, text)
            if reply["ok"]:
                return web.json_response({"ok": True})
            status = 404 if "name" in facts else 422
            return _problem(status, reply["error"]["what"], reply["error"]["hint"])

        return answer

    # ---- uploads -----------------------------------------------------------------------------

    async def _create(self, request: web.Request) -> web.StreamResponse:
        if not self._access.may_post(request.remote or ""):
            return _problem(429, "too many requests", "wait a moment")
        if request.content_type != "multipart/form-data":
            return _problem(415, "expected a form with photos", "send multipart/form-data")
        try:
            fields, photos = await _read_form(request)
        except _TooLarge:
            limit = f"{MOST_PHOTO_BYTES >> 20} MB and {MOST_PHOTOS} photos are the most"
            return _problem(413, "that is too much to send at once", limit)
        except ValueError:
            return _problem(400, "the form is damaged", "send it again")
        loop = asyncio.get_running_loop()
        try:
            persona = await loop.run_in_executor(None, lambda: self._made(fields, photos))
        except MienError as error:
            return _problem(422, error.what, error.hint)
        return web.json_response({"name": persona}, status=201)

    def _made(self, fields: dict[str, str], photos: list[bytes]) -> str:
        return self._gallery.create(
            fields.get("name", ""),
            photos,
            statement=fields.get("consent", ""),
            given_by=fields.get("given_by", ""),
            until=fields.get("until") or None,
            latent=_SWITCH.get(fields.get("latent", "0").lower(), False),
        ).name


class _TooLarge(Exception):
    pass


async def _read_form(request: web.Request) -> tuple[dict[str, str], list[bytes]]:
    fields: dict[str, str] = {}
    photos: list[bytes] = []
    left = MOST_PHOTO_BYTES
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            raise ValueError("nested parts")
        is_photo = part.name == "photo"
        data = bytearray()
        while piece := await part.read_chunk(64 * 1024):
            data += piece
            if len(data) > (left if is_photo else _MOST_FIELD_BYTES):
                raise _TooLarge
        if is_photo:
            left -= len(data)
            photos.append(bytes(data))
        elif part.name and len(fields) < 16:
            fields[part.name] = data.decode("utf-8").strip()
        if len(photos) > MOST_PHOTOS:
            raise _TooLarge
    return fields, photos


async def _send(socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
    try:
        await socket.send_str(json.dumps(message, allow_nan=False))
    except ConnectionError:
        logger.debug("a page closed while it was told something")


def _problem(status: int, what: str, hint: str) -> web.Response:
    return web.json_response({"what": what, "hint": hint}, status=status)
