"""Pictures that stay on a card: NVDEC and NVENC are played, with PyAV's own names.

A played card's memory is the host's; every copy is checked against what is allocated there.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import sys
import types
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from av.codec.hwaccel import HWAccel
from av.video.frame import CudaContext

from mien import _kernels
from mien.errors import GpuLostError, MediaError
from mien.gpu import DeviceArray
from mien.gpu.dlpack import CPU, Lent, borrow, lent
from mien.inference import cuda_driver
from mien_streamer import card_frames, gpu_codecs
from mien_streamer.card_frames import (
    CardPlanes,
    CardReader,
    CardWriter,
    card_codec,
    card_planes_for_sink,
    stays_on_card,
)
from mien_streamer.colour import planes_of
from mien_streamer.sinks import VideoFileSink, VideoOptions
from mien_streamer.sinks import video as video_sink
from mien_streamer.sources import VideoSource
from mien_streamer.sources import video as video_source
from tests.gpu.emulation import EmulatedCuda, LaunchError
from tests.inference.fakes.cuda import FakeContext
from tests.streamer.test_planes import BT601, BT709, read, write

BT709_ONLY: Any = frozenset({"bt709"})
PITCH = 256


class Surface:
    """Plays a decoded picture on a card: what PyAV's ``VideoFrame`` offers of one."""

    def __init__(self, cuda: EmulatedCuda, picture: av.VideoFrame) -> None:
        self.width, self.height = picture.width, picture.height
        self.colorspace, self.color_range = picture.colorspace, picture.color_range
        self.color_trc, self.side_data = picture.color_trc, picture.side_data
        self.pts = picture.pts
        self.format = SimpleNamespace(name="cuda", is_rgb=False)
        self.sw_format: Any = SimpleNamespace(name="nv12")
        y, u, v = planes_of(picture)
        FakeContext.depth += 1  # FFmpeg has the context current by itself
        self.planes = tuple(Lent(_on_card(cuda, plane)) for plane in (y, np.stack([u, v], axis=-1)))
        FakeContext.depth -= 1


def _on_card(cuda: EmulatedCuda, plane: Any) -> DeviceArray:
    memory = cuda.mem_alloc(PITCH * len(plane))
    rows = np.full((len(plane), PITCH), 0xA5, np.uint8)
    rows[:, : plane[0].size] = plane.reshape(len(plane), -1)
    ctypes.memmove(int(memory), rows.ctypes.data, rows.nbytes)
    return DeviceArray(int(memory), plane.shape, np.dtype(np.uint8), PITCH, memory)


class Frames:
    """Plays ``av.VideoFrame`` where it takes arrays on a card; the picture is the host's."""

    @staticmethod
    def from_dlpack(
        planes: Any, format: str = "nv12", *, cuda_context: CudaContext
    ) -> av.VideoFrame:
        assert cuda_context.primary_ctx
        luma, chroma = (borrow(plane) for plane in planes)
        return av.VideoFrame.from_dlpack(
            tuple(Lent(plane, device_type=CPU) for plane in (luma, chroma)), format=format
        )


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatedCuda]:
    """A machine that believes it has two cards; nothing is drawn there."""
    made = EmulatedCuda(None)  # type: ignore[arg-type]
    made.devices = ["Card A", "Card B"]
    package = types.ModuleType("pycuda")
    package.driver = made  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", made)  # type: ignore[arg-type]
    monkeypatch.setattr(cuda_driver, "load_driver", lambda: None)
    played = SimpleNamespace(VideoFrame=Frames, video=av.video)
    monkeypatch.setattr(card_frames, "av", played)
    yield made
    assert FakeContext.depth == 0


