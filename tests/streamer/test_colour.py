"""Matrices, ranges, depths and HDR: what comes out is what was meant."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mien_streamer.colour import BgrConverter, _pq_nits, bt709_from_wide, yuv420_bt709_from_bgr
from mien_streamer.sources import open_source
from tests.streamer.media import U8Array, make_video

PQ, HLG = 16, 18
COLOURS = ((30, 60, 200), (200, 120, 40), (90, 180, 90), (128, 128, 128), (235, 235, 235))
PATCH = 48


def patches(index: int, width: int, height: int) -> U8Array:
    """Flat patches of known BGR side by side."""
    return np.repeat(np.repeat(np.array([COLOURS], np.uint8), PATCH, 1), PATCH, 0)


def patch_colours(path: Path) -> U8Array:
    """The colour in the middle of each patch of a file's first picture."""
    with open_source(str(path)) as source:
        picture = next(iter(source.frames())).bgr
    return picture[PATCH // 2, PATCH // 2 :: PATCH]


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le"])
@pytest.mark.parametrize(
    ("matrix", "tag"), [("ITU709", 1), ("ITU601", 5), ("ITU601", 6)], ids=["709", "601", "170M"]
)
@pytest.mark.parametrize("color_range", [1, 2], ids=["limited", "full"])
def test_every_matrix_range_and_depth_comes_out_right(
    tmp_path: Path, pix_fmt: str, matrix: str, tag: int, color_range: int
) -> None:
    path = make_video(
        tmp_path / "in.mkv",
        ticks=(0,),
        size=(PATCH * len(COLOURS), PATCH),
        pix_fmt=pix_fmt,
        codec="ffv1",
        tags={"colorspace": tag, "color_range": color_range},
        picture=patches,
        matrix=matrix,
    )
    # FFmpeg's own converter, which made the file, cuts off instead of rounding: 3 levels.
    assert np.abs(patch_colours(path).astype(int) - COLOURS).max() <= 3


@pytest.mark.parametrize(("width", "matrix"), [(1280, "ITU709"), (240, "ITU601")])
def test_untagged_video_goes_by_its_size(tmp_path: Path, width: int, matrix: str) -> None:
    def tiled(index: int, width: int, height: int) -> U8Array:
        return np.resize(patches(index, 0, 0), (height, width, 3)) if width == 240 else _wide(width)

    def _wide(width: int) -> U8Array:
        picture = np.zeros((PATCH, width, 3), np.uint8)
        picture[:, : PATCH * len(COLOURS)] = patches(0, 0, 0)
        return picture

    path = make_video(
        tmp_path / "in.mkv",
        ticks=(0,),
        size=(width, PATCH),
        codec="ffv1",
        picture=tiled,
        matrix=matrix,
        tags={"color_range": 1},
    )
    got = patch_colours(path)[: len(COLOURS)]
    assert np.abs(got.astype(int) - COLOURS).max() <= 3


@pytest.mark.parametrize("pix_fmt", ["gray", "gray10le", "bgr0", "gbrp10le", "bgra"])
def test_grey_and_rgb_video_is_read(tmp_path: Path, pix_fmt: str) -> None:
    path = tmp_path / "in.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = PATCH * len(COLOURS), PATCH, pix_fmt
        frame = av.VideoFrame.from_ndarray(patches(0, 0, 0), format="bgr24")
        container.mux(stream.encode(frame.reformat(format=pix_fmt)))
        container.mux(stream.encode(None))
    got = patch_colours(path).astype(int)
    if pix_fmt.startswith("gray"):
        assert np.ptp(got, axis=1).max() <= 1
        assert np.abs(got[3:] - np.array(COLOURS)[3:]).max() <= 3
    else:
        assert np.abs(got - COLOURS).max() <= 1


def test_a_round_trip_through_the_encoder_picture_keeps_the_brightness() -> None:
    rng = np.random.default_rng(0)
    picture = np.repeat(np.repeat(rng.integers(0, 256, (20, 30, 3), np.uint8), 4, 0), 4, 1)
    encoded = yuv420_bt709_from_bgr(picture)
    assert (encoded.colorspace, encoded.color_range) == (1, 1)
    back = BgrConverter().convert(encoded)
    error = back.astype(int) - picture
    assert np.abs(error).max() <= 3
    assert np.abs(error.mean(axis=(0, 1))).max() < 0.1


def encode_pq(nits: float) -> float:
    """SMPTE ST 2084, the other way round."""
    y = (nits / 10_000) ** (2610 / 16384)
    c1, c2, c3 = 3424 / 4096, 2413 / 128, 2392 / 128
    return float(((c1 + c2 * y) / (1 + c3 * y)) ** (2523 / 32))


def hdr_clip(path: Path, curve: int, code: float, size: int = 64) -> Path:
    """A 10-bit BT.2020 clip of one grey, or a ramp up to it."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx265", rate=25, options={"x265-params": "log-level=none"})
        stream.width, stream.height, stream.pix_fmt = size, size, "yuv420p10le"
        coder = stream.codec_context
        coder.colorspace, coder.color_primaries, coder.color_trc = 9, 9, curve
        coder.color_range = 1
        for index in range(3):
            frame = av.VideoFrame(size, size, "yuv420p10le")
            for plane, value in zip(frame.planes, (64 + code * 876, 512, 512), strict=True):
                plane.update(np.full(plane.buffer_size // 2, round(value), "<u2").tobytes())
            frame.pts, frame.time_base = index, Fraction(1, 25)
            frame.colorspace, frame.color_trc, frame.color_primaries = 9, curve, 9
            frame.color_range = 1
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("curve", "name"), [(PQ, "PQ"), (HLG, "HLG")])
def test_hdr_is_tone_mapped_with_one_warning(
    tmp_path: Path, curve: int, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    code = encode_pq(26.0) if curve == PQ else 0.38  # 18 % grey under a 203-nit white, about
    path = hdr_clip(tmp_path / "in.mp4", curve, code)
    with caplog.at_level(logging.WARNING), open_source(str(path)) as source:
        frames = list(source.frames())
    assert len(frames) == 3
    grey = frames[1].bgr.reshape(-1, 3)
    assert np.ptp(grey.mean(axis=0)) < 2
    # Mid grey of SDR: 255 * (26 / 203) ** (1 / 2.4) is 108.
    assert grey.mean() == pytest.approx(108, abs=6)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"HDR video ({name})" in caplog.text


@pytest.mark.parametrize("curve", [PQ, HLG, 1])
def test_tone_mapping_is_monotonic_and_spans_black_to_white(curve: int) -> None:
    code = np.linspace(0, 1, 400)
    grey = bt709_from_wide(np.repeat(code[:, None], 3, 1), curve)
    assert (np.diff(grey[:, 1]) >= -1e-9).all()
    assert grey[0] == pytest.approx([0, 0, 0], abs=1e-3)
    assert grey[-1] == pytest.approx([1, 1, 1], abs=1e-3)
    assert np.ptp(grey, axis=1).max() < 2e-3  # grey stays grey


def test_pq_values_match_the_standard() -> None:
    """Table values of BT.2408: 203 nits sit at 58 % of PQ, 100 nits at 51 %."""
    assert _pq_nits(np.array([0.5807]))[0] == pytest.approx(203, rel=0.01)
    assert _pq_nits(np.array([0.5081]))[0] == pytest.approx(100, rel=0.01)
