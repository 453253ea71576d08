"""What goes over the wire: one packet a picture, the right colours, rates by size."""

from __future__ import annotations

import av
import numpy as np
import pytest

from mien.types import U8Array
from mien_streamer.webrtc.encoding import (
    CODECS,
    CodecName,
    VideoEncoder,
    WireConverter,
    bit_rates,
    picture_from_bgr,
)
from mien_streamer.webrtc.jitter import is_keyframe

DECODERS = {"H264": "h264", "VP8": "libvpx"}


def noisy(seed: int, size: tuple[int, int] = (360, 640)) -> U8Array:
    small = np.random.default_rng(seed).integers(40, 215, (9, 16, 3), np.uint8)
    return np.ascontiguousarray(small.repeat(size[0] // 9, 0).repeat(size[1] // 16, 1))


@pytest.mark.parametrize("codec", CODECS)
def test_every_picture_gives_a_packet_at_once(codec: CodecName) -> None:
    encoder = VideoEncoder(codec)
    for index in range(12):
        picture = picture_from_bgr(noisy(index % 3))
        picture.pts = index * 3000
        packets = encoder.encode(picture, keyframe=index == 7)
        assert [packet.pts for packet in packets] == [index * 3000]
        assert packets[0].is_keyframe == is_keyframe(bytes(packets[0])) == (index in (0, 7))


@pytest.mark.parametrize("codec", CODECS)
def test_colours_come_back(codec: CodecName) -> None:
    encoder, decoder = VideoEncoder(codec), av.CodecContext.create(DECODERS[codec], "r")
    sent = noisy(5)
    shown: U8Array | None = None
    for index in range(8):
        picture = picture_from_bgr(sent)
        picture.pts = index * 3000
        for packet in encoder.encode(picture, keyframe=False):
            for decoded in decoder.decode(av.Packet(bytes(packet))):  # type: ignore[attr-defined]
                shown = WireConverter().convert(decoded)
    assert shown is not None
    assert np.abs(shown.astype(int) - sent).mean() < 6
    assert np.abs(shown.mean((0, 1)) - sent.mean((0, 1))).max() < 1.5


def test_odd_sides_lose_their_last_line() -> None:
    picture = picture_from_bgr(np.zeros((181, 321, 3), np.uint8))
    assert (picture.width, picture.height) == (320, 180)


@pytest.mark.parametrize("codec", CODECS)
def test_the_size_may_change(codec: CodecName) -> None:
    encoder = VideoEncoder(codec)
    for index, size in enumerate([(360, 640), (180, 320), (360, 640)]):
        picture = picture_from_bgr(noisy(1, size))
        picture.pts = index * 3000
        [packet] = encoder.encode(picture, keyframe=False)
        assert packet.is_keyframe


def test_rates_grow_with_the_picture_and_follow_the_viewer() -> None:
    ladder = [bit_rates(*size) for size in ((320, 180), (854, 480), (1280, 720), (3840, 2160))]
    assert [rates.start for rates in ladder] == sorted({rates.start for rates in ladder})
    assert all(rates.floor < rates.start < rates.ceiling for rates in ladder)
    encoder = VideoEncoder("H264")
    rates = bit_rates(640, 360)
    for index, (limit, expected) in enumerate(
        [(None, rates.start), (1, rates.floor), (10**9, rates.ceiling), (None, rates.start)]
    ):
        encoder.limit(limit)
        picture = picture_from_bgr(noisy(2))
        picture.pts = index * 3000
        encoder.encode(picture, keyframe=False)
        assert encoder.bit_rate == expected
