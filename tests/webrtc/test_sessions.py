"""Peers that come, go, vanish and misbehave."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import threading
import time
from typing import Any

import aioice.ice
import numpy as np
import psutil
import pytest

from mien.marking import draw_slate
from mien.pipeline import Outcome
from mien.types import Frame, U8Array
from mien_streamer.loop import run_live
from mien_streamer.webrtc import peers as peers_module
from mien_streamer.webrtc.ends import WebRtcSink, WebRtcSource, fit
from mien_streamer.webrtc.peers import PeerLimits
from mien_streamer.webrtc.tuning import untune
from tests.webrtc.conftest import (
    SDP,
    Caller,
    Hum,
    Painted,
    ServerConfig,
    WebRtcServer,
    http_to,
    offer_of,
    send_offer,
    until,
)

CYCLES = int(os.environ.get("MIEN_SOAK_CYCLES", "12"))


class Running:
    """A live loop from the server's inlet to its outlet that changes nothing."""

    def __init__(self, server: WebRtcServer) -> None:
        self._stop = threading.Event()
        source = WebRtcSource(server.inlet)
        sink = WebRtcSink(server.outlets["out"], server.inlet.video_took)
        self._thread = threading.Thread(
            target=run_live,
            args=(source, lambda frame: Outcome(frame=frame), sink),
            kwargs={"stop": self._stop, "idle": self._idle},
        )

    @staticmethod
    def _idle(silent_s: float) -> U8Array | None:
        return draw_slate((180, 320)) if silent_s > 0.6 else None

    def __enter__(self) -> Running:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()


def mean_of(caller: Caller) -> float:
    return float(caller.pictures[-1][0].to_ndarray(format="gray").mean())


def test_pictures_and_sound_go_round_in_sync(server: WebRtcServer) -> None:
    async def scenario() -> None:
        async with http_to(server) as http:
            viewer = await Caller(http).watch(audio=True)
            performer = await Caller(http).publish(Painted(), Hum())
            await until(lambda: len(viewer.pictures) > 30 and len(viewer.sounds) > 30)
            loud = max(abs(int(s.to_ndarray().max())) for s in viewer.sounds)
            assert loud > 2000
            assert 0 <= server.inlet.audio_delay_s < 0.2
            await performer.leave()
            await viewer.leave()

    with Running(server):
        asyncio.run(_after_first_picture(server, scenario))


async def _after_first_picture(server: WebRtcServer, scenario: Any) -> None:
    await until(lambda: server.outlets["out"].live)
    await scenario()


def test_sound_is_held_back_as_long_as_the_pictures_take(server: WebRtcServer) -> None:
    for _ in range(400):
        server.inlet.video_took(0.08)
    assert server.inlet.audio_delay_s == pytest.approx(0.08, abs=0.001)
    server.inlet.video_took(1e9)
    assert server.inlet.audio_delay_s < 0.2


def test_viewers_share_one_encoder_and_see_the_same(showing: WebRtcServer) -> None:
    async def scenario() -> None:
        async with http_to(showing) as http:
            viewers = [await Caller(http).watch() for _ in range(3)]
            await until(lambda: all(len(viewer.pictures) > 5 for viewer in viewers))
            encoders = showing.outlets["out"].facts()["encoders"]
            assert [encoder["viewers"] for encoder in encoders] == [3]
            for viewer in viewers:
                await viewer.leave()
            await until(lambda: showing.outlets["out"].viewers == 0)
            await until(lambda: all(t.name != "mien-H264" for t in threading.enumerate()))

    asyncio.run(scenario())


def test_when_the_performer_leaves_the_slate_is_shown(server: WebRtcServer) -> None:
    async def scenario() -> None:
        async with http_to(server) as http:
            viewer = await Caller(http).watch()
            performer = await Caller(http).publish(Painted())
            await until(lambda: len(viewer.pictures) > 10 and mean_of(viewer) > 55)
            await performer.vanish()
            await until(lambda: mean_of(viewer) < 50)
            # The next one is let in once the first is known to be gone.
            second = await Caller(http).publish(Painted())
            await until(lambda: mean_of(viewer) > 55)
            await second.leave()
            await viewer.leave()

    with Running(server):
        asyncio.run(_after_first_picture(server, scenario))


