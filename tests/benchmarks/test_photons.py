"""Photons to photons, before a simulated camera that films what a simulated window shows."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tests.cli.conftest import Mien
from tests.cli.conftest import mien as mien

from mien.errors import DeviceError
from mien.types import Frame, U8Array
from mien_benchmarks import latency_photons
from mien_benchmarks.bar_board import BoardReader, cells_of, paint_board, why_unread
from mien_benchmarks.latency_photons import OUTPUT, SEEN, Board, Tally, measure_photons
from mien_benchmarks.latency_ways import LatencySettings
from mien_streamer.controls.hotkeys import Action
from mien_streamer.sources.source import ClosingSource, SourceInfo

SIZE = (640, 360)
FRAME_NS = 33_000_000
SETTINGS = LatencySettings(size=SIZE, fps=15, seconds=1.5)
LEANING = ((90, 60), (560, 30), (590, 330), (60, 300))
"""Where the corners of the window come to lie in the camera's picture."""


def photograph(
    shown: U8Array,
    corners: Any = LEANING,
    *,
    blur: float = 1.0,
    gain: float = 0.5,
    seed: int = 0,
) -> U8Array:
    """A picture of a screen in a lit room with a bright window in it."""
    height, width = shown.shape[:2]
    noise = np.random.default_rng(seed)
    room = np.full((SIZE[1], SIZE[0], 3), 90, np.float32)
    room[:50, :140] = 235
    flat = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    camera_from_screen = cv2.getPerspectiveTransform(flat, np.array(corners, np.float32))
    screen = cv2.warpPerspective(shown, camera_from_screen, SIZE, flags=cv2.INTER_AREA)
    covered = cv2.warpPerspective(np.ones(shown.shape, np.float32), camera_from_screen, SIZE)
    seen = room * (1 - covered) + (20 + gain * screen) * covered
    seen = cv2.GaussianBlur(seen, (0, 0), blur) if blur else seen
    noisy = seen + noise.normal(0, 3, seen.shape)
    return np.asarray(noisy.clip(0, 255), np.uint8)


def grey(bgr: U8Array) -> U8Array:
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), np.uint8)


def board(number: int) -> U8Array:
    return Board(SETTINGS).picture(number)


@pytest.mark.parametrize("number", [0, 1, 2, 0x7FFF, 0x8000, 0xFFFF, 12345])
def test_a_number_is_read_from_a_leaning_blurred_dim_picture(number: int) -> None:
    assert BoardReader().read(grey(photograph(board(number)))) == number


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_turned_or_mirrored_camera_reads_the_same(turn: int, mirrored: bool) -> None:
    picture = np.rot90(grey(photograph(board(4711))), turn)
    picture = np.ascontiguousarray(picture[:, ::-1] if mirrored else picture)
    assert BoardReader().read(picture) == 4711


def test_the_finder_tells_all_eight_ways_round_apart() -> None:
    # Else a turned picture could be read as another number.
    for number in (0, 0xFFFF, 0xAAAA, 0x1234):
        upper = np.array(cells_of(number))
        turned = [upper[::-1], 1 - upper, (1 - upper)[::-1]]
        finders = [tuple(row[[0, 1, -2, -1]]) for row in turned]
        assert tuple(upper[[0, 1, -2, -1]]) not in finders


@pytest.mark.parametrize("number", [6, 7, 0x7FFF])
def test_an_exposure_over_a_change_gives_one_of_the_two_numbers(number: int) -> None:
    before, after = board(number), board(number + 1)
    for part in (0.2, 0.5, 0.8):
        mixed = np.asarray(cv2.addWeighted(before, part, after, 1 - part, 0), np.uint8)
        read = BoardReader().read(grey(photograph(mixed)))
        assert read == number or read == number + 1


def test_a_moved_camera_is_found_again() -> None:
    reader = BoardReader()
    assert reader.read(grey(photograph(board(5)))) == 5
    moved = [(x - 20, y + 15) for x, y in LEANING]
    assert reader.read(grey(photograph(board(6), moved))) == 6


