"""What a performer sends: the newest picture for whoever swaps, the sound for whoever listens."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from fractions import Fraction

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from mien_streamer.mailbox import Mailbox

logger = logging.getLogger(__name__)

Arrival = tuple[av.VideoFrame, int]
"""A decoded picture and the monotonic ns at which it was there."""

_MOST_DELAY_S = 1.0
_MOST_SOUNDS = 50
"""Sounds of 20 ms that lie before a listener's sender."""
_SMOOTHING = 0.05
_GAP_S = 0.2
_AUDIO_RATE = 48_000


class Inlet:
    """Where a performer's media arrives; belongs to the event loop, but for ``attach``.

    Tracks are drained as fast as they come: aiortc's queues have no bounds, so pictures are
    dropped here, after decoding (a decoder that misses one shows garbage) and before any work.
    """

    def __init__(self) -> None:
        self._boxes: list[Mailbox[Arrival]] = []
        self._listeners: list[SoundTrack] = []
        self._delay_s = 0.0
        self.pictures = 0
        self.last_ns = 0

    def attach(self) -> Mailbox[Arrival]:
        """A mailbox that gets every picture from now on; any thread."""
        box: Mailbox[Arrival] = Mailbox()
        self._boxes.append(box)
        return box

    def detach(self, box: Mailbox[Arrival]) -> None:
        """Stops filling a mailbox; any thread."""
        box.close()
        if box in self._boxes:
            self._boxes.remove(box)

    async def drain_video(self, track: MediaStreamTrack) -> None:
        """Takes pictures until the track ends."""
        while True:
            try:
                picture = await track.recv()
            except MediaStreamError:
                return
            if not isinstance(picture, av.VideoFrame):
                continue
            self.last_ns = time.monotonic_ns()
            self.pictures += 1
            for box in list(self._boxes):
                box.put((picture, self.last_ns))

    async def drain_audio(self, track: MediaStreamTrack) -> None:
        """Takes sounds until the track ends and hands them on when their picture is through."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                sound = await track.recv()
            except MediaStreamError:
                return
            if self._listeners and isinstance(sound, av.AudioFrame):
                loop.call_later(self._delay_s, self._hand_on, sound)

    def video_took(self, seconds: float) -> None:
        """How long a picture was under way from here to the outlet; sound is held back alike."""
        seconds = min(max(seconds, 0.0), _MOST_DELAY_S)
        self._delay_s += _SMOOTHING * (seconds - self._delay_s)

    @property
    def audio_delay_s(self) -> float:
        """What sound is held back by at present."""
        return self._delay_s

    def listen(self) -> SoundTrack:
        """A listener's track."""
        track = SoundTrack(self)
        self._listeners.append(track)
        return track

    def forget(self, track: SoundTrack) -> None:
        """Drops a listener."""
        if track in self._listeners:
            self._listeners.remove(track)

    def _hand_on(self, sound: av.AudioFrame) -> None:
        for listener in list(self._listeners):
            listener.push(sound)


class SoundTrack(MediaStreamTrack):
    """One listener's end of the performer's sound; silent while there is no performer."""

    kind = "audio"

    def __init__(self, inlet: Inlet) -> None:
        super().__init__()
        self._inlet = inlet
        self._ready: deque[av.AudioFrame] = deque(maxlen=_MOST_SOUNDS)
        self._arrived = asyncio.Event()
        self._resampler: av.AudioResampler | None = None
        self._next_pts: int | None = None
        self._last_s = 0.0

    def push(self, sound: av.AudioFrame) -> None:
        """Takes a sound."""
        self._ready.append(sound)
        self._arrived.set()

    async def recv(self) -> av.AudioFrame:
        """The next sound, on a clock of this track's own that follows pauses."""
        while not self._ready:
            if self.readyState != "live":
                raise MediaStreamError
            self._arrived.clear()
            await self._arrived.wait()
        sound = self._copy(self._ready.popleft())
        now_s = time.monotonic()
        if self._next_pts is None:
            self._next_pts = 0
        elif now_s - self._last_s > _GAP_S:
            self._next_pts += round((now_s - self._last_s) * _AUDIO_RATE)
        self._last_s = now_s
        sound.pts = self._next_pts
        sound.time_base = Fraction(1, _AUDIO_RATE)
        self._next_pts += sound.samples
        return sound

    def _copy(self, sound: av.AudioFrame) -> av.AudioFrame:
        """The same samples in a frame of one's own: several listeners share ``sound``."""
        if self._resampler is None:
            self._resampler = av.AudioResampler("s16", "stereo", _AUDIO_RATE)
        copy = av.AudioFrame.from_ndarray(
            sound.to_ndarray(), format=sound.format.name, layout=sound.layout.name
        )
        copy.sample_rate = sound.sample_rate
        pieces = self._resampler.resample(copy)
        return pieces[0] if pieces else copy

    def stop(self) -> None:
        """Ends the track."""
        super().stop()
        self._arrived.set()
        self._inlet.forget(self)
