"""H.264 files with the input's audio and timestamps."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream

from mien.errors import DeviceError, OutputError, UsageError
from mien.planes import planes_for_sink
from mien.types import Frame, U8Array
from mien.yuv import Matrix
from mien_streamer.card_frames import CardWriter, card_codec, card_planes_for_sink
from mien_streamer.colour import picture_of_planes, tag_bt709, yuv420_bt709_from_bgr
from mien_streamer.gpu_codecs import NVENC, Codecs, choose_encoder, nvenc_options
from mien_streamer.sinks.audio import AudioTracks
from mien_streamer.sinks.partial import PartialFile, refuse_same_file, write_error
from mien_streamer.sinks.sink import ClosingSink
from mien_streamer.sources.source import SourceInfo

logger = logging.getLogger(__name__)

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".ts": "mpegts"}
"""Suffixes written. AVI is left out: it cannot hold a variable frame rate."""
PLANES: Matrix = "bt709"
"""4:2:0 planes that files take as they are."""
FALLBACK_FPS = Fraction(30)
AUDIO_RATE = 48_000
LARGEST_TIMESCALE = 50_000_000
PLAIN_KEYS = {"title", "artist", "album", "comment", "copyright", "description", "date", "genre"}
"""Metadata keys that MP4 has boxes of its own for; others need the free-form table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoOptions:
    """How video files are encoded.

    Attributes:
        crf: x264 quality, 0 (lossless) to 51; 18 is hard to tell from the input.
        preset: x264 speed, ``ultrafast`` to ``veryslow``; ``veryfast`` keeps up with
            720p on two cores.
        audio: carry the input's audio tracks over.
        codecs: where pictures are encoded: ``auto`` takes the GPU where its encoder opens.
        card: number of the GPU that encodes; pictures that lie there stay there.
    """

    crf: float = 18.0
    preset: str = "veryfast"
    audio: bool = True
    codecs: Codecs = "cpu"
    card: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.crf <= 51.0:
            raise ValueError(f"crf must lie in 0..51, got {self.crf}")


