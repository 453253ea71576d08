"""Cameras, files played in real time, and the geometry between source and pipeline."""

from __future__ import annotations

import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mien.errors import DeviceError, UsageError
from mien.types import Frame
from mien_streamer.geometry import Geometry, GeometrySource, with_geometry
from mien_streamer.sources import open_source
from mien_streamer.sources.camera import CameraSource, FoundCamera, find_cameras
from mien_streamer.sources.paced import PacedSource
from mien_streamer.sources.video import VideoSource
from tests.streamer.media import MadeSource, ManualClock, make_video

CAMERAS = [FoundCamera(0, "Laptop Cam"), FoundCamera(2, "Studio USB")]


class FakeCapture:
    """A camera whose reads follow a script: numbers of good frames before each fault."""

    def __init__(self, good: int, *, size: tuple[int, int] = (64, 48)) -> None:
        self.good, self.size = good, size
        self.properties: list[tuple[int, float]] = []
        self.released = False

    def isOpened(self) -> bool:
        return self.good > 0

    def read(self) -> tuple[bool, Any]:
        if self.good == 0 or self.released:
            return False, None
        self.good -= 1
        return True, np.full((self.size[1], self.size[0], 3), self.good, np.uint8)

    def set(self, prop: int, value: float) -> bool:
        self.properties.append((prop, value))
        return True

    def get(self, prop: int) -> float:
        return 30.0 if prop == cv2.CAP_PROP_FPS else 0.0

    def release(self) -> None:
        self.released = True


def camera(
    captures: list[FakeCapture], clock: ManualClock, **options: Any
) -> tuple[CameraSource, list[int | str]]:
    """A camera whose every (re)opening gives the next of ``captures``."""
    opened: list[int | str] = []

    def open_device(device: int | str) -> FakeCapture:
        opened.append(device)
        clock.time_ns += 1_000_000
        return captures[len(opened) - 1] if len(opened) <= len(captures) else FakeCapture(0)

    source = CameraSource(
        options.pop("device", "0"),
        open_device=open_device,
        cameras=lambda: CAMERAS,
        clock=clock,
        **options,
    )
    return source, opened


def test_the_camera_is_asked_for_format_size_rate_and_one_buffer() -> None:
    capture = FakeCapture(3, size=(1280, 720))
    source, _ = camera([capture], ManualClock(), size=(1280, 720), fps=60)
    asked = dict(capture.properties)
    assert asked[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")
    assert capture.properties[0][0] == cv2.CAP_PROP_FOURCC
    assert (asked[cv2.CAP_PROP_FRAME_WIDTH], asked[cv2.CAP_PROP_FRAME_HEIGHT]) == (1280, 720)
    assert asked[cv2.CAP_PROP_FPS] == 60
    assert asked[cv2.CAP_PROP_BUFFERSIZE] == 1
    assert source.info.is_live
    assert source.info.fps == 30  # what the camera says, not what was asked for
    source.close()
    assert capture.released


def test_small_pictures_are_asked_for_as_yuyv() -> None:
    capture = FakeCapture(1)
    source, _ = camera([capture], ManualClock(), size=(640, 480))
    assert dict(capture.properties)[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"YUYV")
    source.close()


def test_a_camera_that_comes_back_goes_on() -> None:
    clock = ManualClock()
    gone, back = FakeCapture(0), FakeCapture(4, size=(128, 96))
    source, opened = camera([FakeCapture(3), gone, gone, back], clock)
    frames = []
    for frame in source.frames():
        frames.append(frame)
        if len(frames) == 6:
            source.close()
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4, 5]
    assert {frame.bgr.shape for frame in frames} == {(48, 64, 3)}
    assert len(opened) == 4
    assert back.released


def test_an_unplugged_camera_gives_up_after_the_retry_window() -> None:
    clock = ManualClock()
    source, _ = camera([FakeCapture(3)], clock)
    frames: list[Frame] = []
    with pytest.raises(DeviceError, match="did not come back") as caught:
        frames.extend(source.frames())
    # The frames before the fault were delivered, one by one, before the error.
    assert sum(clock.waits) == pytest.approx(5.0, abs=0.6)
    assert caught.value.exit_code == 4


def test_a_missing_camera_lists_those_that_are_there() -> None:
    with pytest.raises(DeviceError, match="camera:2 Studio USB"):
        camera([], ManualClock(), device="7")
    with pytest.raises(DeviceError, match=r"no camera is called 'Phone'.*Laptop Cam"):
        camera([], ManualClock(), device="Phone")


def test_a_camera_is_found_by_a_part_of_its_name() -> None:
    source, opened = camera([FakeCapture(2)], ManualClock(), device="studio")
    assert opened == [2]
    source.close()


def test_no_camera_at_all_names_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien_streamer.sources.camera.sys.platform", "linux")
    with pytest.raises(DeviceError, match="file:PATH"):
        CameraSource("0", open_device=lambda _: FakeCapture(0), cameras=lambda: [])


def test_linux_cameras_are_listed_without_their_metadata_nodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien_streamer.sources.camera.sys.platform", "linux")
    for number, index, name in ((0, 0, "Cam"), (1, 1, "Cam"), (10, 0, "Other")):
        node = tmp_path / f"video{number}"
        node.mkdir()
        (node / "index").write_text(f"{index}\n")
        (node / "name").write_text(f"{name}\n")
    assert find_cameras(tmp_path) == [FoundCamera(0, "Cam"), FoundCamera(10, "Other")]


