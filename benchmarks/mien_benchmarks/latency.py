"""Lens to screen: how long a picture is under way, and where."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from typing import Any

from aiohttp import web
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from mien.config import GuardConfig, PipelineConfig
from mien.errors import MissingError
from mien.pipeline import Outcome, Pipeline
from mien.types import Frame
from mien_benchmarks.browser import open_page, why_no_browser
from mien_benchmarks.latency_ways import LatencySettings, Way
from mien_streamer.loop import RunStats, run_live
from mien_streamer.webrtc.ends import WebRtcSink, WebRtcSource
from mien_streamer.webrtc.pages import page
from mien_streamer.webrtc.sdp import with_uplink_rates
from mien_streamer.webrtc.server import ServerConfig, WebRtcServer
from mien_streamer.webrtc.tuning import tune, untune

WARM_S = 4.0
_ANSWER_S = 30.0


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
