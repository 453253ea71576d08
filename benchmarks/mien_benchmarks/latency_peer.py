"""A WHIP and WHEP client in this process that sends numbered pictures and reads them back."""

from __future__ import annotations

import asyncio
import time
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import aiohttp
import av
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError

from mien.types import U8Array
from mien_benchmarks.bar_code import paint, read
from mien_streamer.webrtc.encoding import VideoEncoder, picture_from_bgr

if TYPE_CHECKING:
    from mien_benchmarks.latency_ways import LatencySettings

_WARM_S = 2.0


class NumberedTrack(MediaStreamTrack):
    """A camera that numbers its pictures and remembers when each was taken."""

    kind = "video"

    def __init__(self, settings: LatencySettings) -> None:
        super().__init__()
        self._pictures = _pictures(settings)
        self._encoder = VideoEncoder(settings.codec)
        self._step_s = 1 / settings.fps
        self._start_s = time.monotonic()
        self.taken: dict[int, float] = {}
        self.number = 0

    async def recv(self) -> Any:
        """The next picture, encoded as a browser would: at once, by the quickest preset."""
        wait_s = self._start_s + self.number * self._step_s - time.monotonic()
        await asyncio.sleep(max(wait_s, 0.0))
        number = self.number & 0xFFFF
        self.taken[number] = time.monotonic()
        canvas = self._pictures[self.number % len(self._pictures)]
        paint(canvas, number)
        picture = picture_from_bgr(canvas)
        picture.pts = round(self.number * 90_000 * self._step_s)
        loop = asyncio.get_running_loop()
        key = self.number % 150 == 0
        packets = await loop.run_in_executor(
            None, lambda: self._encoder.encode(picture, keyframe=key)
        )
        self.number += 1
        packet = packets[0]
        packet.time_base = Fraction(1, 90_000)
        return packet


def _pictures(settings: LatencySettings) -> list[U8Array]:
    from mien_benchmarks.latency_ways import clip_pictures

    if settings.work == "mesh":
        return clip_pictures(settings.size)
    width, height = settings.size
    shade = np.linspace(40, 200, width, dtype=np.float32).astype(np.uint8)
    return [np.ascontiguousarray(np.broadcast_to(shade[None, :, None], (height, width, 3)))]


async def round_trip(url: str, settings: LatencySettings) -> dict[str, Any]:
    """One round; the result has the form of the browser page's."""
    up = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    down = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    camera = NumberedTrack(settings)
    sender = up.addTrack(camera)
    _prefer(up, settings.codec)
    down.addTransceiver("video", direction="recvonly")
    _prefer(down, settings.codec)
    seen: list[tuple[int | None, float]] = []
    tasks: list[asyncio.Task[None]] = []
    down.on("track", lambda track: tasks.append(asyncio.ensure_future(_watch(track, seen))))
    assert sender is not None
    async with aiohttp.ClientSession(url) as http:
        places = [await _call(http, "/whip", up), await _call(http, "/whep", down)]
        await asyncio.sleep(_WARM_S)
        seen.clear()
        first = camera.number
        await asyncio.sleep(settings.seconds)
        sent, shown = camera.number - first, list(seen)
        for place in places:
            await http.delete(place)
    await up.close()
    await down.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    read_back = [(n, at) for n, at in shown if n is not None and n in camera.taken]
    return {
        "samples": [1e3 * (at - camera.taken[n]) for n, at in read_back],
        "sent": sent,
        "unread": len(shown) - len(read_back),
        "doubled": 0,
        "widths": {str(settings.size[0]): len(shown)},
        "browser_ms": {},
    }


async def _watch(track: MediaStreamTrack, seen: list[tuple[int | None, float]]) -> None:
    while True:
        try:
            picture = await track.recv()
        except MediaStreamError:
            return
        now = time.monotonic()
        if isinstance(picture, av.VideoFrame):
            grey = picture.reformat(format="gray").to_ndarray()
            seen.append((read(np.ascontiguousarray(grey[:, :, None])), now))


def _prefer(peer: RTCPeerConnection, codec: str) -> None:
    from aiortc import RTCRtpSender

    known = RTCRtpSender.getCapabilities("video").codecs
    for transceiver in peer.getTransceivers():
        transceiver.setCodecPreferences([c for c in known if c.name in (codec, "rtx")])


async def _call(http: aiohttp.ClientSession, path: str, peer: RTCPeerConnection) -> str:
    await peer.setLocalDescription(await peer.createOffer())
    headers = {"Content-Type": "application/sdp"}
    for _ in range(40):
        offer = peer.localDescription.sdp
        async with http.post(path, data=offer, headers=headers) as answer:
            text = await answer.text()
            if answer.status == 201:
                place = answer.headers["Location"]
                await peer.setRemoteDescription(RTCSessionDescription(text, "answer"))
                return place
        await asyncio.sleep(0.2)
    raise RuntimeError(f"{path}: {text}")
