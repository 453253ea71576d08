"""4:2:0 planes from a decoder to a sink, past the pixels."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from mien import _kernels
from mien.planes import Planes, as_it_came, planes_for_sink
from mien.types import Frame, U8Array
from mien_streamer.colour import picture_of_planes, planes_of
from mien_streamer.geometry import Geometry, with_geometry
from mien_streamer.sinks import VideoFileSink, VideoOptions, planes_taken
from mien_streamer.sources import VideoSource
from mien_streamer.sources.paced import PacedSource

BT709, BT601 = 1, 6
BOTH: Any = frozenset({"bt709", "bt601"})


def write(path: Path, colorspace: int, pictures: int = 4, **tags: int) -> Path:
    """A lossless clip of noise; every sample of it comes back as it was written."""
    rng = np.random.default_rng(1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.colorspace = colorspace
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        for _ in range(pictures):
            picture = av.VideoFrame(64, 48, "yuv420p")
            for plane in planes_of(picture):
                plane[:] = rng.integers(60, 200, plane.shape, np.uint8)
            picture.colorspace = colorspace
            for name, value in tags.items():
                setattr(picture, name, value)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def read(path: Path) -> list[list[U8Array]]:
    with av.open(str(path)) as container:
        return [[plane.copy() for plane in planes_of(p)] for p in container.decode(video=0)]


def test_a_file_keeps_what_nobody_painted_to_the_last_bit(tmp_path: Path) -> None:
    clip = write(tmp_path / "in.mp4", BT709)
    lossless = VideoOptions(crf=0.0)
    for name, planes in (("by-planes.mp4", BOTH), ("by-pixels.mp4", frozenset())):
        with (
            VideoSource(str(clip), planes=planes) as source,
            VideoFileSink(tmp_path / name, source.info, options=lossless) as sink,
        ):
            for frame in source.frames():
                sink.write(as_it_came(frame))
    came, kept, twice = (read(tmp_path / n) for n in ("in.mp4", "by-planes.mp4", "by-pixels.mp4"))
    assert len(came) == len(kept) == len(twice) == 4
    for before, one, other in zip(came, kept, twice, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(before, one, strict=True))
        assert not all(np.array_equal(a, b) for a, b in zip(before, other, strict=True))
    with av.open(str(tmp_path / "by-planes.mp4")) as container:
        assert next(container.decode(video=0)).colorspace == BT709


def test_the_pixels_are_the_same_with_and_without_planes(tmp_path: Path) -> None:
    clip = write(tmp_path / "in.mp4", BT601)
    with VideoSource(str(clip), planes=BOTH) as one, VideoSource(str(clip)) as other:
        for kept, plain in zip(one.frames(), other.frames(), strict=True):
            assert np.array_equal(kept.bgr, plain.bgr)
            assert plain.decoded is None
            assert kept.decoded is not None
            assert kept.decoded.matrix == "bt601"
            assert kept.decoded.bgr is kept.bgr


def test_planes_are_copies_that_a_decoder_does_not_look_at(tmp_path: Path) -> None:
    clip = write(tmp_path / "in.mp4", BT709)
    expected = read(clip)
    with VideoSource(str(clip), planes=BOTH) as source:
        for frame, came in zip(source.frames(), expected, strict=True):
            assert frame.decoded is not None
            assert np.array_equal(frame.decoded.y, came[0])
            frame.decoded.y[:] = 0  # a picture that others are predicted from
            frame.decoded.u[:] = 0


@pytest.mark.parametrize(
    ("tags", "wanted"),
    [
        ({"colorspace": BT601}, frozenset({"bt709"})),  # the sink takes another matrix
        ({"colorspace": BT709, "color_range": 2}, BOTH),  # full range
    ],
)
def test_other_pictures_come_without_planes(tmp_path: Path, tags: Any, wanted: Any) -> None:
    clip = write(tmp_path / "in.mp4", **tags)
    with VideoSource(str(clip), planes=wanted) as source:
        assert all(frame.decoded is None for frame in source.frames())


def test_a_picture_that_was_cut_or_turned_goes_by_its_pixels(tmp_path: Path) -> None:
    clip = write(tmp_path / "in.mp4", BT709)
    source = with_geometry(VideoSource(str(clip), planes=BOTH), Geometry(mirror=True))
    with source:
        for frame in source.frames():
            assert planes_for_sink(as_it_came(frame), "bt709") is None


def test_a_file_in_real_time_keeps_its_planes(tmp_path: Path) -> None:
    clip = write(tmp_path / "in.mp4", BT709, pictures=2)
    with PacedSource(VideoSource(str(clip), planes=BOTH)) as source:
        for frame in source.frames():
            assert planes_for_sink(as_it_came(frame), "bt709") is not None


def test_a_file_of_another_matrix_is_converted_as_ever(tmp_path: Path) -> None:
    clip = write(tmp_path / "in.mp4", BT601)
    with VideoSource(str(clip), planes=BOTH) as source:
        frames = list(source.frames())
        info = source.info
    with VideoFileSink(tmp_path / "out.mp4", info, options=VideoOptions(crf=0.0)) as sink:
        for frame in frames:
            sink.write(as_it_came(frame))
    [first, *_] = read(tmp_path / "out.mp4")
    y, u, v = (np.empty_like(plane) for plane in first)
    _kernels.bgr_to_i420(frames[0].bgr, y, u, v, "bt709")
    assert all(np.array_equal(a, b) for a, b in zip(first, (y, u, v), strict=True))


@pytest.mark.parametrize(
    ("spec", "matrices"),
    [
        ("out.mp4", {"bt709"}),
        ("file:x/out.MKV", {"bt709"}),
        ("webrtc", {"bt601"}),
        ("virtualcam", {"bt601"}),
        ("virtualcam:/dev/video9", {"bt601"}),
        ("window", set()),
        ("null", set()),
        ("folder", set()),
        ("out.png", set()),
    ],
)
def test_a_sink_says_which_planes_it_takes(spec: str, matrices: set[str]) -> None:
    assert planes_taken(spec) == matrices


def plain_frame(matrix: Any) -> Frame:
    rng = np.random.default_rng(3)
    y = rng.integers(60, 200, (48, 64), np.uint8)
    u, v = (rng.integers(60, 200, (24, 32), np.uint8) for _ in range(2))
    bgr = np.empty((48, 64, 3), np.uint8)
    _kernels.i420_to_bgr(y, u, v, bgr, matrix)
    planes = Planes(y=y, u=u, v=v, matrix=matrix, bgr=bgr)
    return as_it_came(Frame(index=0, bgr=bgr, capture_ns=0, pts_ns=0, decoded=planes))


def test_a_virtual_camera_is_sent_the_planes() -> None:
    from mien_streamer.sinks.virtual_camera import VirtualCameraSink

    sink = VirtualCameraSink.__new__(VirtualCameraSink)
    sink._planar, sink._planes = True, np.empty((72, 64), np.uint8)
    frame = plain_frame("bt601")
    sent = sink._packed(frame, frame.bgr)
    assert frame.decoded is not None
    flat = np.concatenate([p.ravel() for p in (frame.decoded.y, frame.decoded.u, frame.decoded.v)])
    assert np.array_equal(sent.ravel(), flat)
    other = plain_frame("bt709")
    assert not np.array_equal(sink._packed(other, other.bgr)[:48], other.decoded.y)  # type: ignore[union-attr]


def test_viewers_are_sent_the_planes() -> None:
    pytest.importorskip("aiortc", reason="the extra 'webrtc' is not installed")
    from mien_streamer.webrtc.encoding import WireConverter, picture_from_bgr, picture_of_frame

    frame = plain_frame("bt601")
    assert frame.decoded is not None
    by_planes, by_pixels = picture_of_frame(frame), picture_from_bgr(frame.bgr)
    assert np.array_equal(planes_of(by_planes)[1], frame.decoded.u)
    assert not np.array_equal(planes_of(by_pixels)[1], frame.decoded.u)
    for tag in ("colorspace", "color_range", "color_trc", "color_primaries"):
        assert getattr(by_planes, tag) == getattr(by_pixels, tag)
    # And what a browser sends comes with them.
    converter = WireConverter()
    wire = picture_of_planes(frame.decoded)
    bgr = converter.convert(wire)
    kept = converter.planes(wire, bgr)
    assert kept is not None
    assert np.array_equal(bgr, frame.bgr)
    assert np.array_equal(kept.v, frame.decoded.v)
    assert converter.planes(av.VideoFrame(63, 48, "yuv420p"), bgr) is None
    assert Fraction(wire.width, wire.height) == Fraction(4, 3)
