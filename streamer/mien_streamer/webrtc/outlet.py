"""One picture stream to any number of viewers: encoded once per codec, shared by all."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from typing import Any

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from mien.types import Frame
from mien_streamer.mailbox import Mailbox
from mien_streamer.run_stats import LatencyHistogram
from mien_streamer.webrtc.encoding import CodecName, VideoEncoder, VideoPacket, picture_of_frame

logger = logging.getLogger(__name__)

_NS_PER_TICK = 1e9 / 90_000
_WAIT_S = 0.2
_KEYFRAME_GAP_S = 0.3
"""Shortest time between two key frames on request: several viewers may lose one packet."""
_KEEP_EVERY_NS = 500_000_000
_MOST_WAITING = 4
"""Packets that lie before a viewer's sender; more means that its socket is stuck."""


class EncodedTrack(MediaStreamTrack):
    """One viewer's end of an outlet; belongs to the event loop."""

    kind = "video"

    def __init__(self, encoder: SharedEncoder) -> None:
        super().__init__()
        self._encoder = encoder
        self._ready: deque[VideoPacket] = deque()
        self._arrived = asyncio.Event()
        self._needs_key = True
        self.bits_per_s: int | None = None
        self.sent = 0

    def push(self, packet: VideoPacket) -> None:
        """Takes a packet; a viewer always starts, and starts again, with a key frame."""
        if len(self._ready) >= _MOST_WAITING:
            self._ready.clear()
            self._needs_key = True
            self._encoder.request_keyframe()
        if self._needs_key:
            if not packet.is_keyframe:
                return
            self._needs_key = False
        self._ready.append(packet)
        self._arrived.set()

    async def recv(self) -> VideoPacket:
        """The next packet, already encoded."""
        while not self._ready:
            if self.readyState != "live":
                raise MediaStreamError
            self._arrived.clear()
            await self._arrived.wait()
        self.sent += 1
        return self._ready.popleft()

    def request_keyframe(self) -> None:
        """The viewer lost the picture."""
        self._encoder.request_keyframe()

    def limit_bit_rate(self, bits_per_s: int) -> None:
        """The viewer's path carries about so much."""
        self.bits_per_s = bits_per_s
        self._encoder.limit_changed()

    def stop(self) -> None:
        """Ends the track and leaves the outlet."""
        super().stop()
        self._arrived.set()
        self._encoder.leave(self)


