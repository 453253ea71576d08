"""Video encoders for the wire: one picture in, one packet out, nothing held back."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Literal

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream

from mien.planes import Planes, planes_for_sink
from mien.types import Frame, U8Array
from mien.yuv import Matrix, bgr_from_i420, i420_from_bgr
from mien_streamer.colour import BgrConverter, kept_planes, picture_of_planes, planes_of

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    VideoPacket = av.Packet[VideoStream]
else:  # the class takes no parameters when the program runs
    VideoPacket = av.Packet

CodecName = Literal["H264", "VP8"]
CODECS: tuple[CodecName, ...] = ("H264", "VP8")
"""In order of preference: x264's ultrafast takes a third of the time of libvpx at 720p."""

PLANES: Matrix = "bt601"
"""4:2:0 planes that go out as they are: what browsers assume."""
VIDEO_TIME_BASE = Fraction(1, 90_000)
_LONG_GOP = 600
"""Key frames are sent when asked for; this many frames apart otherwise."""
_NVENC_OPTIONS = {"preset": "p1", "tune": "ull", "zerolatency": "1", "delay": "0", "rc": "cbr"}
_X264_OPTIONS = {"preset": "ultrafast", "tune": "zerolatency", "forced-idr": "1"}
_VP8_OPTIONS = {
    "cpu-used": "-8",
    "deadline": "realtime",
    "lag-in-frames": "0",
    "error-resilient": "1",
    "static-thresh": "1",
    "undershoot-pct": "100",
    "overshoot-pct": "15",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BitRates:
    """What a picture of one size may cost, bits per second."""

    floor: int
    start: int
    ceiling: int


# By eye on talking heads with x264 ultrafast; aiortc's own limits end at 3 Mb/s (H.264) and
# 1.5 Mb/s (VP8), which smears 720p.
_LADDER: tuple[tuple[int, BitRates], ...] = (
    (640 * 360, BitRates(floor=300_000, start=1_000_000, ceiling=2_000_000)),
    (854 * 480, BitRates(floor=500_000, start=1_800_000, ceiling=3_500_000)),
    (1280 * 720, BitRates(floor=1_200_000, start=4_000_000, ceiling=8_000_000)),
    (1920 * 1080, BitRates(floor=2_500_000, start=8_000_000, ceiling=14_000_000)),
)


def bit_rates(width: int, height: int) -> BitRates:
    """Limits for a size; larger ones than 1080p get those of 1080p."""
    return next((rates for pixels, rates in _LADDER if width * height <= pixels), _LADDER[-1][1])


def picture_from_bgr(frame_bgr: U8Array) -> av.VideoFrame:
    """An encoder picture: yuv420p, BT.601 (what browsers assume), limited range, even sides."""
    height, width = (side & ~1 for side in frame_bgr.shape[:2])
    picture = av.VideoFrame(width, height, "yuv420p")
    i420_from_bgr(frame_bgr[:height, :width], planes_of(picture), PLANES)
    _tag_bt601(picture)
    return picture


def picture_of_frame(frame: Frame) -> av.VideoFrame:
    """The frame's own planes where they are BT.601, else its pixels, converted."""
    planes = planes_for_sink(frame, PLANES)
    if planes is None:
        return picture_from_bgr(frame.bgr)
    picture = picture_of_planes(planes)
    _tag_bt601(picture)
    return picture


def _tag_bt601(picture: av.VideoFrame) -> None:
    picture.colorspace = int(Colorspace.SMPTE170M)
    picture.color_primaries = int(ColorPrimaries.SMPTE170M)
    picture.color_trc = int(ColorTrc.SMPTE170M)
    picture.color_range = int(ColorRange.MPEG)


class WireConverter:
    """Decoded pictures of a peer to BGR; untagged ones are BT.601, as browsers make them."""

    def __init__(self) -> None:
        self._general = BgrConverter()

    def convert(self, picture: av.VideoFrame) -> U8Array:
        """(H, W, 3) uint8 BGR, a fresh array."""
        if _is_as_browsers_send(picture):
            return bgr_from_i420(planes_of(picture), "bt601")
        return self._general.convert(picture)

    def planes(self, picture: av.VideoFrame, bgr: U8Array) -> Planes | None:
        """The picture's own planes for whoever watches, where they are as browsers send them.

        Args:
            picture: as decoded.
            bgr: what :meth:`convert` made of it.
        """
        even = picture.width % 2 == 0 and picture.height % 2 == 0
        if not even or not _is_as_browsers_send(picture):
            return None
        return kept_planes(picture, bgr, PLANES)


def _is_as_browsers_send(picture: av.VideoFrame) -> bool:
    untagged = picture.colorspace in (0, 2, 5, 6)
    limited = picture.color_range in (0, int(ColorRange.MPEG))
    return picture.format.name == "yuv420p" and untagged and limited


class VideoEncoder:
    """One codec's encoder; one thread. Adapts itself to the size of what comes."""

    def __init__(self, codec: CodecName) -> None:
        self.codec = codec
        self._context: VideoCodecContext | None = None
        self._limit: int | None = None
        self._rate = 0
        self.implementation = ""

    @property
    def bit_rate(self) -> int:
        """Bits per second in use; 0 before the first picture."""
        return self._rate

    def limit(self, bits_per_s: int | None) -> None:
        """The most that the viewers' paths carry; None lifts it."""
        self._limit = bits_per_s

    def encode(self, picture: av.VideoFrame, *, keyframe: bool) -> list[VideoPacket]:
        """Packets of one picture, whose ``pts`` is in :data:`VIDEO_TIME_BASE`."""
        rates = bit_rates(picture.width, picture.height)
        wanted = rates.start if self._limit is None else self._limit
        wanted = min(max(wanted, rates.floor), rates.ceiling)
        context = self._context
        stale = context is None or (context.width, context.height) != (
            picture.width,
            picture.height,
        )
        # A new context costs a key frame, so small changes of the rate are left alone.
        if stale or abs(wanted - self._rate) > 0.25 * self._rate:
            self._rate = wanted
            context = self._context = self._open(picture.width, picture.height, wanted)
            keyframe = True
        assert context is not None
        picture.time_base = VIDEO_TIME_BASE
        picture.pict_type = PictureType.I if keyframe else PictureType.NONE
        packets = context.encode(picture)
        for packet in packets:
            packet.time_base = VIDEO_TIME_BASE
        return list(packets)

    def _open(self, width: int, height: int, rate: int) -> VideoCodecContext:
        if self.codec == "VP8":
            self.implementation = "libvpx"
            return _context("libvpx", width, height, rate, _VP8_OPTIONS)
        if nvenc_works():
            self.implementation = "h264_nvenc"
            options = {**_NVENC_OPTIONS, "forced-idr": "1"}
            return _context("h264_nvenc", width, height, rate, options)
        self.implementation = "libx264"
        return _context("libx264", width, height, rate, _X264_OPTIONS)


def _context(
    name: str, width: int, height: int, rate: int, options: dict[str, str]
) -> VideoCodecContext:
    context = av.CodecContext.create(name, "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.bit_rate = rate
    context.time_base = VIDEO_TIME_BASE
    context.framerate = Fraction(30)
    context.gop_size = _LONG_GOP
    context.max_b_frames = 0
    # One thread: frame threads hold pictures back, slice threads cost quality.
    context.thread_count = 1
    # A fifth of a second of buffer keeps a key frame from clogging the path.
    limits = {"maxrate": str(rate), "bufsize": str(rate // 5)}
    if name == "libvpx":
        limits = {"maxrate": str(rate), "minrate": str(rate), "bufsize": str(rate)}
    elif name == "libx264":
        context.profile = "Baseline"
    else:
        limits["profile"] = "baseline"
    context.colorspace = int(Colorspace.SMPTE170M)
    context.color_primaries = int(ColorPrimaries.SMPTE170M)
    context.color_trc = int(ColorTrc.SMPTE170M)
    context.color_range = int(ColorRange.MPEG)
    context.options = {**options, **limits}
    context.open()
    return context


@cache
def nvenc_works() -> bool:
    """Whether this machine encodes H.264 on its GPU; data centre GPUs often cannot."""
    if "h264_nvenc" not in av.codecs_available:
        return False
    quiet = av.logging.get_level()
    av.logging.set_level(av.logging.PANIC)
    try:
        context = _context("h264_nvenc", 640, 360, 1_000_000, _NVENC_OPTIONS)
        blank = av.VideoFrame(640, 360, "yuv420p")
        blank.pts = 0
        context.encode(blank)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        logger.debug("no NVENC: %s", error)
        return False
    finally:
        av.logging.set_level(quiet)
    return True