def test_a_silent_performer_gives_way(
    server: WebRtcServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers_module, "SILENT_S", 0.2)

    async def scenario() -> None:
        async with http_to(server) as http:
            first = await http.post("/whip", data=await send_offer(), headers=SDP)
            assert first.status == 201
            await asyncio.sleep(0.4)
            second = await Caller(http).publish(Painted())
            await until(lambda: server.inlet.pictures > 3)
            assert (await http.get(first.headers["Location"])).status == 404
            await second.leave()

    asyncio.run(scenario())


def test_who_never_connects_is_let_go() -> None:
    async def scenario(server: WebRtcServer) -> None:
        async with http_to(server) as http:
            answer = await http.post("/whip", data=await send_offer(), headers=SDP)
            assert answer.status == 201
            await until(lambda: server.peers.performer is None)
            assert server.peers.failed == 1

    with WebRtcServer(ServerConfig(port=0, limits=PeerLimits(connect_s=0.3))) as server:
        asyncio.run(scenario(server))
    untune()


def test_the_size_may_change_in_flight(server: WebRtcServer) -> None:
    async def scenario() -> None:
        async with http_to(server) as http:
            camera = Painted()
            viewer = await Caller(http).watch()
            performer = await Caller(http).publish(camera)
            await until(lambda: len(viewer.pictures) > 5)
            camera.size = (480, 270)
            await until(lambda: viewer.pictures[-1][0].width == 480)
            camera.size = (200, 356)
            await until(lambda: viewer.pictures[-1][0].height == 356)
            await performer.leave()
            await viewer.leave()

    with Running(server):
        asyncio.run(_after_first_picture(server, scenario))


def test_garbage_packets_harm_nobody(showing: WebRtcServer) -> None:
    async def scenario() -> None:
        async with http_to(showing) as http:
            viewer = await Caller(http).watch()
            performer = await Caller(http).publish(Painted())
            await until(lambda: showing.inlet.pictures > 3 and len(viewer.pictures) > 3)
            transport = performer.peer.getTransceivers()[0].sender.transport
            dice = random.Random(4)
            for _ in range(300):
                size = dice.randrange(1, 1200)
                noise = bytes([dice.choice((128, 144, 200, 22))]) + dice.randbytes(size)
                await transport.transport._send(noise)  # not even encrypted
                try:
                    await transport._send_rtp(bytes([128, 96]) + dice.randbytes(size + 12))
                except ValueError:
                    continue
            pictures, seen = showing.inlet.pictures, len(viewer.pictures)
            await until(lambda: showing.inlet.pictures > pictures + 10)
            await until(lambda: len(viewer.pictures) > seen + 10)
            await performer.leave()
            await viewer.leave()

    asyncio.run(scenario())


