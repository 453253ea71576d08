"""``mien swap`` with several inputs: one loop a GPU, and each file on its own."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from mien.errors import DeviceError, UsageError
from mien_streamer.cli import swap as swap_command
from mien_streamer.cli.many_files import Job, ManyFiles, jobs_for
from tests.cli.conftest import PERSONA, Mien, times_of

TWO_S = 2.0


class Run:
    """Plays a file that was swapped."""

    stopped = False

    def tell(self, output: Path) -> int:
        return 0


def jobs(count: int) -> list[Job]:
    return [Job(f"{number}.mp4", Path(f"out/{number}.mp4")) for number in range(count)]


@pytest.mark.usefixtures("home", "quick")
def test_several_files_are_swapped_side_by_side_and_a_bad_one_stops_none(
    mien: Mien, talking: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swap_command, "_loops", lambda device: 2)
    inputs = [tmp_path / name for name in ("a.mp4", "bad.mp4", "b.mkv")]
    for path in inputs:
        path.write_bytes(b"no video" if path.stem == "bad" else talking.read_bytes())
    out, report = tmp_path / "out", tmp_path / "report.json"
    result = mien("swap", *inputs, "-p", PERSONA, "-o", out, "--report", report)
    assert result.code == 3
    assert "bad.mp4" in result.err
    assert "2 of 3 files, 2 at a time" in result.out
    for name in ("a.mp4", "b.mkv"):
        assert len(times_of(out / name)) == 24
        assert f"{out / name}: 24 frames, 24 swapped" in result.out
    assert sorted(path.name for path in out.iterdir()) == ["a.mp4", "b.mkv"]
    found = json.loads(report.read_text())["files"]
    assert {name: one["swapped"] for name, one in found.items()} == {
        str(inputs[0]): 24,
        str(inputs[2]): 24,
    }


@pytest.mark.usefixtures("home", "quick")
def test_several_files_do_not_go_into_one(mien: Mien, talking: Path, tmp_path: Path) -> None:
    result = mien("swap", talking, talking, "-p", PERSONA, "-o", tmp_path / "out.mp4")
    assert result.code == 2
    assert "2 inputs do not go into one file, out.mp4" in result.err
    result = mien("swap", talking, talking, "-p", PERSONA, "-o", tmp_path / "out")
    assert result.code == 2
    assert "would both become talking.mp4" in result.err
    assert not (tmp_path / "out").exists()


def test_a_device_that_is_none_is_wrong_use(mien: Mien, talking: Path, tmp_path: Path) -> None:
    for text in ("cuda:0,x", "cuda:", "all"):
        result = mien("swap", talking, "-p", "ada", "-o", tmp_path / "o.mp4", "--device", text)
        assert result.code == 2
        assert "cuda:all" in result.err


def test_names_are_kept_and_a_stream_gets_one(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    sources = ["x/a.mov", "b.png", str(tmp_path / "frames"), "https://host/live", "c.avi"]
    made = jobs_for(sources, tmp_path / "out")
    assert [job.output.name for job in made] == ["a.mov", "b.png", "frames", "live.mp4", "c.mp4"]


def test_a_file_of_that_name_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(UsageError, match="do not go into one file"):
        jobs_for(["a.mp4", "b.mp4"], tmp_path / "out")


def test_as_many_files_are_under_way_as_there_are_loops() -> None:
    together = threading.Barrier(3)
    inside: list[str] = []

    def swap(job: Job, beside: Any) -> Any:
        inside.append(threading.current_thread().name)
        together.wait(TWO_S)
        return Run()

    many = ManyFiles(jobs(6), swap, 3)
    assert many.run() == 0
    assert len(many.done) == 6
    assert len(set(inside)) == 3


def test_the_first_exit_code_counts_and_the_rest_goes_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def swap(job: Job, beside: Any) -> Any:
        if job.source == "1.mp4":
            raise DeviceError("the card is gone", "use --device cpu")
        return Run()

    many = ManyFiles(jobs(3), swap, 1)
    assert many.run() == 4
    assert sorted(many.done) == ["0.mp4", "2.mp4"]


def test_what_no_file_can_be_blamed_for_ends_all() -> None:
    def swap(job: Job, beside: Any) -> Any:
        raise ZeroDivisionError("a bug")

    many = ManyFiles(jobs(4), swap, 2)
    with pytest.raises(ZeroDivisionError):
        many.run()


def test_ctrl_c_begins_no_further_file() -> None:
    def swap(job: Job, beside: Any) -> Any:
        beside.stop.set()
        return Run()

    many = ManyFiles(jobs(3), swap, 1)
    assert many.run() == 1
    assert list(many.done) == ["0.mp4"]