# Files in real time ----------------------------------------------------------------------


def test_a_file_is_paced_by_its_timestamps(tmp_path: Path) -> None:
    ticks = (0, 512, 2048, 2560)
    clock = ManualClock()
    source = PacedSource(
        VideoSource(str(make_video(tmp_path / "in.mp4", ticks=ticks))), clock=clock
    )
    start = clock.time_ns
    frames = list(source.frames())
    wanted = [round(tick * 1e9 / 15360) for tick in ticks]
    assert [frame.pts_ns for frame in frames] == wanted
    got = [frame.capture_ns - start for frame in frames]
    assert np.abs(np.subtract(got, wanted)).max() <= 10
    assert source.info.is_live


def test_a_looped_file_goes_on_in_time_and_number() -> None:
    clock = ManualClock()
    source = PacedSource(MadeSource(3), loop=True, clock=clock)
    frames = []
    for frame in source.frames():
        frames.append(frame)
        if len(frames) == 8:
            source.close()
            break
    assert [frame.index for frame in frames] == list(range(8))
    steps = np.diff([frame.pts_ns for frame in frames])
    assert steps == pytest.approx(np.full(7, 1e9 / 30), abs=10)
    assert source.info.frame_count is None


def test_late_frames_are_not_waited_for_and_a_sleep_is_not_chased() -> None:
    clock = ManualClock()

    def before(index: int) -> None:
        clock.time_ns += {3: 50_000_000, 6: 3_600_000_000_000}.get(index, 0)

    frames = list(PacedSource(MadeSource(12, before=before), clock=clock).frames())
    assert len(frames) == 12
    gaps = np.diff([frame.capture_ns for frame in frames]) / 1e6
    assert gaps[2] == pytest.approx(50, abs=1)  # late by its own fault, sent at once
    assert gaps[3] == pytest.approx(100 / 3 * 4 - 100 / 3 * 2 - 50, abs=1)  # back on the clock
    assert gaps[6:] == pytest.approx(np.full(5, 100 / 3), abs=1)  # no burst after the sleep


def test_closing_wakes_a_waiting_file() -> None:
    source = PacedSource(MadeSource(10, fps=1))
    frames: list[Frame] = []
    reader = threading.Thread(target=lambda: frames.extend(source.frames()))
    reader.start()
    source.close()
    reader.join(5)
    assert not reader.is_alive()


def test_file_in_front_of_a_path_means_real_time(tmp_path: Path) -> None:
    make_video(tmp_path / "in.mp4")
    with open_source(f"file:{tmp_path / 'in.mp4'}", loop=True) as source:
        assert isinstance(source, PacedSource)
        assert source.info.is_live


# Geometry --------------------------------------------------------------------------------


def test_nothing_to_do_means_no_copy_and_no_wrapper() -> None:
    source = MadeSource(1)
    assert with_geometry(source, Geometry()) is source
    picture = source.frame(0).bgr
    assert Geometry().apply(picture) is picture


def test_crop_size_and_mirror() -> None:
    y, x = np.mgrid[0:40, 0:60].astype(np.uint8)
    picture = np.stack([x, y, x], -1)
    cut = Geometry(crop=(10, 5, 20, 30), mirror=True).apply(picture)
    assert cut.shape == (30, 20, 3)
    assert cut.flags.c_contiguous
    assert cut[0, 0].tolist() == [29, 5, 29]
    assert Geometry(size=(30, 0)).apply(picture).shape == (20, 30, 3)
    assert Geometry(size=(0, 80)).apply(picture).shape == (80, 120, 3)
    assert Geometry(size=(7, 9)).apply(picture).shape == (9, 7, 3)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Geometry(crop=(0, 0, 0, 5)),
        lambda: Geometry(crop=(-1, 0, 5, 5)),
        lambda: Geometry(size=(0, 0)),
        lambda: Geometry(fps=Fraction(0)),
        lambda: GeometrySource(MadeSource(1), Geometry(crop=(0, 0, 17, 5))),
    ],
)
def test_impossible_geometry_is_wrong_use(make: Callable[[], object]) -> None:
    with pytest.raises(UsageError):
        make()


@pytest.mark.parametrize(("fps", "wanted"), [(15, 15), (60, 59), (30, 30), (25, 25)])
def test_offline_rates_land_on_an_even_grid(fps: int, wanted: int) -> None:
    source = with_geometry(MadeSource(30), Geometry(fps=Fraction(fps)))
    frames = list(source.frames())
    assert len(frames) == pytest.approx(wanted, abs=1)
    assert [frame.index for frame in frames] == list(range(len(frames)))
    ticks = [source.info.ticks_from_ns(frame.pts_ns) for frame in frames]
    assert ticks == list(range(len(frames)))
    # Repeated frames are painted one by one, so no two may share pixels.
    assert len({frame.bgr.ctypes.data for frame in frames}) == len(frames)
    shown = [int(frame.bgr[0, 0, 0]) for frame in frames]
    assert shown == sorted(shown)


def test_live_rates_only_leave_out() -> None:
    source = with_geometry(MadeSource(300, is_live=True), Geometry(fps=Fraction(12)))
    frames = list(source.frames())
    assert len(frames) == pytest.approx(120, abs=2)
    assert source.info.fps == 12
    faster = with_geometry(MadeSource(30, is_live=True), Geometry(fps=Fraction(60)))
    assert len(list(faster.frames())) == 30
    assert faster.info.fps == 30