class LossyNetwork:
    """Loses and delays media packets on their way to everyone in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, loss: float, jitter_s: float) -> None:
        self.lost = self.passed = 0
        self._dice = random.Random(1)
        deliver = aioice.ice.Connection.data_received

        def data_received(connection: Any, data: bytes, component: int) -> None:
            if not 128 <= data[0] < 192:  # handshakes pass
                deliver(connection, data, component)
                return
            if self._dice.random() < loss:
                self.lost += 1
                return
            self.passed += 1
            wait_s = self._dice.random() * jitter_s
            asyncio.get_running_loop().call_later(wait_s, deliver, connection, data, component)

        monkeypatch.setattr(aioice.ice.Connection, "data_received", data_received)


@pytest.mark.parametrize(("loss", "least"), [(0.01, 0.75), (0.05, 0.45)])
def test_pictures_survive_loss_and_jitter(
    server: WebRtcServer, monkeypatch: pytest.MonkeyPatch, loss: float, least: float
) -> None:
    seconds = 5.0

    async def scenario() -> None:
        async with http_to(server) as http:
            viewer = await Caller(http).watch()
            performer = await Caller(http).publish(Painted(size=(640, 360)))
            await until(lambda: server.inlet.pictures > 10 and len(viewer.pictures) > 10)
            network = LossyNetwork(monkeypatch, loss, 0.03)
            came, shown = server.inlet.pictures, len(viewer.pictures)
            longest = 0.0
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                await asyncio.sleep(0.05)
                longest = max(longest, time.monotonic() - viewer.pictures[-1][1])
            assert network.lost > 0
            assert server.inlet.pictures - came > least * 25 * seconds
            assert len(viewer.pictures) - shown > least * 25 * seconds
            assert longest < 1.5
            monkeypatch.undo()
            await performer.leave()
            await viewer.leave()

    with Running(server):
        asyncio.run(_after_first_picture(server, scenario))


def test_nothing_is_left_of_those_who_left(server: WebRtcServer) -> None:
    process = psutil.Process()

    async def cycle(http: Any, number: int) -> None:
        performer = await Caller(http).publish(Painted(), *([Hum()] if number % 2 else []))
        viewer = await Caller(http).watch(audio=bool(number % 3))
        if number % 5 == 4:
            half = Caller(http)  # calls and never connects
            half.peer.addTransceiver("video", direction="recvonly")
            answer = await http.post("/whep", data=await offer_of(half.peer), headers=SDP)
            half.location = answer.headers["Location"]
            await half.leave()
        else:
            await until(lambda: len(viewer.pictures) > 2)
        await viewer.leave()
        await performer.leave()

    def own_threads() -> int:
        # asyncio's pool starts workers as it needs them, up to a limit of its own.
        return sum(not thread.name.startswith("asyncio_") for thread in threading.enumerate())

    async def tasks_there() -> list[str]:
        return [str(task.get_coro()) + str(task.get_stack(limit=1)) for task in asyncio.all_tasks()]

    async def scenario() -> None:
        async with http_to(server) as http:
            for number in range(4):
                await cycle(http, number)
            await asyncio.sleep(0.5)
            gc.collect()
            threads, memory = own_threads(), process.memory_info().rss
            tasks, files = server.call(tasks_there()), process.num_fds()
            for number in range(CYCLES):
                server.access.posts_per_s = 1e6
                await cycle(http, number)
            await asyncio.sleep(0.5)
            gc.collect()
            left = server.call(tasks_there())
            assert len(left) <= len(tasks), left
            assert own_threads() <= threads, threading.enumerate()
            assert process.num_fds() <= files + 2
            grown = process.memory_info().rss - memory
            assert grown < 12e6 + 0.1e6 * CYCLES, f"{grown / 1e6:.1f} MB more"
            facts = await http.get("/whip")
            assert facts.status == 204

    with Running(server):
        asyncio.run(_after_first_picture(server, scenario))


def test_a_closed_server_can_be_opened_again_on_its_port(server: WebRtcServer) -> None:
    async def scenario() -> None:
        async with http_to(server) as http:
            await Caller(http).publish(Painted())
            await until(lambda: server.inlet.pictures > 3)

    asyncio.run(scenario())
    port = server.port
    server.close()
    with WebRtcServer(ServerConfig(port=port)) as again:
        assert again.port == port


def test_frames_are_fitted_into_a_size_with_their_shape() -> None:
    tall = np.full((400, 200, 3), 200, np.uint8)
    fitted = fit(tall, (320, 180))
    assert fitted.shape == (180, 320, 3)
    assert fitted[:, 150:170].min() > 190
    assert fitted[:, :100].max() == 0
    assert fit(fitted, (320, 180)) is fitted


def test_the_source_counts_what_it_leaves_out(server: WebRtcServer) -> None:
    import av

    with WebRtcSource(server.inlet, size=(64, 36)) as source:
        box = server.inlet._boxes[0]
        for _ in range(3):
            box.put((av.VideoFrame(128, 72, "yuv420p"), time.monotonic_ns()))
        frames = source.frames()
        first: Frame = next(frames)
        assert (first.index, first.size) == (2, (36, 64))
    assert list(frames) == []
