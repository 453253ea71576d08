"""``mien swap`` with a quick swapper: what reaches the file and what does not."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.types import FaceTrack, Frame, Patch, U8Array
from tests.cli.conftest import PERSONA, Mien, times_of, write_clip
from tests.pipeline.fakes import FakeSwapper, good_patch

pytestmark = pytest.mark.usefixtures("home", "quick")

REPORT_KEYS = {
    "frames",
    "dropped",
    "faces_found",
    "swapped",
    "guarded",
    "fps",
    "latency_ms",
    "settings",
    "versions",
    "device",
}


def test_every_frame_is_swapped_and_sound_and_times_survive(
    mien: Mien, talking: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    result = mien("swap", talking, "-p", PERSONA, "-o", output)
    assert result.code == 0, result.err
    assert "24 frames, 24 swapped" in result.out
    assert times_of(output) == pytest.approx(times_of(talking), abs=1e-3)
    assert times_of(output, "audio") == pytest.approx(times_of(talking, "audio"), abs=1e-6)


def test_the_report_holds_what_the_design_says(mien: Mien, talking: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    mien("swap", talking, "-p", PERSONA, "-o", tmp_path / "out.mp4", "--report", report)
    found = json.loads(report.read_text())
    assert set(found) == REPORT_KEYS
    assert (found["frames"], found["swapped"], found["dropped"], found["guarded"]) == (24, 24, 0, 0)
    assert set(found["latency_ms"]["total"]) == {"p50", "p95", "p99", "max"}
    assert {"track", "swap", "composite", "mark"} <= set(found["latency_ms"]["stages"])
    assert found["settings"]["persona"] == PERSONA
    assert {"mien", "python", "numpy"} <= set(found["versions"])


def test_a_video_says_that_it_is_synthetic(mien: Mien, talking: Path, tmp_path: Path) -> None:
    for name in ("out.mp4", "out.mkv"):
        mien("swap", talking, "-p", PERSONA, "-o", tmp_path / name)
        result = mien("verify", tmp_path / name, "--json")
        found = json.loads(result.out)
        assert found["synthetic"] is True
        assert found["statement"]["persona"] == PERSONA
        assert found["statement"]["source_type"].endswith("compositeSynthetic")
    assert json.loads(mien("verify", talking, "--json").out)["synthetic"] is False
    assert "no statement" in mien("verify", talking).out


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_an_image_is_swapped_and_says_so(
    mien: Mien, tmp_path: Path, demo_frames: list[U8Array], suffix: str
) -> None:
    photo, output = tmp_path / f"photo{suffix}", tmp_path / f"out{suffix}"
    cv2.imwrite(str(photo), demo_frames[0])
    result = mien("swap", photo, "-p", PERSONA, "-o", output)
    assert result.code == 0, result.err
    assert cv2.imread(str(output)).shape == demo_frames[0].shape
    assert json.loads(mien("verify", output, "--json").out)["synthetic"] is True


def test_a_folder_of_images_keeps_its_names(
    mien: Mien, tmp_path: Path, demo_frames: list[U8Array]
) -> None:
    folder, output = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name, picture in zip(("b.png", "a.png"), demo_frames, strict=False):
        cv2.imwrite(str(folder / name), picture)
    result = mien("swap", folder, "-p", PERSONA, "-o", output)
    assert result.code == 0, result.err
    assert sorted(path.name for path in output.iterdir()) == ["a.png", "b.png"]


def test_frames_without_a_swap_are_counted_and_explained(
    mien: Mien, tmp_path: Path, demo_frames: list[U8Array]
) -> None:
    clip = tmp_path / "half.mp4"
    empty = np.full_like(demo_frames[0], 90)
    write_clip(clip, [*demo_frames[:8], *[empty] * 8])
    result = mien("swap", clip, "-p", PERSONA, "-o", tmp_path / "out.mp4")
    assert result.code == 0
    assert "8 frames show the face as it came: 8 performer lost" in result.err


def test_the_guard_works_on_files_too(
    mien: Mien, tmp_path: Path, demo_frames: list[U8Array], quick: FakeSwapper
) -> None:
    calls = 0

    def draw(frame: Frame, track: FaceTrack, state: object) -> Patch:
        nonlocal calls
        calls += 1
        if calls % 2:
            raise RuntimeError("fault")
        return good_patch(frame, track, state)

    quick.draw = draw
    clip, report = tmp_path / "clip.mp4", tmp_path / "r.json"
    write_clip(clip, demo_frames[:8])
    out = tmp_path / "out.mp4"
    result = mien("swap", clip, "-p", PERSONA, "-o", out, "--guard", "blur", "--report", report)
    assert result.code == 0
    assert json.loads(report.read_text())["guarded"] == 4


def test_one_picture_cannot_hold_a_clip(mien: Mien, talking: Path, tmp_path: Path) -> None:
    result = mien("swap", talking, "-p", PERSONA, "-o", tmp_path / "out.png")
    assert result.code == 2
    assert "holds more than one picture" in result.err
    assert not (tmp_path / "out.png").exists()


def test_geometry_changes_the_output(mien: Mien, talking: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    options = ("--crop", "1:1", "--size", "240x240", "--mirror")
    assert mien("swap", talking, "-p", PERSONA, "-o", output, *options).code == 0
    capture = cv2.VideoCapture(str(output))
    assert capture.read()[1].shape == (240, 240, 3)


def test_ctrl_c_keeps_what_was_done(
    mien: Mien, talking: Path, tmp_path: Path, quick: FakeSwapper
) -> None:
    def draw(frame: Frame, track: FaceTrack, state: object) -> Patch:
        if frame.index == 5:
            signal.raise_signal(signal.SIGINT)
        return good_patch(frame, track, state)

    quick.draw = draw
    output = tmp_path / "out.mp4"
    result = mien("swap", talking, "-p", PERSONA, "-o", output)
    assert result.code == 1
    assert "stopped early" in result.err
    assert 5 <= len(times_of(output)) < 24
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_only_the_performer_is_swapped(mien: Mien, talking: Path, tmp_path: Path) -> None:
    """The persona's descriptor is all zeros: it is nobody in the clip."""
    output = tmp_path / "out.mp4"
    result = mien("swap", talking, "-p", PERSONA, "-o", output, "--performer", PERSONA)
    assert result.code == 3
    assert "no face was swapped" in result.err
    assert not output.exists()


def test_it_runs_outside_the_main_thread(talking: Path, tmp_path: Path, mien: Mien) -> None:
    codes: list[int] = []
    output = tmp_path / "out.mp4"
    thread = threading.Thread(
        target=lambda: codes.append(mien("swap", talking, "-p", PERSONA, "-o", output).code)
    )
    thread.start()
    thread.join(60.0)
    assert codes == [0]
