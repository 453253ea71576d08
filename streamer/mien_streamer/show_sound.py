"""What a show hears in a file's sound, for renderings: the same in every run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from mien.errors import MediaError, ShowError
from mien.shows import Show, ShowPlayer
from mien.shows.director import Clock
from mien.shows.ears import MOST_CHANNELS, Ears, Heard
from mien.shows.follow import FollowedClock, TimecodeHand
from mien.types import F32Array, Frame
from mien_streamer.sources.video import open_media

_LEAST_RATE = 16_000
_USUAL_RATE = 48_000

# The first label of a tape is heard whole only when it is over; what came so shortly before
# is counted back from it.
_COUNTED_BACK_S = 0.25


# A place that the tape is said to reach lies at most so far before a label that was heard.
_NEAR_S = 0.5


@dataclass(frozen=True, slots=True)
class SoundTrack:
    """Everything that was heard, in the order of its times.

    Attributes:
        heard: times are seconds on the clock of the pictures.
    """

    heard: tuple[Heard, ...]

    def from_s(self, start_s: float) -> SoundTrack:
        """What is heard from a moment on, which becomes zero."""
        return SoundTrack(
            tuple(
                replace(one, time_s=one.time_s - start_s)
                for one in self.heard
                if one.time_s >= start_s
            )
        )

    def find(self, show: Show, show_s: float) -> float | None:
        """When the timecode first reaches a show time; None if it never does."""
        zero = show.zero
        for one in self.heard:
            if one.label is None:
                continue
            here_s = one.label.time_s(one.frames_per_s)
            if zero is not None:
                here_s -= replace(zero, drop=one.label.drop).time_s(one.frames_per_s)
            if 0.0 <= here_s + 1e-6 - show_s < _NEAR_S and one.speed > 0.0:
                return max(one.time_s - (here_s - show_s) / one.speed, 0.0)
        return None


def hear_file(path: Path, show: Show, origin_s: Fraction = Fraction(0)) -> SoundTrack:
    """Listens to the first audio track of a file for what a show waits for.

    Args:
        path: a video or an audio file.
        show: what to hear.
        origin_s: what the clock of the pictures has at its zero, on the file's clock.

    Raises:
        MediaError: there is no sound, or it cannot be read.
    """
    heard: list[Heard] = []
    ears: Ears | None = None
    begins_s = 0.0
    for rate, time_s, block in sound_blocks(path):
        if ears is None:
            ears = Ears(show, rate, len(block))
            begins_s = time_s - float(origin_s)
        heard += ears.feed(block)
    heard = [replace(one, time_s=one.time_s + begins_s) for one in heard]
    heard.sort(key=lambda one: one.time_s)
    return SoundTrack(tuple(_counted_back(heard)))


def _counted_back(heard: list[Heard]) -> list[Heard]:
    first = next((place for place, one in enumerate(heard) if one.label is not None), None)
    if first is None or not 0.0 < heard[first].time_s < _COUNTED_BACK_S:
        return heard
    one = heard[first]
    assert one.label is not None
    pictures = round(one.time_s * one.frames_per_s * abs(one.speed))
    if one.speed <= 0.0 or not 1 <= pictures <= one.label.frames:
        return heard
    label = replace(one.label, frames=one.label.frames - pictures)
    time_s = one.time_s - pictures / (one.frames_per_s * one.speed)
    return sorted([replace(one, label=label, time_s=time_s), *heard], key=lambda e: e.time_s)


def sound_blocks(path: Path) -> Iterator[tuple[int, float, F32Array]]:
    """Rate, start and samples of a file's first audio track, block by block.

    Yields:
        samples a second; seconds on the file's clock; (channels, N) float32, -1..1.

    Raises:
        MediaError: there is no sound, or it cannot be read.
    """
    try:
        with open_media(str(path)) as container:
            if not container.streams.audio:
                raise MediaError(
                    f"{path.name} holds no sound, and the show listens for some",
                    "name a file with sound: --audio FILE",
                )
            stream = container.streams.audio[0]
            rate = stream.rate if stream.rate >= _LEAST_RATE else _USUAL_RATE
            same = av.AudioResampler("fltp", stream.layout, rate)
            time_s: float | None = None
            for frame in container.decode(stream):
                if time_s is None:
                    time_s = float(frame.time or 0.0)
                for piece in same.resample(frame):
                    block = np.asarray(piece.to_ndarray(), np.float32)[:MOST_CHANNELS]
                    yield rate, time_s, block
                    time_s += block.shape[1] / rate
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise MediaError(
            f"{path.name} cannot be read as sound: {error}", "export it as WAV"
        ) from error


class HeardBeside:
    """Tells the player, before each frame, what was heard up to it; a clock for a director.

    Args:
        clock: time of a frame.
        track: what was heard, on that clock.
        player: hears of it.
    """

    def __init__(self, clock: Clock, track: SoundTrack, player: ShowPlayer) -> None:
        self._clock, self._player = clock, player
        self._left = list(reversed(track.heard))
        self._follow: FollowedClock | None = None
        if player.show.follow == "ltc":
            self._follow = FollowedClock(lambda: 0.0)
        self._hand = TimecodeHand(player, self._follow, player.show.zero)

    def __call__(self, frame: Frame) -> tuple[float, float | None]:
        """Time of the frame, and show time where timecode gives it."""
        now_s, show_s = self._clock(frame)
        while self._left and self._left[-1].time_s <= now_s + 1e-9:
            tell(self._left.pop(), 0.0, self._player, self._hand)
        return now_s, self._follow.read(now_s) if self._follow is not None else show_s


def tell(heard: Heard, zero_s: float, player: ShowPlayer, hand: TimecodeHand) -> None:
    """Hands on one thing that was heard; ``zero_s`` is the run's clock at its sound's start."""
    at_s = zero_s + heard.time_s
    if heard.label is None:
        player.onset(at_s)
    else:
        hand.hear(heard.label, heard.frames_per_s, at_s, speed=heard.speed)


def start_in(track: SoundTrack, show: Show, start_s: float) -> float:
    """Where in the sound a show begins that starts at a show time.

    Raises:
        ShowError: the timecode never gets there.
    """
    if show.follow != "ltc":
        return start_s
    found_s = track.find(show, start_s)
    if found_s is None:
        raise ShowError(
            f"the timecode never reaches {start_s:.1f} s of the show",
            "choose another cue with --from, or check zero under [clock]",
        )
    return found_s