def test_nothing_is_read_where_no_board_is() -> None:
    reader, noise = BoardReader(), np.random.default_rng(3)
    for _ in range(20):
        assert reader.read(noise.integers(0, 256, (360, 640), np.uint8)) is None
    assert reader.read(grey(photograph(np.zeros((360, 640, 3), np.uint8)))) is None
    assert reader.read(np.zeros((3, 3), np.uint8)) is None
    picture = np.zeros((360, 640, 3), np.uint8)
    paint_board(picture, 9)
    picture[20:125, 250:330] = 128  # a hand before the bars
    assert reader.read(grey(picture)) is None


FAR = ((300, 150), (355, 150), (355, 181), (300, 181))


@pytest.mark.parametrize(
    ("picture", "hint"),
    [
        (np.zeros((360, 640, 3), np.uint8), "nearly black"),
        (np.full((360, 640, 3), 255, np.uint8), "burnt out"),
        (np.full((360, 640, 3), 120, np.uint8), "aim the camera"),
        (photograph(np.zeros((360, 640, 3), np.uint8)), "aim the camera"),
        (photograph(board(3), FAR, blur=0, gain=0.9), "move closer"),
        (photograph(board(3), blur=7.0, gain=0.9), "focus"),
    ],
)
def test_what_cannot_be_read_is_explained(picture: U8Array, hint: str) -> None:
    assert BoardReader().read(grey(picture)) is None
    assert hint in why_unread(grey(picture))


@pytest.mark.parametrize("delay", [0, 1, 4, 9])
@pytest.mark.parametrize("loop_frames", [0, 2])
def test_the_delay_in_frames_is_recovered_by_a_manual_clock(delay: int, loop_frames: int) -> None:
    tally, now_ns = Tally(), 7_000_000_000
    tally.counts = True
    screen: list[U8Array] = []
    for _ in range(25):
        screen.append(board(tally.next_number))
        tally.drew(now_ns)
        if len(screen) > delay:
            picture = grey(photograph(screen[-1 - delay], seed=len(screen)))
            tally.read("captured", picture, now_ns)
            tally.read("output", picture, now_ns + loop_frames * FRAME_NS)
        now_ns += FRAME_NS
    seen, out = tally.ways["captured"], tally.ways["output"]
    assert seen.unread == out.unread == 0
    assert seen.samples == pytest.approx([delay * FRAME_NS / 1e6] * (25 - delay))
    assert out.samples == pytest.approx([(delay + loop_frames) * FRAME_NS / 1e6] * (25 - delay))


def test_numbers_go_on_past_16_bits_and_a_number_from_the_future_is_none() -> None:
    tally = Tally()
    for number in range(0x10005):
        tally.drew(number * 1_000)
    assert tally.read("captured", grey(board(0x10003)), 0x10003 * 1_000 + 5_000_000) == 5.0
    assert tally.read("captured", grey(board(0x10004)), 0) is None


@dataclass
class Stage:
    """A window and a camera before it."""

    delay: int
    frames: int = 600
    corners: Any = LEANING
    shown: deque[Frame] = field(default_factory=lambda: deque(maxlen=60))
    window_closed: bool = False
    ages_ms: list[float] = field(default_factory=list)
    camera_closed: threading.Event = field(default_factory=threading.Event)

    def open_window(self, on_action: Callable[[Action], None]) -> Window:
        return Window(self, on_action)

    def open_camera(self, spec: str, *, size: tuple[int, int], fps: float) -> Camera:
        assert (spec, size, fps) == ("camera:0", SIZE, 15)
        return Camera(self)


class Window:
    def __init__(self, stage: Stage, on_action: Callable[[Action], None]) -> None:
        self.stage, self.on_action = stage, on_action

    def write(self, frame: Frame) -> None:
        self.stage.shown.append(frame)

    def close(self) -> None:
        self.stage.window_closed = True

    def abort(self) -> None:
        self.close()

    def __enter__(self) -> Window:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Camera(ClosingSource):
    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.info = SourceInfo(
            name="simulated", width=SIZE[0], height=SIZE[1], fps=Fraction(15), is_live=True
        )

    def frames(self) -> Iterator[Frame]:
        for index in range(self.stage.frames):
            if self.stage.camera_closed.wait(1 / 15):
                return
            shown = list(self.stage.shown)
            if len(shown) > self.stage.delay:
                filmed = shown[-1 - self.stage.delay]
                bgr = photograph(filmed.bgr, self.stage.corners, seed=index)
                now_ns = time.monotonic_ns()
                self.stage.ages_ms.append(round((now_ns - filmed.capture_ns) / 1e6, 2))
                yield Frame(index=index, bgr=bgr, capture_ns=now_ns, pts_ns=now_ns)

    def close(self) -> None:
        self.stage.camera_closed.set()


