"""The two loops: order and completeness offline, the newest frame live."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien.errors import DeviceError, MediaError, OutputError
from mien.types import Frame, U8Array
from mien_streamer.live_loop import LiveStatus
from mien_streamer.loop import run_live, run_offline
from mien_streamer.sinks import VideoFileSink
from mien_streamer.sources.paced import PacedSource
from mien_streamer.sources.video import VideoSource
from tests.streamer.media import (
    ListSink,
    MadeSource,
    ManualClock,
    Passed,
    audio_packets,
    make_video,
    passing,
    video_times,
)

LOST = DeviceError("camera 0 stopped", "check the cable")
FULL = OutputError("the disk is full", "free some space")


def running_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("mien-")]


# Offline ---------------------------------------------------------------------------------


def test_offline_processes_every_frame_in_order() -> None:
    sink, source = ListSink(), MadeSource(200)
    progress: list[tuple[int, int | None]] = []
    stats = run_offline(source, passing, sink, progress=lambda *at: progress.append(at))
    assert sink.indices == list(range(200))
    assert progress == [(count, 200) for count in range(1, 201)]
    assert sink.closed
    assert not sink.aborted
    assert source.closed
    assert (stats.frames, stats.faces_found, stats.swapped, stats.dropped) == (200, 200, 200, 0)
    assert stats.total.count == 200
    assert stats.stages["track"].count == stats.stages["sink"].count == 200
    assert stats.fps > 0
    assert not running_threads()


def test_offline_decoding_never_runs_far_ahead() -> None:
    ahead: list[int] = []
    seen = 0

    def before(index: int) -> None:
        ahead.append(index - seen)

    def process(frame: Frame) -> Passed:
        nonlocal seen
        time.sleep(0.002)
        seen = frame.index + 1
        return passing(frame)

    run_offline(MadeSource(60, before=before), process, ListSink())
    assert max(ahead) <= 7  # 4 in the queue, one in each hand, one being made


def test_offline_stop_keeps_what_is_there() -> None:
    stop, sink = threading.Event(), ListSink()

    def process(frame: Frame) -> Passed:
        if frame.index == 9:
            stop.set()
        return passing(frame)

    stats = run_offline(MadeSource(1000), process, sink, stop=stop)
    assert sink.indices == list(range(10))
    assert sink.closed
    assert stats.frames == 10


def test_offline_source_error_after_frames_keeps_them_and_reports_it() -> None:
    sink = ListSink()
    stats = run_offline(MadeSource(5, error=LOST), passing, sink)
    assert stats.error is LOST
    assert sink.indices == [0, 1, 2, 3, 4]
    assert sink.closed


def test_offline_source_error_without_frames_raises_and_aborts() -> None:
    sink = ListSink()
    with pytest.raises(MediaError, match="gone"):
        run_offline(MadeSource(0, error=MediaError("gone")), passing, sink)
    assert sink.aborted
    assert not sink.closed
    assert not running_threads()


def test_offline_process_error_aborts_the_output() -> None:
    def process(frame: Frame) -> Passed:
        if frame.index == 3:
            raise RuntimeError("boom")
        return passing(frame)

    sink, source = ListSink(), MadeSource(1000)
    with pytest.raises(RuntimeError, match="boom"):
        run_offline(source, process, sink)
    assert sink.aborted
    assert not sink.closed
    assert source.closed
    assert not running_threads()


@pytest.mark.parametrize("fail_at", [0, 20])
def test_offline_sink_error_ends_the_run(fail_at: int) -> None:
    sink = ListSink(fail_at=fail_at, error=FULL)
    with pytest.raises(OutputError, match="disk is full"):
        run_offline(MadeSource(1000), passing, sink)
    assert sink.aborted
    assert len(sink.indices) == fail_at
    assert not running_threads()


# Live ------------------------------------------------------------------------------------


def test_a_slow_process_drops_frames_and_never_queues() -> None:
    """The source makes a frame whenever the worker is half done, so every other one is lost.

    The ages are counted in frames, not in seconds: the test holds on a loaded machine.
    """
    made = threading.Semaphore(0)
    newest = -1
    ages: list[int] = []

    def before(index: int) -> None:
        nonlocal newest
        made.acquire()
        newest = index

    def process(frame: Frame) -> Passed:
        ages.append(newest - frame.index)
        for _ in range(5):  # five frames come while one is swapped
            made.release()
        time.sleep(0.02)
        return passing(frame)

    made.release()
    sink = ListSink()
    stats = run_live(
        MadeSource(200, is_live=True, before=before), process, sink, stop=threading.Event()
    )
    assert stats.dropped > 100
    assert stats.frames + stats.dropped == 200
    assert sink.indices == sorted(set(sink.indices))
    assert sink.indices[-1] == 199  # the last frame is never the one that is dropped
    # A queue would make the age grow to over a hundred; the frames of one run is the most
    # that a busy machine can bring in between.
    assert max(ages) <= 5
    assert not running_threads()


def test_a_slow_sink_drops_frames_too() -> None:
    class SlowSink(ListSink):
        def write(self, frame: Frame) -> None:
            time.sleep(0.01)
            super().write(frame)

    sink = SlowSink()
    source = MadeSource(100, is_live=True, before=lambda _: time.sleep(0.001))
    stats = run_live(source, passing, sink, stop=threading.Event())
    assert 0 < stats.frames < 100
    assert stats.frames + stats.dropped == 100
    assert sink.indices == sorted(set(sink.indices))


def test_live_stop_closes_everything() -> None:
    stop, sink = threading.Event(), ListSink()

    def process(frame: Frame) -> Passed:
        if frame.index >= 5:
            stop.set()
        return passing(frame)

    source = MadeSource(10**9, is_live=True, before=lambda _: time.sleep(0.001))
    stats = run_live(source, process, sink, stop=stop)
    assert sink.closed
    assert source.closed
    assert stats.frames >= 1
    assert not running_threads()


def test_a_lost_camera_ends_the_run_with_the_recording_kept() -> None:
    sink = ListSink()
    source = MadeSource(4, is_live=True, error=LOST, before=lambda _: time.sleep(0.01))
    stats = run_live(source, passing, sink, stop=threading.Event())
    assert stats.error is LOST
    assert sink.closed
    assert sink.indices[-1] == 3


def test_a_camera_that_never_delivers_raises() -> None:
    sink = ListSink()
    with pytest.raises(DeviceError, match="stopped"):
        run_live(MadeSource(0, error=LOST), passing, sink, stop=threading.Event())
    assert sink.aborted


def test_a_process_error_never_lets_the_bare_frame_out() -> None:
    def process(frame: Frame) -> Passed:
        if frame.index >= 3:
            raise RuntimeError("boom")
        return passing(frame)

    sink = ListSink()
    source = MadeSource(1000, is_live=True, before=lambda _: time.sleep(0.005))
    with pytest.raises(RuntimeError, match="boom"):
        run_live(source, process, sink, stop=threading.Event())
    assert sink.closed
    assert all(index < 3 for index in sink.indices)


def test_a_sink_error_ends_the_live_run() -> None:
    sink = ListSink(fail_at=2, error=FULL)
    source = MadeSource(1000, is_live=True, before=lambda _: time.sleep(0.002))
    with pytest.raises(OutputError, match="disk is full"):
        run_live(source, passing, sink, stop=threading.Event())
    assert source.closed
    assert not running_threads()


def test_a_stalled_source_is_announced_and_bridged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien_streamer.live_loop.STALL_S", 0.05)
    monkeypatch.setattr("mien_streamer.live_loop.POLL_S", 0.01)
    bridged = threading.Event()
    events: list[str] = []
    slate = np.full((12, 16, 3), 200, np.uint8)

    def before(index: int) -> None:
        if index == 3:
            bridged.wait(10)

    def idle(silent_s: float) -> U8Array:
        bridged.set()
        assert silent_s > 0.05
        return slate

    sink = ListSink()
    source = MadeSource(6, fps=120, is_live=True, before=before)
    run_live(
        source,
        passing,
        sink,
        stop=threading.Event(),
        idle=idle,
        on_event=events.append,  # type: ignore[arg-type]
    )
    assert events[:2] == ["stalled", "resumed"]
    assert -1 in sink.indices
    assert sink.pictures[sink.indices.index(-1)] is slate


def test_status_comes_about_once_a_second_with_recent_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mien_streamer.live_loop.STATUS_S", 0.05)
    said: list[LiveStatus] = []
    now = time.monotonic_ns

    def process(frame: Frame) -> Passed:
        return passing(replace(frame, capture_ns=now() - 7_000_000))

    source = MadeSource(60, is_live=True, before=lambda _: time.sleep(0.005))
    run_live(source, process, ListSink(), stop=threading.Event(), on_status=said.append)
    assert len(said) >= 2
    assert said[0].fps > 0
    assert said[0].p50_ms >= 7
    assert said[0].p95_ms >= said[0].p50_ms
    assert [status.frames for status in said] == sorted(status.frames for status in said)


def test_a_live_recording_keeps_the_times_of_its_frames_and_the_sound(tmp_path: Path) -> None:
    made = make_video(tmp_path / "in.mp4", ticks=range(0, 40 * 512, 512), audio="aac", audio_s=1.3)
    source = PacedSource(VideoSource(str(made)), clock=ManualClock())
    sink = VideoFileSink(tmp_path / "out.mp4", source.info)
    stats = run_live(source, passing, sink, stop=threading.Event())
    times = video_times(tmp_path / "out.mp4")
    assert stats.frames + stats.dropped == 40
    assert len(times) == stats.frames
    assert set(times) <= set(video_times(made))
    assert times[-1] == video_times(made)[-1]
    assert audio_packets(tmp_path / "out.mp4") == audio_packets(made)
