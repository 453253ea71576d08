"""Video files and streams through PyAV, with their timestamps kept exactly."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from mien.errors import DeviceError, MediaError
from mien.planes import OwnPlanes
from mien.types import Frame, U8Array
from mien.yuv import Matrix
from mien_streamer.card_frames import CardReader, card_codec, stays_on_card
from mien_streamer.colour import BgrConverter, is_plain, kept_planes, matrix_of
from mien_streamer.gpu_codecs import Codecs, decoding_refused, nvdec
from mien_streamer.orientation import Orientation
from mien_streamer.sources.source import (
    LIVE_TIME_BASE,
    ClosingSource,
    SourceInfo,
    ns_from_ticks,
)

logger = logging.getLogger(__name__)

TEXT_FORMATS = {"tty", "bin", "xbin", "adf", "idf"}
"""FFmpeg demuxers that paint text as video: a text file is not media here."""
TS_DISCONT = 0x200
"""AVFMT_TS_DISCONT: the format's clock may start anywhere."""
FALLBACK_FPS = Fraction(25)
"""Rate of streams that name none and carry no timestamps (FFmpeg's own default)."""
LOST_END_S = Fraction(1, 2)
"""Gap between the last frame and the announced end that is worth a word."""
MAX_DAMAGED_IN_A_ROW = 500
"""Undecodable packets after which a stream is taken for lost."""


def open_media(where: str, **options: str) -> InputContainer:
    """An open PyAV container.

    Raises:
        MediaError: the file or stream is missing, empty, unreadable or not media.
    """
    is_url = "://" in where
    if not is_url:
        path = Path(where)
        if not path.exists():
            raise MediaError(f"no such file: {where}", "check the path")
        if path.is_file() and path.stat().st_size == 0:
            raise MediaError(f"{where} is empty (0 bytes)", "copy or export the file again")
    try:
        container = av.open(where, options=options, timeout=10.0 if is_url else None)
    except (av.error.FFmpegError, OSError) as error:
        raise MediaError(_why_unopened(where, error), _hint_unopened(is_url, error)) from error
    if container.format.name in TEXT_FORMATS:
        container.close()
        raise MediaError(f"{where} is not a video or picture", "pass a video, image or folder")
    return container


def _why_unopened(where: str, error: Exception) -> str:
    if isinstance(error, PermissionError):
        return f"{where} may not be read"
    if isinstance(error, av.error.InvalidDataError):
        return f"{where} is not a video or picture, or it is cut off before its index"
    return f"cannot open {where}: {_reason(error)}"


def _hint_unopened(is_url: bool, error: Exception) -> str:
    if isinstance(error, PermissionError):
        return "check the permissions of the file"
    if is_url:
        return "check the address and that the server answers"
    return "play it in a media player; if it fails there too, export or download it again"


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


