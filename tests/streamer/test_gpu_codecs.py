"""NVDEC and NVENC: taken where they open, a clear line where they do not.

A GPU's codecs are played by the CPU's; that they do not open is true of machines without one.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from mien.errors import DeviceError, MediaError
from mien_streamer import gpu_codecs
from mien_streamer.sinks import VideoFileSink, VideoOptions
from mien_streamer.sinks import video as video_sink
from mien_streamer.sources import VideoSource
from mien_streamer.sources import video as video_source
from tests.streamer.media import make_video


def no_gpu(*_: Any, **__: Any) -> Any:
    raise av.error.PermissionError(1, "Operation not permitted")


def write(source: VideoSource, target: Path, **settings: Any) -> VideoFileSink:
    with VideoFileSink(target, source.info, options=VideoOptions(**settings)) as sink:
        for frame in source.frames():
            sink.write(frame)
    return sink


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_video(tmp_path / "in.mp4", ticks=range(0, 6 * 512, 512))


def test_an_encoder_that_does_not_open_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_codecs.av, "codecs_available", {"libx264"})
    assert gpu_codecs.nvenc_refusal() == "this PyAV has no NVENC"


def test_an_encoder_without_a_card_behind_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Registry:
        codecs_available = frozenset({"h264_nvenc"})
        CodecContext = type("CodecContext", (), {"create": staticmethod(no_gpu)})
        error, logging, VideoFrame = av.error, av.logging, av.VideoFrame

    monkeypatch.setattr(gpu_codecs, "av", Registry)
    assert gpu_codecs.nvenc_refusal() == "NVENC does not open (Operation not permitted)"


def test_auto_encodes_on_the_cpu_and_says_why(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gpu_codecs, "nvenc_refusal", lambda: "NVENC does not open (no card)")
    with caplog.at_level(logging.WARNING), VideoSource(str(clip)) as source:
        sink = write(source, tmp_path / "out.mp4", codecs="auto")
    assert sink.encoder == "libx264"
    assert caplog.text.count("NVENC does not open (no card); videos are encoded on the CPU") == 1


def test_an_encoder_that_was_asked_for_is_never_replaced_silently(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_codecs, "nvenc_refusal", lambda: "NVENC does not open (no card)")
    with VideoSource(str(clip)) as source, pytest.raises(DeviceError, match="NVENC") as caught:
        write(source, tmp_path / "out.mp4", codecs="gpu")
    assert "--codecs auto" in caught.value.hint
    assert not (tmp_path / "out.mp4").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_an_encoder_that_opens_is_taken_with_its_own_options(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def options(crf: float) -> dict[str, str]:
        asked.append(crf)
        return {"qscale": "3"}

    monkeypatch.setattr(gpu_codecs, "nvenc_refusal", lambda: "")
    for module in (gpu_codecs, video_sink):
        monkeypatch.setattr(module, "NVENC", "mpeg4")
    monkeypatch.setattr(video_sink, "nvenc_options", options)
    with VideoSource(str(clip)) as source:
        sink = write(source, tmp_path / "out.mp4", codecs="auto", crf=21.0)
    assert (sink.encoder, asked) == ("mpeg4", [21.0])
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "mpeg4"
        assert sum(1 for _ in container.decode(video=0)) == 6


def test_a_decoder_that_does_not_open_leaves_the_cpu_and_says_so_once(
    clip: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with VideoSource(str(clip)) as source:
        expected = [frame.bgr for frame in source.frames()]
    monkeypatch.setattr(video_source, "nvdec", no_gpu)
    with caplog.at_level(logging.WARNING), VideoSource(str(clip), codecs="auto") as source:
        for _ in range(2):  # the second time the file is opened anew
            for frame, picture in zip(source.frames(), expected, strict=True):
                assert np.array_equal(frame.bgr, picture)
    assert caplog.text.count("NVDEC does not open (Operation not permitted)") == 1
    with pytest.raises(DeviceError, match="NVDEC does not open"):
        VideoSource(str(clip), codecs="gpu")


def test_a_decoder_that_opens_is_taken(
    clip: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[int] = []

    def played(index: int = 0) -> None:
        asked.append(index)

    monkeypatch.setattr(video_source, "nvdec", played)
    with VideoSource(str(clip), codecs="gpu") as source:
        assert sum(1 for _ in source.frames()) == 6
    assert asked == [0]
    assert not caplog.text


def test_a_decoder_that_gives_no_picture_leaves_the_cpu(
    clip: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    begin, given = VideoSource._begin, []

    def nothing_at_first(self: VideoSource, container: Any) -> Any:
        head = begin(self, container)
        given.append(head)
        return None if len(given) == 1 else head

    monkeypatch.setattr(video_source, "nvdec", lambda: None)
    monkeypatch.setattr(VideoSource, "_begin", nothing_at_first)
    with caplog.at_level(logging.WARNING), VideoSource(str(clip), codecs="auto") as source:
        assert sum(1 for _ in source.frames()) == 6
    assert "NVDEC does not open (it gives no picture)" in caplog.text


@pytest.mark.parametrize("codecs", ["auto", "gpu"])
def test_a_bad_file_is_no_fault_of_the_gpu(
    codecs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(video_source, "nvdec", no_gpu)
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video at all")
    with pytest.raises(MediaError, match="is not a video"):
        VideoSource(str(bad), codecs=codecs)
    assert "NVDEC" not in caplog.text


def test_whatever_this_machine_has_the_pictures_are_the_same(clip: Path, tmp_path: Path) -> None:
    with VideoSource(str(clip)) as source:
        expected = [frame.bgr for frame in source.frames()]
    with VideoSource(str(clip), codecs="auto") as source:
        sink = write(source, tmp_path / "out.mp4", codecs="auto")
        for frame, picture in zip(source.frames(), expected, strict=True):
            assert np.array_equal(frame.bgr, picture)  # H.264 is decoded alike everywhere
    assert sink.encoder == ("h264_nvenc" if not gpu_codecs.nvenc_refusal() else "libx264")