class VideoFileSink(ClosingSink):
    """Writes H.264, yuv420p, BT.709 under a temporary name and renames it on success.

    Odd widths and heights grow by one column or row that repeats the edge, because
    4:2:0 video has no odd sizes. Timestamps are those of the frames, on the source's
    own clock; one thread may call it.

    Attributes:
        encoder: FFmpeg's name of what encodes, from the first frame on.
    """

    def __init__(
        self,
        path: Path,
        info: SourceInfo,
        *,
        options: VideoOptions | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        if path.suffix.lower() not in CONTAINERS:
            known = ", ".join(CONTAINERS)
            raise UsageError(f"cannot tell the video format of {path.name}", f"use one of {known}")
        refuse_same_file(info.media, path)
        self._info = info
        self._options = options or VideoOptions()
        self._metadata = dict(metadata or {})
        self._part = PartialFile(path)
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._audio: AudioTracks | None = None
        self._size: tuple[int, int] | None = None
        self._last_ticks: int | None = None
        self._writer: CardWriter | None = None
        self._done = False
        self.frames = 0
        self.encoder = ""

    def write(self, frame: Frame) -> None:
        """Encode one frame.

        Raises:
            OutputError: the file cannot be written, or the frame size changed.
        """
        if self._done:
            raise ValueError("this sink is closed")
        if self._size is None:
            self._size = frame.size
            self._guarded_start()
        elif frame.size != self._size:
            raise OutputError(
                f"frame {frame.index} is {_times(frame.size)}, the video began as "
                f"{_times(self._size)}",
                "set the output size so that all frames get the same one",
            )
        picture = self._picture(frame)
        picture.pts = self._ticks(frame)
        picture.time_base = self._info.time_base
        try:
            self._encode(picture)
        except (av.error.FFmpegError, OSError) as error:
            self.abort()
            raise write_error(self._part.target, error) from error
        self.frames += 1

    def _picture(self, frame: Frame) -> av.VideoFrame:
        on_card = card_planes_for_sink(frame, PLANES) if self._writer is not None else None
        if on_card is None or self._writer is None:
            return _encoder_picture(frame)
        picture = self._writer.picture(on_card)
        tag_bt709(picture)
        return picture

    def _ticks(self, frame: Frame) -> int:
        ticks = self._info.ticks_from_ns(frame.pts_ns)
        if self._last_ticks is not None:
            ticks = max(ticks, self._last_ticks + 1)
        self._last_ticks = ticks
        return ticks

    def _guarded_start(self) -> None:
        try:
            self._start()
        except (av.error.FFmpegError, OSError) as error:
            self.abort()
            raise write_error(self._part.target, error) from error
        except DeviceError:
            self.abort()
            raise

    def _start(self) -> None:
        assert self._size is not None
        name = CONTAINERS[self._part.target.suffix.lower()]
        options = self._mp4_options() if name in ("mp4", "mov") else {}
        container = av.open(str(self._part.path), "w", format=name, options=options)
        self._container = container
        container.metadata.update(self._metadata)
        self._stream = self._add_video(container)
        if self._options.audio and self._info.has_audio and self._info.media is not None:
            self._audio = AudioTracks(self._info.media, container, self._info.origin_s)
        container.start_encoding()

    def _mp4_options(self) -> dict[str, str]:
        flags = "+faststart"
        if not PLAIN_KEYS.issuperset(self._metadata):
            flags += "+use_metadata_tags"
        # A late start of a track is written in units of the whole file, which by default are
        # milliseconds: too coarse to keep picture and sound exactly where they were.
        ticks = math.lcm(self._info.time_base.denominator, AUDIO_RATE)
        exact = ticks if ticks <= LARGEST_TIMESCALE else self._info.time_base.denominator
        return {"movflags": flags, "movie_timescale": str(min(exact, LARGEST_TIMESCALE))}

    def _add_video(self, container: OutputContainer) -> VideoStream:
        assert self._size is not None
        height, width = (side + side % 2 for side in self._size)
        options = {"crf": f"{self._options.crf:g}", "preset": self._options.preset}
        rate = self._info.fps or FALLBACK_FPS
        self.encoder = choose_encoder(self._options.codecs)
        if self.encoder == NVENC:
            options = nvenc_options(self._options.crf)
        card = self._options.card if self.encoder == NVENC else None
        accelerated = card_codec(card) if card is not None else None
        stream = container.add_stream(self.encoder, rate=rate, options=options, hwaccel=accelerated)
        assert isinstance(stream, VideoStream)
        form = "yuv420p" if card is None else "nv12"  # of what lies on the card
        stream.width, stream.height, stream.pix_fmt = width, height, form
        if card is not None:
            self._writer = CardWriter(card)
        stream.time_base = self._info.time_base
        coder = stream.codec_context
        coder.time_base = self._info.time_base
        coder.sample_aspect_ratio = self._info.sample_aspect
        coder.colorspace = int(Colorspace.ITU709)
        coder.color_primaries = int(ColorPrimaries.BT709)
        coder.color_trc = int(ColorTrc.BT709)
        coder.color_range = int(ColorRange.MPEG)
        return stream

    def _encode(self, picture: av.VideoFrame | None) -> None:
        assert self._container is not None
        assert self._stream is not None
        for packet in self._stream.encode(picture):
            if self._audio is not None and packet.dts is not None:
                self._audio.copy_until(packet.dts * packet.time_base)
            self._container.mux(packet)

    def close(self) -> None:
        """Flush, finish the file and give it its final name.

        Raises:
            OutputError: no frame was written, or the disk is full.
        """
        if self._done:
            return
        if self._container is None:
            self.abort()
            raise OutputError(
                f"no frame reached {self._part.target.name}, so nothing was written",
                "check that the input has frames",
            )
        try:
            self._encode(None)
            if self._audio is not None:
                self._audio.finish(self._audio_end())
            self._container.close()
        except (av.error.FFmpegError, OSError) as error:
            self._container = None
            self.abort()
            raise write_error(self._part.target, error) from error
        self._done = True
        self._leave_card()
        self._part.commit()

    def _audio_end(self) -> Fraction | None:
        """Where the audio stops: with the media, or with the video if that was cut short."""
        assert self._last_ticks is not None
        step = 1 / (self._info.fps or FALLBACK_FPS)
        end = self._last_ticks * self._info.time_base + step
        whole = self._info.duration_s
        return None if whole is None or end >= whole - 2 * step else end

    def abort(self) -> None:
        """Remove the unfinished file; what was there before stays."""
        if self._done:
            return
        self._done = True
        if self._audio is not None:
            self._audio.close()
        if self._container is not None:
            try:
                self._container.close()
            except (av.error.FFmpegError, OSError) as error:
                logger.debug("closing an aborted file: %s", error)
        self._leave_card()
        self._part.discard()

    def _leave_card(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()


def _times(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"


def _encoder_picture(frame: Frame) -> av.VideoFrame:
    """The frame's own planes where they are BT.709, else its pixels, converted."""
    planes = planes_for_sink(frame, PLANES)
    if planes is None:
        return yuv420_bt709_from_bgr(even_sides(frame.bgr))
    picture = picture_of_planes(planes, alone=True)
    tag_bt709(picture)
    return picture


def even_sides(frame_bgr: U8Array) -> U8Array:
    """The picture grown to even sides; the same array if they are even already."""
    height, width = frame_bgr.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return np.ascontiguousarray(frame_bgr)
    grown = cv2.copyMakeBorder(frame_bgr, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return np.asarray(grown, np.uint8)
