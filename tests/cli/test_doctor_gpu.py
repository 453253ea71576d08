"""``mien doctor`` on machines with several GPUs, and on a studio that runs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import pytest

from mien.errors import DeviceError
from mien.gpu import Placement
from mien_streamer.cli.checks_gpu import ask_studio, look_at_gpu_kernels, look_at_streams
from mien_streamer.cli.findings import State


def two_cards(monkeypatch: pytest.MonkeyPatch, *broken: int) -> None:
    cuda = SimpleNamespace(Device=SimpleNamespace(count=lambda: 2))

    def place(device: str) -> Placement:
        if int(device[-1]) in broken:
            raise DeviceError(f"{device} draws another face", "report this")
        return Placement(draw=print, device=f"{device} (Card)", reason="asked for")  # type: ignore[arg-type]

    monkeypatch.setattr("mien.gpu.require_pycuda", lambda: cuda)
    monkeypatch.setattr("mien.gpu.place", place)


def test_every_card_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    two_cards(monkeypatch)
    found = look_at_gpu_kernels()
    assert found.state is State.WORKS
    assert "the same face on cuda:0 (Card)" in found.says
    assert "the same face on cuda:1 (Card)" in found.says
    assert "--device cuda:all" in found.hint


def test_a_card_that_is_out_is_named_beside_one_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    two_cards(monkeypatch, 1)
    found = look_at_gpu_kernels()
    assert found.state is State.WORKS
    assert "not used: cuda:1: cuda:1 draws another face" in found.says
    two_cards(monkeypatch, 0, 1)
    found = look_at_gpu_kernels()
    assert found.state is State.OPTIONAL
    assert found.says.startswith("not used: cuda:0: cuda:0 draws another face; cuda:1: ")
    assert found.hint == "report this"


def place_of(stream: str, device: str, moves: int = 0, reason: str = "asked for") -> dict[str, Any]:
    return {
        "stream": stream, "device": device, "moves": moves, "reason": reason, "busy_share": 0.07
    }  # fmt: skip


def test_it_says_which_stream_is_where() -> None:
    streams = [place_of("stage 1", "cuda:1 (H100)"), place_of("stage 2", "cpu", 1, "it failed")]
    found = look_at_streams(lambda: streams)
    assert found.says == "stage 1 on cuda:1 (H100), busy 7%; stage 2 on cpu, 1 GPU lost (it failed)"
    assert look_at_streams(lambda: []).says == "the studio draws on the CPU"
    assert look_at_streams(lambda: None).state is State.OPTIONAL


@pytest.fixture
def answering() -> Iterator[Any]:
    """A server on a free port; what it answers can be set."""

    class Handler(BaseHTTPRequestHandler):
        text = "{}"

        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/streams" else 404)
            self.end_headers()
            self.wfile.write(self.text.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield SimpleNamespace(port=server.server_port, handler=Handler)
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_studio_is_asked_and_anybody_else_is_none(answering: Any) -> None:
    streams = [place_of("stage 1", "cpu")]
    answering.handler.text = json.dumps({"streams": streams})
    assert ask_studio(port=answering.port) == streams
    for text in ("hello", "[]", '{"streams": [{"stream": "x"}]}', '{"streams": 3}'):
        answering.handler.text = text
        assert ask_studio(port=answering.port) is None