@pytest.fixture
def codecs(cuda: EmulatedCuda, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The CPU's codecs play the card's; what they were asked for is written down."""
    asked: list[int] = []
    decode = VideoSource._decode

    def no_hardware(index: int) -> None:
        asked.append(index)

    def on_card(self: VideoSource, *arguments: Any) -> Iterator[Any]:
        for picture in decode(self, *arguments):
            yield Surface(cuda, picture) if self._card is not None else picture

    monkeypatch.setattr(VideoSource, "_decode", on_card)
    for module in (video_source, video_sink):
        monkeypatch.setattr(module, "card_codec", no_hardware)
    monkeypatch.setattr(video_source, "nvdec", lambda: None)
    monkeypatch.setattr(gpu_codecs, "nvenc_refusal", lambda: "")
    for module in (gpu_codecs, video_sink):
        monkeypatch.setattr(module, "NVENC", "libx264")
    monkeypatch.setattr(video_sink, "nvenc_options", lambda crf: {"qp": "0"})
    return asked


def test_pyav_has_the_names_that_are_used() -> None:
    accel = card_codec(1)
    assert isinstance(accel, HWAccel)
    assert (accel.device_id, accel.is_hw_owned) == (1, True)
    assert accel.options == {"primary_ctx": "1"}
    context = CudaContext(device_id=1, primary_ctx=True)
    assert (context.device_id, context.primary_ctx) == (1, True)
    for name in ("sw_format", "from_dlpack", "planes", "colorspace", "color_range", "color_trc"):
        assert hasattr(av.VideoFrame, name)
    for name in ("__dlpack__", "__dlpack_device__"):
        assert hasattr(av.video.plane.VideoPlane, name)
    with av.open("nowhere", "w", format="null") as container:
        container.add_stream("libx264", rate=25, hwaccel=None).pix_fmt = "nv12"


def test_a_picture_goes_through_and_only_what_was_painted_goes_up(
    cuda: EmulatedCuda, codecs: list[int], tmp_path: Path
) -> None:
    clip, out = write(tmp_path / "in.mp4", BT709), tmp_path / "out.mp4"
    box = (11, 9, 30, 27)
    options = VideoOptions(codecs="gpu", card=1)
    pixels = []
    source = VideoSource(str(clip), codecs="gpu", planes=BT709_ONLY, card=1)
    cuda.trace.clear()
    with source, VideoFileSink(out, source.info, options=options) as sink:
        for frame in source.frames():
            frame.bgr[box[1] : box[3], box[0] : box[2]] = (10, 200, 90)
            assert frame.decoded is not None
            frame.decoded.write_back([box])
            pixels.append(frame.bgr)
            sink.write(replace(frame, planes=frame.decoded))
    assert codecs == [1, 1]
    assert sink.encoder == "libx264"
    came, kept = read(clip), read(out)
    assert len(came) == len(kept) == 4
    x0, y0, x1, y1 = 10, 8, 30, 28
    for before, after, bgr in zip(came, kept, pixels, strict=True):
        full = [np.empty_like(plane) for plane in before]
        _kernels.bgr_to_i420(bgr, *full, "bt709")
        for plane, (one, other, whole) in enumerate(zip(before, after, full, strict=True)):
            step = 1 if plane == 0 else 2
            part = slice(y0 // step, y1 // step), slice(x0 // step, x1 // step)
            assert np.array_equal(other[part], whole[part])
            rest = other.copy()
            rest[part] = one[part]
            assert np.array_equal(rest, one)
    calls = [call for call, _ in cuda.trace]
    assert [calls.count(name) for name in ("dtod", "dtoh", "htod2d", "htod")] == [8, 8, 8, 0]
    up = sum(size for call, size in cuda.trace if call == "htod2d")
    assert up == 4 * 20 * 20 * 3 // 2
    gc.collect()
    assert lent() == 0


def test_a_picture_that_was_guarded_goes_by_its_pixels(
    cuda: EmulatedCuda, codecs: list[int], tmp_path: Path
) -> None:
    clip, out = write(tmp_path / "in.mp4", BT709), tmp_path / "out.mp4"
    source = VideoSource(str(clip), codecs="auto", planes=BT709_ONLY, card=0)
    options = VideoOptions(codecs="auto", card=0)
    with source, VideoFileSink(out, source.info, options=options) as sink:
        for frame in source.frames():
            frame.bgr[:] = 77  # as a blur does, and nobody says where
            assert card_planes_for_sink(frame, "bt709") is None
            sink.write(frame)
    assert all(np.ptp(plane) == 0 for planes in read(out) for plane in planes)


def test_pictures_live_as_long_as_an_encoder_holds_them(cuda: EmulatedCuda, tmp_path: Path) -> None:
    before = lent()
    with av.open(str(write(tmp_path / "in.mp4", BT709))) as container:
        [first, second, *_] = container.decode(video=0)
        reader, writer = CardReader(0), CardWriter(0)
        held = writer.picture(reader.take(Surface(cuda, first)))  # type: ignore[arg-type]
        other = writer.picture(reader.take(Surface(cuda, second)))  # type: ignore[arg-type]
        gc.collect()
        # The memory of the first was not given to the second.
        for picture, decoded in ((held, first), (other, second)):
            luma = np.frombuffer(memoryview(picture.planes[0]), np.uint8).reshape(48, PITCH)
            assert np.array_equal(luma[:, :64], planes_of(decoded)[0])
            del luma
        del held, other, picture
        gc.collect()
        assert lent() == before
        taken = cuda.count("mem_alloc")
        reader.take(Surface(cuda, first))  # type: ignore[arg-type]
        # Two for the played surface, and none for the copy of it.
        assert cuda.count("mem_alloc") == taken + 2
        writer.close()
        reader.close()


@pytest.mark.parametrize(
    ("change", "value"),
    [("sw_format", SimpleNamespace(name="p010le")), ("color_range", 2), ("width", 63)],
)
def test_other_surfaces_come_to_the_host(cuda: EmulatedCuda, change: str, value: Any) -> None:
    surface: Any = Surface(cuda, av.VideoFrame(64, 48, "yuv420p"))
    surface.colorspace = BT709
    assert stays_on_card(surface, BT709_ONLY)
    setattr(surface, change, value)
    assert not stays_on_card(surface, BT709_ONLY)


def test_a_clip_of_another_matrix_is_decoded_to_the_host(
    cuda: EmulatedCuda, codecs: list[int], tmp_path: Path
) -> None:
    clip = write(tmp_path / "in.mp4", BT601)
    with VideoSource(str(clip), codecs="gpu", planes=BT709_ONLY, card=0) as source:
        frames = list(source.frames())
    assert len(frames) == 4
    assert all(frame.decoded is None for frame in frames)
    assert codecs == [0]


def test_a_card_that_cannot_be_opened_leaves_the_way_over_the_host(
    cuda: EmulatedCuda,
    codecs: list[int],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    cuda.capability = (7, 0)
    clip = write(tmp_path / "in.mp4", BT709)
    with (
        caplog.at_level(logging.WARNING),
        VideoSource(str(clip), codecs="auto", planes=BT709_ONLY, card=0) as source,
    ):
        assert len(list(source.frames())) == 4
    assert caplog.text.count("decoded pictures do not stay on the card") == 1
    assert "compute capability 7.0" in caplog.text


def test_a_card_that_is_lost_ends_the_clip_with_what_could_be_read(
    cuda: EmulatedCuda, codecs: list[int], tmp_path: Path
) -> None:
    clip = write(tmp_path / "in.mp4", BT709)
    source = VideoSource(str(clip), codecs="gpu", planes=BT709_ONLY, card=0)
    frames = source.frames()
    next(frames)
    cuda.fail["wait"] = LaunchError("cuStreamSynchronize failed: unspecified launch failure")
    with pytest.raises(GpuLostError, match="Card A failed while taking a decoded picture"):
        next(frames)
    cuda.fail.clear()
    source.close()


def test_a_format_that_changes_in_the_middle_is_named(
    cuda: EmulatedCuda, codecs: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write(tmp_path / "in.mp4", BT709)
    with VideoSource(str(clip), codecs="gpu", planes=BT709_ONLY, card=0) as source:
        frames = source.frames()
        next(frames)
        monkeypatch.setattr(video_source, "stays_on_card", lambda *_: False)
        with pytest.raises(MediaError, match="changes its format in the middle"):
            next(frames)


def test_planes_on_a_card_belong_to_the_pixels_that_were_made_of_them(
    cuda: EmulatedCuda, codecs: list[int], tmp_path: Path
) -> None:
    clip = write(tmp_path / "in.mp4", BT709)
    with VideoSource(str(clip), codecs="gpu", planes=BT709_ONLY, card=0) as source:
        frame = next(source.frames())
        whole = replace(frame, planes=frame.decoded)
        assert isinstance(card_planes_for_sink(whole, "bt709"), CardPlanes)
        assert card_planes_for_sink(whole, "bt601") is None
        assert card_planes_for_sink(replace(whole, bgr=frame.bgr.copy()), "bt709") is None


@pytest.mark.parametrize(
    ("codecs_asked", "device", "turn", "card"),
    [
        ("cpu", "auto", 0, None),
        ("auto", "auto", 0, 0),
        ("auto", "cpu", 1, 0),
        ("gpu", "cuda:1", 1, 1),
        ("gpu", "cuda:1,0", 0, 1),
        ("gpu", "cuda:all", 3, 1),
    ],
)
def test_loops_side_by_side_have_a_card_each(
    cuda: EmulatedCuda,
    codecs: list[int],
    codecs_asked: Any,
    device: str,
    turn: int,
    card: int | None,
) -> None:
    assert gpu_codecs.card_for(codecs_asked, device, turn) == card
    cuda.devices = []
    assert gpu_codecs.card_for(codecs_asked, device, turn) is None
