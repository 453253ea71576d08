"""Pictures and folders in and out."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mien.errors import MediaError, OutputError, UsageError
from mien_streamer.loop import run_offline
from mien_streamer.sinks import ImageFolderSink, NullSink, open_sink
from mien_streamer.sources import ImageSource, open_source
from tests.streamer.media import MadeSource, passing, striped, video_times


def folder_of(folder: Path, names: list[str], size: tuple[int, int] = (40, 30)) -> Path:
    folder.mkdir()
    for index, name in enumerate(names):
        cv2.imwrite(str(folder / name), striped(index, *size))
    return folder


def test_a_folder_is_read_in_natural_order_and_written_under_the_same_names(
    tmp_path: Path,
) -> None:
    names = ["shot1.png", "shot2.png", "shot10.png", "Shot20.png"]
    folder = folder_of(tmp_path / "in", names)
    (folder / "notes.txt").write_text("not a picture")
    (folder / ".hidden.png").write_bytes(b"")
    source = open_source(str(folder))
    assert isinstance(source, ImageSource)
    assert [path.name for path in source.paths] == names
    sink = ImageFolderSink(tmp_path / "out", source.info, [path.name for path in source.paths])
    run_offline(source, passing, sink)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names)
    for index, name in enumerate(names):
        assert (cv2.imread(str(tmp_path / "out" / name)) == striped(index, 40, 30)).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_a_folder_becomes_a_video_and_a_video_a_folder(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "in", ["a1.png", "a2.png", "a3.png"])
    source = open_source(str(folder), fps=10)
    run_offline(source, passing, open_sink(str(tmp_path / "out.mp4"), source.info))
    assert [float(time) for time in video_times(tmp_path / "out.mp4")] == [0, 0.1, 0.2]
    back = open_source(str(tmp_path / "out.mp4"))
    run_offline(back, passing, open_sink(str(tmp_path / "frames"), back.info))
    written = sorted(path.name for path in (tmp_path / "frames").iterdir())
    assert written == ["frame_000000.png", "frame_000001.png", "frame_000002.png"]


def test_a_folder_that_exists_keeps_its_other_files_and_survives_an_abort(tmp_path: Path) -> None:
    target = folder_of(tmp_path / "out", ["frame_000000.png", "other.png"])
    before = (target / "frame_000000.png").read_bytes()
    source = MadeSource(3)
    sink = ImageFolderSink(target, source.info)
    for frame in source.frames():
        sink.write(frame)
    sink.abort()
    assert (target / "frame_000000.png").read_bytes() == before
    again = MadeSource(2)
    run_offline(again, passing, ImageFolderSink(target, again.info))
    assert sorted(path.name for path in target.iterdir()) == [
        "frame_000000.png",
        "frame_000001.png",
        "other.png",
    ]
    assert (target / "frame_000000.png").read_bytes() != before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("name", ["cut.png", "cut.webp", "cut.tiff"])
def test_what_was_cut_out_does_not_come_to_light(tmp_path: Path, name: str) -> None:
    """Editors keep the colours of what they make transparent."""
    picture = np.full((30, 40, 4), (200, 100, 50, 255), np.uint8)
    picture[:, :20, 3] = 0
    path = tmp_path / name
    Image.fromarray(picture).save(path, **({"lossless": True} if "webp" in name else {}))
    [frame] = open_source(str(path)).frames()
    assert frame.bgr.shape == (30, 40, 3)
    assert (frame.bgr[:, :20] == 128).all()
    assert (frame.bgr[:, 20:] == (50, 100, 200)).all()


def test_pictures_of_mixed_sizes_are_an_error_naming_both(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "in", ["a1.png", "a2.png"])
    cv2.imwrite(str(folder / "a3.png"), striped(0, 50, 30))
    source = open_source(str(folder))
    stats = run_offline(source, passing, NullSink())
    assert isinstance(stats.error, MediaError)
    assert "a3.png is 50x30, a1.png is 40x30" in stats.error.what


def test_one_picture_in_one_picture_out(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "in.png"), striped(0, 33, 21))
    source = open_source(str(tmp_path / "in.png"))
    assert (source.info.width, source.info.height, source.info.frame_count) == (33, 21, 1)
    run_offline(source, passing, open_sink(str(tmp_path / "out.png"), source.info))
    assert (cv2.imread(str(tmp_path / "out.png")) == striped(0, 33, 21)).all()


def test_an_existing_picture_survives_an_abort(tmp_path: Path) -> None:
    (tmp_path / "out.jpg").write_bytes(b"precious")
    source = MadeSource(1)
    sink = open_sink(str(tmp_path / "out.jpg"), source.info)
    sink.write(source.frame(0))
    sink.abort()
    assert (tmp_path / "out.jpg").read_bytes() == b"precious"
    assert [path.name for path in tmp_path.iterdir()] == ["out.jpg"]


def test_the_input_picture_and_folder_are_never_overwritten(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "in", ["a.png"])
    with open_source(str(folder)) as source, pytest.raises(UsageError, match="same file"):
        open_sink(str(folder), source.info)
    with open_source(str(folder / "a.png")) as source, pytest.raises(UsageError, match="same file"):
        open_sink(str(folder / "a.png"), source.info)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"text, not pixels", "not a picture"),
        (b"\x89PNG\r\n\x1a\nxx", "not a"),
    ],
)
def test_broken_pictures_get_one_clear_line(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "in.png").write_bytes(data)
    with pytest.raises(MediaError, match=said) as caught:
        open_source(str(tmp_path / "in.png"))
    assert caught.value.hint


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff", ".bmp", ".webp"])
def test_grey_deep_and_translucent_pictures_are_read_as_colour(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"in{suffix}"
    cv2.imwrite(str(path), striped(0, 20, 10)[..., 0])
    with open_source(str(path)) as source:
        assert next(iter(source.frames())).bgr.shape == (10, 20, 3)
    if suffix in (".png", ".tiff"):
        cv2.imwrite(str(path), striped(0, 20, 10).astype(np.uint16) * 257)
        with open_source(str(path)) as source:
            assert (next(iter(source.frames())).bgr == striped(0, 20, 10)).all()


def test_missing_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such file or folder"):
        open_source(str(tmp_path / "nowhere"))
    with pytest.raises(MediaError, match="no picture in the folder"):
        open_source(str(tmp_path))


def test_an_animated_gif_is_a_video(tmp_path: Path) -> None:
    path = tmp_path / "in.gif"
    pictures = [Image.fromarray(striped(index, 40, 30)) for index in range(3)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100)
    with open_source(str(path)) as source:
        assert len(list(source.frames())) == 3


def test_no_frames_leave_no_folder(tmp_path: Path) -> None:
    sink = ImageFolderSink(tmp_path / "out", MadeSource(1).info)
    with pytest.raises(OutputError, match="no frame"):
        sink.close()
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="not a folder"):
        ImageFolderSink(tmp_path / "out", MadeSource(1).info)


def test_paths_may_hold_any_letters(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "plain", ["a.png"])
    odd = tmp_path / "Bühne 顔"
    shutil.copytree(folder, odd)
    with open_source(str(odd)) as source:
        run_offline(source, passing, open_sink(str(tmp_path / "aus 顔.mp4"), source.info))
    assert len(video_times(tmp_path / "aus 顔.mp4")) == 1
