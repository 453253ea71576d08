"""Lens to screen: how long a picture is under way, and where."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from typing import Any, Literal

import av
import numpy as np
from aiohttp import web
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from mien.config import GuardConfig, PipelineConfig
from mien.errors import MissingError
from mien.personas.persona import Persona
from mien.pipeline import Outcome, Pipeline
from mien.types import Frame, U8Array
from mien_benchmarks.browser import open_page, why_no_browser
from mien_streamer.loop import RunStats, run_live
from mien_streamer.webrtc.ends import WebRtcSink, WebRtcSource
from mien_streamer.webrtc.pages import page
from mien_streamer.webrtc.sdp import with_uplink_rates
from mien_streamer.webrtc.server import ServerConfig, WebRtcServer
from mien_streamer.webrtc.tuning import tune, untune

Work = Literal["none", "mesh"]
Codec = Literal["H264", "VP8"]
WARM_S = 4.0
_ANSWER_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencySettings:
    """What is measured.

    Attributes:
        size: (width, height) of the pictures.
        fps: their rate.
        codec: both ways.
        seconds: length of each round, after a warm-up.
        rounds: of each way, taken in turns.
        work: what is done to a picture between in and out.
        persona: who is worn with ``mesh``.
    """

    size: tuple[int, int] = (1280, 720)
    fps: int = 30
    codec: Codec = "H264"
    seconds: float = 10.0
    rounds: int = 2
    work: Work = "none"
    persona: Persona | None = None


@dataclass(slots=True)
class Way:
    """Everything measured on one way.

    Attributes:
        samples: ms from drawing to showing, of every picture that came back.
        sent: pictures drawn; unread: shown with a damaged number; doubled: shown twice.
    """

    samples: list[float] = field(default_factory=list)
    sent: int = 0
    unread: int = 0
    doubled: int = 0
    widths: dict[str, int] = field(default_factory=dict)
    browser_ms: list[dict[str, float | None]] = field(default_factory=list)

    def add(self, result: dict[str, Any]) -> None:
        """Takes the result of one round."""
        self.samples += result["samples"]
        self.sent += result["sent"]
        self.unread += result["unread"]
        self.doubled += result["doubled"]
        self.browser_ms.append(result["browser_ms"])
        for width, count in result["widths"].items():
            self.widths[width] = self.widths.get(width, 0) + count

    def summary(self) -> dict[str, Any]:
        """Percentiles and counts."""
        known = sorted({key for times in self.browser_ms for key in times})
        return {
            **percentiles(self.samples),
            "pictures": len(self.samples),
            "sent": self.sent,
            "lost": max(self.sent - len(self.samples) - self.unread, 0),
            "unread": self.unread,
            "doubled": self.doubled,
            "widths": self.widths,
            "browser_ms": {key: _mean([t.get(key) for t in self.browser_ms]) for key in known},
        }


def percentiles(samples: list[float]) -> dict[str, float]:
    """``{"p50", "p95", "p99", "max"}``; zeros without samples."""
    ordered = sorted(samples)
    if not ordered:
        return {"p50": 0.0, "p95": 0.0, "p99": 0.0, "max": 0.0}

    def at(part: float) -> float:
        return round(ordered[min(int(part * len(ordered)), len(ordered) - 1)], 2)

    return {"p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": round(ordered[-1], 2)}


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 2) if known else None


def clip_pictures(size: tuple[int, int], count: int = 60) -> list[U8Array]:
    """The first pictures of the bundled clip, in (width, height)."""
    with (
        as_file(files("mien_streamer").joinpath("demo", "driver.mp4")) as clip,
        av.open(str(clip)) as container,
    ):
        return [
            np.ascontiguousarray(picture.reformat(*size, format="bgr24").to_ndarray(), np.uint8)
            for _, picture in zip(range(count), container.decode(video=0), strict=False)
        ]


class StockEcho:
    """What aiortc does by itself: the track that comes in is the track that goes out.

    It gets the start bit rate of ours in its answer; without it Chromium shrinks the picture
    and the comparison would be one of sizes.
    """

    def __init__(self) -> None:
        self._peers: dict[str, RTCPeerConnection] = {}

    async def answer(self, request: web.Request) -> web.Response:
        """POST of an offer."""
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        name = str(id(peer))
        self._peers[name] = peer
        peer.on("track", lambda track: peer.addTrack(track))
        offer = RTCSessionDescription(await request.text(), "offer")
        await peer.setRemoteDescription(offer)
        await peer.setLocalDescription(await peer.createAnswer())
        return web.Response(
            status=201,
            body=with_uplink_rates(peer.localDescription.sdp).encode(),
            content_type="application/sdp",
            headers={"Location": f"/stock/{name}"},
        )

    async def hang_up(self, request: web.Request) -> web.Response:
        """DELETE of a session."""
        peer = self._peers.pop(request.match_info["name"], None)
        if peer is not None:
            await peer.close()
        return web.Response(status=200)


def measure_browser(
    settings: LatencySettings, say: Callable[[str], None] = lambda text: None
) -> dict[str, Any]:
    """Rounds of stock aiortc, mien and no network at all, in turns, in one browser.

    Raises:
        MissingError: there is no browser.
    """
    reason = why_no_browser()
    if reason:
        raise MissingError(reason, "or measure without a browser: --peer")
    echo = StockEcho()

    def add_routes(application: web.Application, server: WebRtcServer) -> None:
        application.add_routes(
            [
                web.get("/latency", page("mien_benchmarks", "latency.html", server.access)),
                web.get("/clip.mp4", _send_clip),
                web.post("/stock", echo.answer),
                web.delete("/stock/{name}", echo.hang_up),
            ]
        )

    ways: dict[str, Way] = {"stock": Way(), "mien": Way(), "floor": Way()}
    with WebRtcServer(ServerConfig(port=0), add_routes=add_routes) as server, open_page() as tab:
        server.access.posts_per_s = 1000.0
        stats = []
        for number in range(settings.rounds):
            for name, way in ways.items():
                say(f"round {number + 1} of {settings.rounds}: {name}")
                untune() if name == "stock" else tune()
                tab.goto(f"{server.url}/latency")
                if name == "mien":
                    with running(server, settings) as run:
                        way.add(_run(tab, name, settings))
                    stats.append(run.stats)
                else:
                    way.add(_run(tab, name, settings))
    untune()
    return {
        "ways": {name: way.summary() for name, way in ways.items()},
        "samples": {name: [round(x, 2) for x in way.samples] for name, way in ways.items()},
        "server": _server_side(stats),
    }


def _run(tab: Any, way: str, settings: LatencySettings) -> dict[str, Any]:
    wishes = {
        "way": way,
        "codec": settings.codec,
        "width": settings.size[0],
        "height": settings.size[1],
        "fps": settings.fps,
        "warm_s": WARM_S,
        "seconds": settings.seconds if way != "floor" else min(settings.seconds, 5.0),
        "clip": settings.work != "none",
    }
    tab.set_default_timeout(1000 * (settings.seconds + WARM_S + _ANSWER_S))
    result: dict[str, Any] = tab.evaluate("(wishes) => run(wishes)", wishes)
    return result


async def _send_clip(request: web.Request) -> web.StreamResponse:
    with as_file(files("mien_streamer").joinpath("demo", "driver.mp4")) as clip:
        return web.Response(body=clip.read_bytes(), content_type="video/mp4")


class LiveRun:
    """mien's own loop between the server's inlet and outlet."""

    def __init__(self, server: WebRtcServer, process: Callable[[Frame], Outcome]) -> None:
        self._stop = threading.Event()
        self.stats = RunStats()
        source = WebRtcSource(server.inlet)
        sink = WebRtcSink(server.outlets["out"], server.inlet.video_took)

        def run() -> None:
            self.stats = run_live(source, process, sink, stop=self._stop)

        self._thread = threading.Thread(target=run)
        self._thread.start()

    def end(self) -> None:
        """Stops it."""
        self._stop.set()
        self._thread.join()


@contextmanager
def running(server: WebRtcServer, settings: LatencySettings) -> Iterator[LiveRun]:
    """The live loop with the work that the settings ask for."""
    if settings.work == "none":
        run = LiveRun(server, lambda frame: Outcome(frame=frame))
        try:
            yield run
        finally:
            run.end()
        return
    # The number must come back readable, so nothing is covered.
    config = PipelineConfig(guard=GuardConfig(mode="off"))
    with Pipeline.create(config) as pipeline:
        pipeline.set_persona(settings.persona, wait=True)
        run = LiveRun(server, pipeline.process)
        try:
            yield run
        finally:
            run.end()


def _server_side(stats: list[RunStats]) -> dict[str, Any]:
    last = stats[-1]
    return {
        "frames": sum(run.frames for run in stats),
        "dropped": sum(run.dropped for run in stats),
        "total_ms": last.total.summary(),
        "stages_ms": {name: times.summary() for name, times in last.stages.items()},
    }


def measure_peer(settings: LatencySettings) -> dict[str, Any]:
    """The same without a browser: a peer of aiortc in this process, bar code in and out."""
    from mien_benchmarks.latency_peer import round_trip

    ways: dict[str, Way] = {"mien": Way()}
    stats = []
    with WebRtcServer(ServerConfig(port=0)) as server:
        server.access.posts_per_s = 1000.0
        for _ in range(settings.rounds):
            with running(server, settings) as run:
                ways["mien"].add(asyncio.run(round_trip(server.url, settings)))
            stats.append(run.stats)
            time.sleep(0.2)
    untune()
    return {
        "ways": {name: way.summary() for name, way in ways.items()},
        "samples": {name: [round(x, 2) for x in way.samples] for name, way in ways.items()},
        "server": _server_side(stats),
    }
