"""What a show hears in a sound: timecode on one of its channels, beginnings in the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mien.shows.ltc import LtcFrame, LtcReader
from mien.shows.onset import OnsetReader
from mien.shows.show import Show
from mien.shows.timecode import RateGuess, Timecode
from mien.types import F32Array

MOST_CHANNELS = 32

# A label is placed to tens of microseconds. It is told this much before, so that it is never
# for those that a cue comes a picture late.
_EARLY_S = 0.002

_LOUDEST = 8.0

# Another channel may take over once timecode was not heard for so long.
_SILENCE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Something in the sound.

    Attributes:
        time_s: when, seconds from the first sample.
        label: of the timecode that begins here; None for an onset.
        frames_per_s: the timecode's nominal rate.
        speed: of its tape; 1 is as recorded, negative is backwards.
        strength: of an onset.
    """

    time_s: float
    label: Timecode | None = None
    frames_per_s: int = 0
    speed: float = 0.0
    strength: float = 0.0


class Ears:
    """Listens to all channels of one sound for one show. One thread.

    Args:
        show: says what is worth hearing.
        rate: samples a second.
        channels: of the sound.
    """

    def __init__(self, show: Show, rate: int, channels: int) -> None:
        if not 1 <= channels <= MOST_CHANNELS:
            raise ValueError(f"expected 1 to {MOST_CHANNELS} channels, got {channels}")
        self._sound = show.sound
        self._rate, self._channels = rate, channels
        self._fed = 0
        self._tape: int | None = None
        self._tape_s = 0.0
        self._guess = RateGuess()
        self._before: LtcFrame | None = None
        wanted = [self._sound.timecode_channel]
        if wanted[0] is None:
            wanted = list(range(channels))
        self._readers = {
            channel: LtcReader(rate)
            for channel in wanted
            if show.wants_timecode and channel is not None and channel < channels
        }
        self._onsets: OnsetReader | None = None
        if show.wants_onsets:
            self._onsets = OnsetReader(
                rate, sensitivity=self._sound.sensitivity, gap_s=self._sound.gap_s
            )

    def feed(self, block: F32Array) -> list[Heard]:
        """What is certain now, in the order of its times but for a label that was in doubt.

        Args:
            block: (channels, N) float32, -1..1, right after those fed before.
        """
        # A driver may hand out anything at all.
        block = np.clip(np.nan_to_num(block, posinf=0.0, neginf=0.0), -_LOUDEST, _LOUDEST)
        heard: list[Heard] = []
        end_s = (self._fed + block.shape[1]) / self._rate
        for channel, reader in self._readers.items():
            frames = reader.feed(block[channel])
            if self._tape is None or end_s - self._tape_s > _SILENCE_S:
                self._tape = channel if frames else self._tape
            if frames and channel == self._tape:
                self._tape_s = end_s
                heard += [self._timecode(frame) for frame in frames]
        if self._onsets is not None:
            for onset in self._onsets.feed(self._music(block)):
                heard.append(Heard(time_s=onset.time_s, strength=onset.strength))
        self._fed += block.shape[1]
        return sorted(heard, key=lambda one: one.time_s)

    def _music(self, block: F32Array) -> F32Array:
        """The mean of the channels that carry no timecode."""
        if self._sound.channel is not None and self._sound.channel < self._channels:
            chosen: F32Array = block[self._sound.channel]
            return chosen
        tape = self._sound.timecode_channel if self._sound.timecode_channel is not None else -1
        tape = self._tape if self._tape is not None else tape
        rest = [channel for channel in range(self._channels) if channel != tape]
        if not rest:
            return np.zeros(block.shape[1], np.float32)
        mean: F32Array = block[rest].mean(axis=0, dtype=np.float32)
        return mean

    def _timecode(self, frame: LtcFrame) -> Heard:
        measured = 1.0 / max(frame.end_s - frame.start_s, 1e-6)
        rate = self._guess.learn(self._neighbour(frame), frame.label, measured)
        self._before = frame
        begins_s = frame.end_s if frame.backwards else frame.start_s
        return Heard(
            time_s=begins_s - _EARLY_S,
            label=frame.label,
            frames_per_s=rate,
            speed=measured / rate * (-1.0 if frame.backwards else 1.0),
        )

    def _neighbour(self, frame: LtcFrame) -> Timecode | None:
        before = self._before
        together = before is not None and abs(frame.start_s - before.end_s) < 0.01
        return before.label if before is not None and together else None


def wants_sound(show: Show) -> bool:
    """True when a show cannot be played in full without hearing something."""
    return show.wants_onsets or (show.wants_timecode and show.follow != "mtc")
