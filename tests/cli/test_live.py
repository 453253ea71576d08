"""``mien live`` with a quick swapper: pacing, dropping, guarding, set-up files."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from mien.types import FaceTrack, Frame, Patch
from tests.cli.conftest import PERSONA, Mien, times_of
from tests.pipeline.fakes import FakeSwapper, good_patch

pytestmark = pytest.mark.usefixtures("home", "quick")

CLIP_SECONDS = 23 / 24 + 0.5


def live(mien: Mien, clip: Path, *more: object) -> tuple[int, str]:
    result = mien("live", "--source", f"file:{clip}", "--sink", "null", "-p", PERSONA, *more)
    return result.code, result.err


def test_a_file_plays_at_its_own_pace(mien: Mien, talking: Path, tmp_path: Path) -> None:
    report = tmp_path / "r.json"
    before = time.monotonic()
    code, err = live(mien, talking, "--report", report)
    assert code == 0, err
    assert time.monotonic() - before >= CLIP_SECONDS
    found = json.loads(report.read_text())
    assert found["frames"] + found["dropped"] == 24
    assert found["swapped"] == found["frames"]


@pytest.mark.parametrize("sink", ["windw", "virtual", "camera:0", ""])
def test_a_slip_in_the_sink_is_told_at_once(
    mien: Mien, talking: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sink: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = mien("live", "--source", f"file:{talking}", "--sink", sink, "-p", PERSONA)
    assert result.code == 2
    assert "is no sink" in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_a_slow_swapper_drops_frames_instead_of_queueing(
    mien: Mien, talking: Path, tmp_path: Path, quick: FakeSwapper
) -> None:
    """The age of the output stays under two times the time that a frame takes to draw."""
    slow_s = 0.12

    def draw(frame: Frame, track: FaceTrack, state: object) -> Patch:
        time.sleep(slow_s)
        return good_patch(frame, track, state)

    quick.draw = draw
    report = tmp_path / "r.json"
    code, err = live(mien, talking, "--report", report, "--loop", "--duration", "4")
    assert code == 0, err
    found = json.loads(report.read_text())
    assert found["dropped"] > found["frames"]
    frame_time_ms = found["latency_ms"]["stages"]["swap"]["p50"]
    assert frame_time_ms >= slow_s * 1e3
    # Tracking a frame comes on top of drawing it; a queue would reach seconds.
    track_ms = found["latency_ms"]["stages"]["track"]["p50"]
    assert found["latency_ms"]["total"]["p50"] < 2.0 * (frame_time_ms + track_ms)


def test_the_guard_is_on_unless_told_otherwise(
    mien: Mien, talking: Path, tmp_path: Path, quick: FakeSwapper
) -> None:
    def draw(frame: Frame, track: FaceTrack, state: object) -> Patch:
        raise RuntimeError("fault")

    quick.draw = draw
    report = tmp_path / "r.json"
    assert live(mien, talking, "--report", report)[0] == 0
    found = json.loads(report.read_text())
    assert found["guarded"] == found["frames"] > 0
    assert live(mien, talking, "--report", report, "--guard", "off")[0] == 0
    assert json.loads(report.read_text())["guarded"] == 0


def test_a_file_sink_is_finished(mien: Mien, talking: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    arguments = ("live", "--source", f"file:{talking}", "--sink", f"file:{output}", "-p", PERSONA)
    assert mien(*arguments).code == 0
    assert len(times_of(output)) > 5


def test_a_set_up_file_sets_options_and_flags_win(
    mien: Mien, talking: Path, tmp_path: Path
) -> None:
    report, set_up = tmp_path / "r.json", tmp_path / "show.toml"
    set_up.write_text(
        f'source = "file:{talking.as_posix()}"\nsink = "null"\npersona = "{PERSONA}"\n'
        'guard = "slate"\nlikeness = 0.25\nmax-faces = 2\nbadge = false\nmirror = true\n'
    )
    result = mien("live", "--config", set_up, "--report", report, "--likeness", "0.75")
    assert result.code == 0, result.err
    settings = json.loads(report.read_text())["settings"]
    assert settings["guard"] == "slate"
    assert settings["likeness"] == 0.75
    assert settings["max_faces"] == 2
    assert settings["badge"] is False
    assert settings["mirror"] is True


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        ('gaurd = "blur"', 2, "did you mean 'guard'?"),
        ('guard = "loud"', 2, "guard"),
        ("likeness = 3.0", 2, "likeness"),
        ('badge = "yes"', 2, "badge must be true or false"),
        ("[persona]\nname = 1", 2, "persona must be a text or a number"),
        ("guard = ", 3, "is not TOML"),
    ],
)
def test_a_set_up_file_that_is_wrong_says_where(
    mien: Mien, tmp_path: Path, content: str, code: int, says: str
) -> None:
    set_up = tmp_path / "show.toml"
    set_up.write_text(content)
    result = mien("live", "--config", set_up, "-p", PERSONA, "--sink", "null")
    assert result.code == code
    assert says in result.err
    assert "Traceback" not in result.err


def test_a_missing_camera_and_a_missing_set_up_file(mien: Mien, tmp_path: Path) -> None:
    result = mien("live", "--source", "camera:97", "--sink", "null", "-p", PERSONA)
    assert result.code == 4
    assert len(result.error_lines) == 2
    assert mien("live", "--config", tmp_path / "no.toml", "-p", PERSONA).code == 3


def test_a_path_is_no_live_source(mien: Mien, talking: Path) -> None:
    result = mien("live", "--source", talking, "--sink", "null", "-p", PERSONA)
    assert result.code == 2
    assert "file:" in result.err