def film(stage: Stage, **more: Any) -> dict[str, Any]:
    return measure_photons(
        SETTINGS, "0", open_camera=stage.open_camera, open_window=stage.open_window, **more
    )


def test_window_camera_and_loop_together_show_the_delay() -> None:
    stage = Stage(delay=6)
    result = film(stage)
    seen, out = result["ways"][SEEN], result["ways"][OUTPUT]
    assert seen["pictures"] >= 5
    assert out["readable"] > 0.9
    # Every age that was measured is one that the camera knows to be true.
    assert set(result["samples"][SEEN]) <= set(stage.ages_ms)
    assert seen["p50"] > 5 / 30 * 1e3
    assert out["p50"] >= seen["p50"]
    assert seen["p50"] <= out["p95"] <= out["p99"]
    assert stage.window_closed
    assert stage.camera_closed.is_set()


def test_a_camera_that_looks_elsewhere_gets_hints_and_exit_4() -> None:
    stage, said = Stage(delay=0, corners=FAR), list[str]()
    with pytest.raises(DeviceError, match="cannot read the code") as error:
        film(stage, say=said.append, aim_s=0.7)
    assert error.value.exit_code == 4
    assert "move closer" in error.value.hint
    assert "cannot read the code" in said[0]
    assert stage.window_closed


def test_a_camera_that_ends_before_it_was_aimed_is_an_error() -> None:
    with pytest.raises(DeviceError, match="cannot read the code"):
        film(Stage(delay=0, frames=3), aim_s=20.0)


def test_a_closed_window_ends_the_wait() -> None:
    stage = Stage(delay=0, corners=FAR)

    def open_and_close(on_action: Callable[[Action], None]) -> Window:
        on_action(Action.QUIT)
        return Window(stage, on_action)

    with pytest.raises(DeviceError, match="window was closed"):
        measure_photons(SETTINGS, "0", open_camera=stage.open_camera, open_window=open_and_close)


def test_without_the_window_extra_the_camera_is_let_go() -> None:
    stage = Stage(delay=0)

    def missing(on_action: Callable[[Action], None]) -> Window:
        raise DeviceError("the preview window needs SDL", "pip install 'mien[window]'")

    with pytest.raises(DeviceError, match="needs SDL"):
        measure_photons(SETTINGS, "0", open_camera=stage.open_camera, open_window=missing)
    assert stage.camera_closed.is_set()


def test_the_command_reports_a_missing_camera_and_a_contradiction(mien: Mien) -> None:
    result = mien("bench", "latency", "--camera", "97")
    assert result.code == 4
    assert "camera 97 gives no picture" in result.err
    result = mien("bench", "latency", "--camera", "0", "--way", "peer")
    assert result.code == 2
    assert "two different measurements" in result.err


def test_the_command_prints_percentiles_and_the_readable_share(
    mien: Mien, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stage, figures, page = Stage(delay=3), tmp_path / "l.json", tmp_path / "l.html"
    monkeypatch.setattr(latency_photons, "open_source", stage.open_camera)
    monkeypatch.setattr(latency_photons, "WindowSink", stage.open_window)
    result = mien(
        "bench", "latency", "--camera", "camera:0", "--size", "640x360", "--fps", "15",
        "--seconds", "1", "--rounds", "1", "--json", figures, "--html", page,
    )  # fmt: skip
    assert result.code == 0, result.err
    assert "frames readable" in result.out + result.err
    for word in (OUTPUT, "p50", "p95", "p99"):
        assert word in result.out
    measured = json.loads(figures.read_text())
    assert measured["ways"][OUTPUT]["readable"] > 0.9
    assert measured["settings"]["way"] == "camera 0"
    assert OUTPUT in page.read_text()


def test_nothing_of_webrtc_is_needed() -> None:
    code = (
        "import sys, mien_benchmarks.latency_photons, mien_benchmarks.latency_command;"
        "sys.exit(bool({'aiortc', 'aiohttp'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
