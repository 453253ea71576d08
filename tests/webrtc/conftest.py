"""A server without a clock of its own business, and peers to call it."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

pytest.importorskip("aiortc", reason="the extra 'webrtc' is not installed")
pytest.importorskip("aiohttp", reason="the extra 'webrtc' is not installed")

import aiohttp
import av
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)

from mien.types import Frame
from mien_streamer.webrtc.server import ServerConfig, WebRtcServer
from mien_streamer.webrtc.tuning import untune

SDP = {"Content-Type": "application/sdp"}
FRAGMENT = "application/trickle-ice-sdpfrag"


@pytest.fixture
def server() -> Iterator[WebRtcServer]:
    with WebRtcServer(ServerConfig(port=0)) as running:
        yield running
    untune()


def grey_frame(index: int, level: int = 128, size: tuple[int, int] = (180, 320)) -> Frame:
    now_ns = time.monotonic_ns()
    bgr = np.full((*size, 3), level, np.uint8)
    bgr[:, : size[1] // 2] = index * 7 % 256
    return Frame(index=index, bgr=bgr, capture_ns=now_ns, pts_ns=now_ns)


class Drip:
    """Writes pictures to an outlet, as a loop's sink would."""

    def __init__(self, outlet: Any) -> None:
        self._outlet = outlet
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        index = 0
        while not self._stop.wait(1 / 30):
            self._outlet.write(grey_frame(index))
            index += 1

    def __enter__(self) -> Drip:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture
def showing(server: WebRtcServer) -> Iterator[WebRtcServer]:
    """The server while its output shows something."""
    with Drip(server.outlets["out"]):
        while not server.outlets["out"].live:
            time.sleep(0.01)
        yield server


class Painted(MediaStreamTrack):  # type: ignore[misc]
    """A camera that shows flat colours."""

    kind = "video"

    def __init__(self, fps: float = 30.0, size: tuple[int, int] = (320, 180)) -> None:
        super().__init__()
        self.size, self._step = size, 1 / fps
        self._index = 0

    async def recv(self) -> av.VideoFrame:
        await asyncio.sleep(self._step)
        picture = av.VideoFrame.from_ndarray(
            np.full((self.size[1], self.size[0], 3), 60 + self._index % 128, np.uint8), "bgr24"
        ).reformat(format="yuv420p")
        picture.pts, picture.time_base = self._index * 3000, Fraction(1, 90_000)
        self._index += 1
        return picture


class Hum(MediaStreamTrack):  # type: ignore[misc]
    """A microphone with a hum."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._index = 0

    async def recv(self) -> av.AudioFrame:
        await asyncio.sleep(0.02)
        time_s = (np.arange(960) + 960 * self._index) / 48_000
        wave = (8000 * np.sin(2 * np.pi * 220 * time_s)).astype(np.int16)
        sound = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
        sound.sample_rate, sound.pts = 48_000, self._index * 960
        sound.time_base = Fraction(1, 48_000)
        self._index += 1
        return sound


def connection() -> RTCPeerConnection:
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


async def offer_of(peer: RTCPeerConnection) -> str:
    await peer.setLocalDescription(await peer.createOffer())
    text: str = peer.localDescription.sdp
    return text


async def send_offer(codec: str | None = None) -> str:
    """An offer of a performer that is never answered."""
    peer = connection()
    peer.addTrack(Painted())
    try:
        return await offer_of(peer)
    finally:
        await peer.close()


async def receive_offer() -> str:
    """An offer of a viewer that is never answered."""
    peer = connection()
    peer.addTransceiver("video", direction="recvonly")
    try:
        return await offer_of(peer)
    finally:
        await peer.close()


class Caller:
    """A WHIP or WHEP client that nobody but these tests uses."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.http = http
        self.peer = connection()
        self.location = ""
        self.etag = ""
        self.pictures: list[tuple[av.VideoFrame, float]] = []
        self.sounds: list[av.AudioFrame] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def publish(self, video: MediaStreamTrack, *more: MediaStreamTrack) -> Caller:
        for track in (video, *more):
            self.peer.addTrack(track)
        return await self._post("/whip")

    async def watch(self, path: str = "/whep", *, audio: bool = False) -> Caller:
        self.peer.addTransceiver("video", direction="recvonly")
        if audio:
            self.peer.addTransceiver("audio", direction="recvonly")
        self.peer.on("track", self._listen)
        return await self._post(path)

    def _listen(self, track: MediaStreamTrack) -> None:
        self._tasks.append(asyncio.ensure_future(self._collect(track)))

    async def _collect(self, track: MediaStreamTrack) -> None:
        from aiortc.mediastreams import MediaStreamError

        while True:
            try:
                item = await track.recv()
            except MediaStreamError:
                return
            if track.kind == "video":
                self.pictures.append((item, time.monotonic()))
            else:
                self.sounds.append(item)

    async def _post(self, path: str) -> Caller:
        async with self.http.post(path, data=await offer_of(self.peer), headers=SDP) as response:
            text = await response.text()
            assert response.status == 201, (response.status, text)
            self.location, self.etag = response.headers["Location"], response.headers["ETag"]
        await self.peer.setRemoteDescription(RTCSessionDescription(text, "answer"))
        return self

    async def leave(self) -> None:
        if self.location:
            async with self.http.delete(self.location) as response:
                assert response.status in (200, 404)
        await self.vanish()

    async def vanish(self) -> None:
        """Leave without a word."""
        await self.peer.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def http_to(server: WebRtcServer, **headers: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server.url, headers=headers) as session:
        yield session


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 8.0) -> None:
    end = time.monotonic() + seconds
    while True:
        state = condition()
        if not isinstance(state, bool):
            state = await state
        if state:
            return
        assert time.monotonic() < end, "it did not come to pass"
        await asyncio.sleep(0.02)


@pytest.fixture(autouse=True)
def _reap_callers() -> Iterator[None]:
    """Callers that vanish leave sockets to the collector; that is their business, not ours."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