class VideoSource(ClosingSource):
    """Every frame of a video file or stream, upright, in BT.709 BGR.

    The stream is opened and its first frame decoded at construction, so that all that
    can be wrong with a file is known before any work starts. One thread may iterate;
    ``close`` may be called from another.

    Attributes:
        damaged: packets that could not be decoded so far.

    Args:
        codecs: where the stream is decoded: ``auto`` takes the GPU where its decoder opens.
        planes: of which matrices 4:2:0 planes are kept beside the pixels, for sinks that take them.
        card: number of the GPU on which decoded pictures stay, for a sink that encodes there;
            where they cannot, they come to the host as ever. ``close`` the source after the sink.

    Raises:
        MediaError: nothing here can be decoded.
        DeviceError: ``codecs`` is ``gpu`` and the GPU does not decode it.
    """

    def __init__(
        self,
        where: str,
        *,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        codecs: Codecs = "cpu",
        planes: frozenset[Matrix] = frozenset(),
        card: int | None = None,
    ) -> None:
        self._where = where
        self._planes = planes
        self._card = card if codecs != "cpu" else None
        self._reader: CardReader | None = None
        self._iterating = False
        self._codecs = codecs
        self._clock_ns = clock_ns
        self._closing = False
        self._started = False
        self.damaged = 0
        self._container: InputContainer | None = None
        self._pictures: Iterator[av.VideoFrame] = iter(())
        self._converter = BgrConverter()
        self._head: av.VideoFrame | None = None
        self.info = self._describe(self._open())

    def _open(self) -> av.VideoFrame:
        head = self._begin(open_media(self._where)) if self._codecs == "cpu" else self._on_gpu()
        if head is None:
            self._release()
            raise MediaError(
                f"{self._where} holds no picture that can be decoded",
                "the file is cut off or damaged; copy or export it again",
            )
        self._head = head
        return head

    def _begin(self, container: InputContainer) -> av.VideoFrame | None:
        """The first picture."""
        self._container = container
        self._stream = _video_stream(container, self._where)
        self._stream.thread_type = "AUTO"
        self._pictures = self._decode(container, self._stream)
        return next(self._pictures, None)

    def _on_gpu(self) -> av.VideoFrame | None:
        """The first picture by NVDEC; by the CPU where that does not open, and says so."""
        open_media(self._where).close()  # what is wrong with the file is no fault of the GPU
        if self._card is not None:
            head = self._on_card(self._card)
            if head is not None:
                return head
        why: Exception = DeviceError("it gives no picture")
        try:
            timeout = 10.0 if "://" in self._where else None
            head = self._begin(av.open(self._where, hwaccel=nvdec(), timeout=timeout))
        except (av.error.FFmpegError, OSError) as error:
            head, why = None, error
        if head is None:
            self._release()
            decoding_refused(self._codecs, why)
            self._codecs = "cpu"  # it is said once
            head = self._begin(open_media(self._where))
        return head

    def _on_card(self, card: int) -> av.VideoFrame | None:
        """The first picture, if it can stay on the card; None if this file's pictures cannot."""
        timeout = 10.0 if "://" in self._where else None
        try:
            head = self._begin(av.open(self._where, hwaccel=card_codec(card), timeout=timeout))
            upright = head is not None and Orientation.of_frame(head) == Orientation()
            if head is not None and upright and stays_on_card(head, self._planes):
                self._reader = self._reader or CardReader(card)
                return head
        except (av.error.FFmpegError, OSError, DeviceError) as error:
            logger.warning("decoded pictures do not stay on the card: %s", error)
        self._release()
        self._card = None
        return None

    def _describe(self, head: av.VideoFrame) -> SourceInfo:
        assert self._container is not None
        stream = self._stream
        self._orientation = Orientation.of_frame(head)
        width, height = self._orientation.size(head.width, head.height)
        fps = stream.average_rate or stream.guessed_rate or stream.base_rate
        time_base = stream.time_base or LIVE_TIME_BASE
        duration = _duration(stream, time_base)
        length = duration or Fraction(self._container.duration or 0, 1_000_000)
        count = stream.frames or (round(length * fps) if fps else 0)
        return SourceInfo(
            name=self._where,
            width=width,
            height=height,
            fps=Fraction(fps) if fps else None,
            frame_count=count or None,
            is_live="://" in self._where and not length,
            time_base=time_base,
            origin_s=_origin(self._container, stream),
            duration_s=duration,
            sample_aspect=self._orientation.aspect(stream.sample_aspect_ratio or Fraction(1)),
            rotation_deg=self._orientation.rotation_deg,
            has_audio=bool(self._container.streams.audio),
            media=self._where,
        )

    def _decode(self, container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
        in_a_row = 0
        packets = container.demux(stream)
        while not self._closing and in_a_row < MAX_DAMAGED_IN_A_ROW:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                pictures = packet.decode()
            except av.error.EOFError:
                return
            except av.error.InvalidDataError as error:
                self.damaged += 1
                in_a_row += 1
                logger.debug("%s: undecodable packet: %s", self._where, error)
                packets = container.demux(stream)  # an iterator that raised is at its end
                continue
            except (av.error.FFmpegError, OSError) as error:
                self.damaged += 1
                logger.warning("%s: reading stopped: %s", self._where, _reason(error))
                break
            in_a_row = 0
            yield from pictures
        if not self._closing:
            yield from self._remaining(stream)

    def _remaining(self, stream: VideoStream) -> Iterator[av.VideoFrame]:
        """What the decoder still holds when reading ended without a proper end."""
        try:
            yield from stream.decode(None)
        except av.error.FFmpegError as error:
            logger.debug("%s: the decoder's rest is lost: %s", self._where, error)

    def frames(self) -> Iterator[Frame]:
        """All frames in order; a second call reads the file again from its start."""
        if self._started:
            self._release()
            self._closing = False
            try:
                self._open()
            except MediaError:
                if self._closing:  # closed meanwhile, which is no fault of the file
                    return
                raise
        self._started = self._iterating = True
        self._closing = False
        try:
            yield from self._frames()
        finally:
            self._iterating = False
            self._release()
            if self._closing:
                self._let_go()

    def _frames(self) -> Iterator[Frame]:
        info = self.info
        step = max(1, round(1 / ((info.fps or FALLBACK_FPS) * info.time_base)))
        last: int | None = None
        index = 0
        for picture in self._with_head():
            if self._closing:
                break
            ticks = picture.pts
            if ticks is None or (last is not None and ticks <= last):
                # No timestamp, or time runs backwards (a spliced stream): go on at the rate.
                ticks = 0 if last is None else last + step
            last = ticks
            bgr, planes = self._pixels(picture)
            yield Frame(
                index=index,
                bgr=bgr,
                capture_ns=self._clock_ns(),
                pts_ns=ns_from_ticks(ticks, info.time_base, info.origin_s),
                decoded=planes,
            )
            index += 1
        self._report(index, (last or 0) * info.time_base)

    def _pixels(self, picture: av.VideoFrame) -> tuple[U8Array, OwnPlanes | None]:
        """A picture's pixels, and what it was decoded to where that is kept."""
        if self._reader is not None and stays_on_card(picture, self._planes):
            taken = self._reader.take(picture)
            return taken.bgr, taken
        if picture.format.name == "cuda":
            raise MediaError(f"{self._where} changes its format in the middle", "use --codecs cpu")
        bgr = self._orientation.apply(self._converter.convert(picture))
        return bgr, self._kept(picture, bgr)

    def _kept(self, picture: av.VideoFrame, bgr: U8Array) -> OwnPlanes | None:
        if not self._planes or self._orientation != Orientation() or not is_plain(picture):
            return None
        matrix = matrix_of(picture)
        return kept_planes(picture, bgr, matrix) if matrix in self._planes else None

    def _with_head(self) -> Iterator[av.VideoFrame]:
        head, self._head = self._head, None
        if head is not None:
            yield head
            del head
        yield from self._pictures

    def _report(self, delivered: int, end_s: Fraction) -> None:
        if self._closing:
            return
        expected, whole = self._stream.frames, self.info.duration_s
        if self.damaged:
            said = "%s: %d damaged packets skipped, %d frames read"
            logger.warning(said, self._where, self.damaged, delivered)
        elif expected and delivered < expected:
            said = "%s is cut off: %d of %d frames read"
            logger.warning(said, self._where, delivered, expected)
        elif not expected and whole is not None and whole - end_s > LOST_END_S:
            said = "%s is cut off: it ends at %.1f of %.1f s"
            logger.warning(said, self._where, float(end_s), float(whole))

    def close(self) -> None:
        """End :meth:`frames` at the next picture and release the file."""
        self._closing = True
        if not self._started:
            self._release()
        if not self._iterating:
            self._let_go()

    def _let_go(self) -> None:
        """Leaves the card; not before, as an encoder may still hold pictures that lie there."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _release(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None
        # Generators and the pictures they hold would keep this object alive, and the
        # garbage collector, which cannot see how large pictures are, comes late.
        self._pictures, self._head = iter(()), None


def _video_stream(container: InputContainer, where: str) -> VideoStream:
    streams = [
        stream
        for stream in container.streams.video
        if Disposition.attached_pic not in Disposition(stream.disposition)
    ]
    if not streams:
        container.close()
        raise MediaError(f"{where} has no video track", "pass a video, image or folder")
    return max(streams, key=lambda stream: stream.width * stream.height)


def _duration(stream: VideoStream, time_base: Fraction) -> Fraction | None:
    """Length of the video track alone; Matroska keeps it in a tag."""
    if stream.duration is not None:
        return stream.duration * time_base
    tag = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if tag is None:
        return None
    return int(tag[1]) * 3600 + int(tag[2]) * 60 + Fraction(tag[3])


def _origin(container: InputContainer, stream: VideoStream) -> Fraction:
    """Where the clock starts, for formats (MPEG-TS) that start it anywhere."""
    if not container.format.flags & TS_DISCONT:
        return Fraction(0)
    starts = [
        candidate.start_time * candidate.time_base
        for candidate in (stream, *container.streams.audio)
        if candidate.start_time is not None and candidate.time_base is not None
    ]
    return min(starts, default=Fraction(0))
