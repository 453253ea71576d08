"""Several stages behind one process, and what their pages say about GPUs."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from typing import Any

import pytest

pytest.importorskip("aiortc", reason="the extra 'webrtc' is not installed")
pytest.importorskip("aiohttp", reason="the extra 'webrtc' is not installed")

from mien_streamer.cli.studio import _run_all
from mien_streamer.studio.studio import Studio
from tests.cli.conftest import Mien
from tests.cli.conftest import mien as mien

PLACES = [
    {"stream": "stage 1", "device": "cuda:0", "reason": "asked for", "busy_share": 0.1, "moves": 0},
    {"stream": "stage 2", "device": "cpu", "reason": "A failed", "busy_share": 0.0, "moves": 1},
]  # fmt: skip


class Room:
    """Plays a studio: runs until it is told to stop, or breaks."""

    def __init__(self, breaks: Exception | None = None) -> None:
        self.breaks = breaks
        self.ended = threading.Event()
        self.thread = ""

    def run(self, stop: threading.Event) -> None:
        self.thread = threading.current_thread().name
        if self.breaks is not None:
            self.ended.set()
            raise self.breaks
        assert stop.wait(5.0)
        self.ended.set()


def test_stages_run_in_threads_of_their_own_and_end_together() -> None:
    rooms: list[Any] = [Room(), Room(), Room()]
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    _run_all(rooms, stop)
    assert all(room.ended.is_set() for room in rooms)
    assert [room.thread == "mien-stage" for room in rooms] == [False, True, True]


def test_a_stage_that_breaks_ends_the_others() -> None:
    rooms: list[Any] = [Room(ZeroDivisionError("a bug")), Room()]
    with pytest.raises(ZeroDivisionError):
        _run_all(rooms, threading.Event())
    end = time.monotonic() + 5.0
    while not rooms[1].ended.is_set():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_page_says_which_stream_is_where(studio: Studio) -> None:
    studio.stage.config.streams = lambda: PLACES
    device = studio.stage.state()["device"]
    assert [one["stream"] for one in device["streams"]] == ["stage 1", "stage 2"]
    # It would change with every frame, and pages are sent what changes.
    assert "busy_share" not in device["streams"][0]
    assert studio.stage.stats()["busy"] == {"stage 1": 0.1, "stage 2": 0.0}
    with urllib.request.urlopen(f"{studio.server.url}/streams", timeout=10) as answer:
        assert json.load(answer) == {"streams": PLACES}


def test_a_show_has_one_stage(mien: Mien) -> None:
    result = mien("studio", "--stages", "2", "--show", "show.toml")
    assert result.code == 2
    assert "a show is played on one stage" in result.err