class SharedEncoder:
    """A thread that encodes for all viewers of one codec; it lives while there are any."""

    def __init__(self, codec: CodecName, loop: asyncio.AbstractEventLoop) -> None:
        self.codec = codec
        self._loop = loop
        self._tracks: list[EncodedTrack] = []
        self._pictures: Mailbox[av.VideoFrame] = Mailbox()
        self._encoder = VideoEncoder(codec)
        self._thread: threading.Thread | None = None
        self._key_wanted = True
        self._key_sent_s = 0.0
        self._last: av.VideoFrame | None = None
        self._last_pts = -1
        self.times_ms = LatencyHistogram()

    @property
    def viewers(self) -> int:
        """How many watch."""
        return len(self._tracks)

    @property
    def implementation(self) -> str:
        """Name of the encoder in use."""
        return self._encoder.implementation

    @property
    def bit_rate(self) -> int:
        """Bits per second in use."""
        return self._encoder.bit_rate

    def join(self) -> EncodedTrack:
        """A new viewer's track; call in the event loop."""
        track = EncodedTrack(self)
        self._tracks.append(track)
        self.request_keyframe()
        if self._thread is None:
            self._pictures = Mailbox()
            if self._last is not None:
                self._pictures.put(self._last)
            self._thread = threading.Thread(
                target=self._run, args=(self._pictures,), name=f"mien-{self.codec}", daemon=True
            )
            self._thread.start()
        return track

    def leave(self, track: EncodedTrack) -> None:
        """Forgets a viewer; call in the event loop."""
        if track in self._tracks:
            self._tracks.remove(track)
            self.limit_changed()
        if not self._tracks and self._thread is not None:
            self._pictures.close()
            self._thread = None

    def offer(self, picture: av.VideoFrame) -> None:
        """The newest picture; one that was not begun yet is dropped."""
        self._pictures.put(picture)

    def remember(self, picture: av.VideoFrame) -> None:
        """What the first viewer to come is shown at once."""
        self._last = picture

    def request_keyframe(self) -> None:
        """The next picture, or the last one again, stands on its own."""
        self._key_wanted = True

    def limit_changed(self) -> None:
        """Follows the viewer with the narrowest path."""
        known = [t.bits_per_s for t in self._tracks if t.bits_per_s is not None]
        self._encoder.limit(min(known) if known else None)

    def _run(self, pictures: Mailbox[av.VideoFrame]) -> None:
        while not pictures.finished:
            picture = pictures.get(_WAIT_S)
            if picture is None:
                picture = self._again()
                if picture is None:
                    continue
            try:
                self._encode(picture)
            except (av.error.FFmpegError, ValueError) as error:
                logger.warning("%s encoder: %s", self.codec, error)
                self._encoder = VideoEncoder(self.codec)

    def _again(self) -> av.VideoFrame | None:
        """A still picture for someone who waits for a key frame while nothing comes."""
        if not self._key_wanted or self._last is None:
            return None
        self._last.pts = self._last_pts + 3000
        return self._last

    def _encode(self, picture: av.VideoFrame) -> None:
        self._last = picture
        now_s = time.monotonic()
        key = self._key_wanted and now_s - self._key_sent_s > _KEYFRAME_GAP_S
        if key:
            self._key_wanted = False
            self._key_sent_s = now_s
        picture.pts = max(picture.pts or 0, self._last_pts + 1)
        self._last_pts = picture.pts
        before_ns = time.perf_counter_ns()
        packets = self._encoder.encode(picture, keyframe=key)
        self.times_ms.add((time.perf_counter_ns() - before_ns) / 1e6)
        if packets:
            try:
                self._loop.call_soon_threadsafe(self._fan_out, packets)
            except RuntimeError:  # the loop is closed: the server went down
                self._pictures.close()

    def _fan_out(self, packets: list[VideoPacket]) -> None:
        for track in list(self._tracks):
            for packet in packets:
                track.push(packet)


class Outlet:
    """A named stream of pictures that peers can watch.

    ``write`` may be called from any one thread, ``join`` belongs to the event loop.
    """

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop) -> None:
        self.name = name
        self._loop = loop
        self._encoders: dict[CodecName, SharedEncoder] = {
            codec: SharedEncoder(codec, loop) for codec in ("H264", "VP8")
        }
        self._kept_ns = 0
        self.frames = 0

    @property
    def live(self) -> bool:
        """Something can be seen here."""
        return self.frames > 0

    @property
    def viewers(self) -> int:
        """How many watch, over all codecs."""
        return sum(encoder.viewers for encoder in self._encoders.values())

    @property
    def encoders(self) -> list[SharedEncoder]:
        """Those that have viewers."""
        return [encoder for encoder in self._encoders.values() if encoder.viewers]

    def write(self, frame: Frame) -> None:
        """Send a picture to whoever watches; the pixels are not kept."""
        self.frames += 1
        watched = self.encoders
        for encoder in watched:
            encoder.offer(_picture(frame))
        # A viewer who comes while the source is silent is shown a picture of a moment ago.
        now_ns = time.monotonic_ns()
        if not watched and now_ns - self._kept_ns > _KEEP_EVERY_NS:
            self._kept_ns = now_ns
            for encoder in self._encoders.values():
                encoder.remember(_picture(frame))

    def join(self, codec: CodecName) -> EncodedTrack:
        """A viewer's track."""
        return self._encoders[codec].join()

    def facts(self) -> dict[str, Any]:
        """Viewers, encoders and their times, for people and programs."""
        return {
            "viewers": self.viewers,
            "encoders": [
                {
                    "codec": encoder.codec,
                    "implementation": encoder.implementation,
                    "viewers": encoder.viewers,
                    "bit_rate": encoder.bit_rate,
                    "ms": encoder.times_ms.summary(),
                }
                for encoder in self.encoders
            ],
        }


def _picture(frame: Frame) -> av.VideoFrame:
    picture = picture_of_frame(frame)
    picture.pts = round(frame.capture_ns / _NS_PER_TICK)
    return picture
