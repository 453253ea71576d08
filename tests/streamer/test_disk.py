"""Full disks and folders that may not be written."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mien.errors import OutputError
from mien_streamer.loop import run_offline
from mien_streamer.sinks import ImageFolderSink, VideoFileSink, VideoOptions, open_sink
from mien_streamer.sinks.partial import PartialFile, write_error
from tests.streamer.media import MadeSource, passing


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB; needs the right to mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    may = sys.platform == "linux" and os.geteuid() == 0
    if not may or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("no right to mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


class Noise(MadeSource):
    """Frames that do not compress."""

    def frame(self, index: int):  # type: ignore[no-untyped-def]
        frame = super().frame(index)
        frame.bgr[:] = np.random.default_rng(index).integers(0, 256, frame.bgr.shape, np.uint8)
        return frame


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.png", "frames"])
@pytest.mark.parametrize("size", [(320, 240), (64, 48)], ids=["soon", "late"])
def test_a_full_disk_is_one_clear_line_and_leaves_nothing(
    small_disk: Path, name: str, size: tuple[int, int]
) -> None:
    if name == "out.png" and size == (64, 48):
        pytest.skip("one small picture fits")
    source = Noise(40, size=size)
    sink = open_sink(str(small_disk / name), source.info, video=VideoOptions(crf=10))
    with pytest.raises(OutputError, match="disk is full") as caught:
        run_offline(source, passing, sink)
    assert caught.value.exit_code == 1
    assert "\n" not in caught.value.what
    assert list(small_disk.iterdir()) == []


def test_a_full_disk_keeps_the_earlier_file(small_disk: Path) -> None:
    target = small_disk / "out.mp4"
    target.write_bytes(b"precious")
    source = Noise(40, size=(320, 240))
    with pytest.raises(OutputError, match="disk is full"):
        run_offline(source, passing, open_sink(str(target), source.info))
    assert target.read_bytes() == b"precious"


def _refuse(*_: object, **__: object) -> None:
    raise PermissionError(errno.EACCES, "Permission denied")


@pytest.mark.parametrize("name", ["out.mp4", "out.png"])
def test_a_folder_that_may_not_be_written_is_said_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(Path, "touch", _refuse)
    with pytest.raises(OutputError, match="may not be written") as caught:
        open_sink(str(tmp_path / name), MadeSource(1).info)
    assert caught.value.hint


def test_an_image_folder_that_may_not_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "mkdir", _refuse)
    with pytest.raises(OutputError, match="may not be written"):
        ImageFolderSink(tmp_path / "frames", MadeSource(1).info)


def test_a_failed_rename_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = MadeSource(3, size=(64, 48))
    sink = VideoFileSink(tmp_path / "out.mp4", source.info)
    for frame in source.frames():
        sink.write(frame)
    monkeypatch.setattr(os, "replace", _refuse)
    with pytest.raises(OutputError, match="may not be written"):
        sink.close()
    assert list(tmp_path.iterdir()) == []


def test_writing_errors_name_the_cause() -> None:
    full = write_error(Path("a.mp4"), OSError(errno.ENOSPC, "No space left on device"))
    assert "disk is full" in full.what
    other = write_error(Path("a.mp4"), OSError(errno.EIO, "Input/output error"))
    assert "Input/output error" in other.what


def test_the_unfinished_file_is_hidden_and_lies_in_the_same_folder(tmp_path: Path) -> None:
    part = PartialFile(tmp_path / "out.mp4")
    assert part.path.parent == tmp_path
    assert part.path.name.startswith(".")
    assert part.path.suffix == ".mp4"
    part.discard()
    part.discard()
    assert list(tmp_path.iterdir()) == []
