"""Show time that another machine gives: MIDI timecode, MIDI clock, OSC."""

from __future__ import annotations

import threading
from collections.abc import Callable
from math import isfinite

from mien.shows.tempo import TempoMap
from mien.shows.values import LONGEST_S

SILENCE_S = 0.5
"""A clock that has not been heard for so long stands still."""

_PULSES_PER_BEAT = 24
_MTC_RATES = (24.0, 25.0, 30000 / 1001, 30.0)
# A quarter-frame message tells the time at which its set of eight began.
_MTC_LAG_FRAMES = 2.0


class FollowedClock:
    """The last word of the other machine, carried on while it speaks. Any thread.

    Args:
        clock: the run's clock, seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._show_s = 0.0
        self._heard_s = 0.0
        self._runs = False

    def say(self, show_s: float, *, runs: bool = True) -> None:
        """The show time now. What cannot be a time is ignored."""
        if not isfinite(show_s) or not 0.0 <= show_s <= LONGEST_S:
            return
        with self._lock:
            self._show_s, self._heard_s, self._runs = show_s, self._clock(), runs

    def stop(self) -> None:
        """The other machine stopped."""
        with self._lock:
            self._show_s = self._read(self._clock())
            self._runs = False

    def read(self, now_s: float) -> float:
        """Show time at a time of the run's clock."""
        with self._lock:
            return self._read(now_s)

    def _read(self, now_s: float) -> float:
        if not self._runs:
            return self._show_s
        return self._show_s + min(max(now_s - self._heard_s, 0.0), SILENCE_S)


class MidiClock:
    """MIDI's 24 pulses a beat, turned into show time by the show's own tempo map."""

    def __init__(self, clock: FollowedClock, tempo: TempoMap) -> None:
        self._clock, self._tempo = clock, tempo
        self._pulses = 0
        self._runs = False

    def message(self, kind: str, position: int = 0) -> None:
        """``clock``, ``start``, ``continue``, ``stop`` or ``songpos`` (in sixteenths)."""
        if kind == "start":
            # The first pulse after START is the first of beat 0.
            self._pulses, self._runs = -1, True
        elif kind == "continue":
            self._runs = True
        elif kind == "stop":
            self._runs = False
            self._clock.stop()
        elif kind == "songpos":
            self._pulses = position * _PULSES_PER_BEAT // 4 - 1
        elif kind == "clock" and self._runs:
            self._pulses += 1
            self._clock.say(max(self._tempo.seconds(self._pulses / _PULSES_PER_BEAT), 0.0))


class MidiTimecode:
    """MTC quarter frames and full frames, turned into show time."""

    def __init__(self, clock: FollowedClock) -> None:
        self._clock = clock
        self._nibbles: dict[int, int] = {}
        self._next = 0

    def quarter_frame(self, piece: int, value: int) -> None:
        """One of eight pieces; a set that is not whole, or runs backwards, says nothing."""
        if not 0 <= piece <= 7 or not 0 <= value <= 15:
            return
        if piece != self._next:
            self._nibbles.clear()
            self._next = 0
            if piece != 0:
                return
        self._nibbles[piece] = value
        self._next = (piece + 1) % 8
        if piece == 7 and len(self._nibbles) == 8:
            n = self._nibbles
            hours = n[6] | (n[7] & 1) << 4
            self._say(n[7] >> 1 & 3, hours, n[4] | n[5] << 4, n[2] | n[3] << 4, n[0] | n[1] << 4)

    def full_frame(self, data: tuple[int, ...]) -> None:
        """The data of a system-exclusive message; others than full frames are ignored."""
        if len(data) == 8 and data[0] == 0x7F and data[2:4] == (1, 1):
            hours, minutes, seconds, frames = data[4:]
            self._say(hours >> 5 & 3, hours & 31, minutes, seconds, frames, lag=0.0, runs=False)

    def _say(
        self,
        rate: int,
        hours: int,
        minutes: int,
        seconds: int,
        frames: int,
        *,
        lag: float = _MTC_LAG_FRAMES,
        runs: bool = True,
    ) -> None:
        fps = _MTC_RATES[rate]
        if hours > 23 or minutes > 59 or seconds > 59 or frames >= fps + 1:
            return
        time_s = hours * 3600 + minutes * 60 + seconds + (frames + lag) / fps
        self._clock.say(time_s, runs=runs)
