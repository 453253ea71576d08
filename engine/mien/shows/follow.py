"""Show time that another machine gives: timecode, MIDI clock, OSC."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from math import isfinite
from typing import Protocol

from mien.shows.show import Show, TriggerKind
from mien.shows.tempo import TempoMap
from mien.shows.timecode import Timecode, read_timecode
from mien.shows.values import LONGEST_S

SILENCE_S = 0.5
"""A clock that has not been heard for so long stands still."""

_PULSES_PER_BEAT = 24
_MTC_RATES = (24, 25, 30, 30)
_MTC_DROP = 2
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
        self._speed = 0.0

    def say(
        self,
        show_s: float,
        *,
        runs: bool = True,
        at_s: float | None = None,
        speed: float = 1.0,
    ) -> None:
        """The show time at a moment. What cannot be a time is ignored.

        Args:
            show_s: the other machine's time.
            runs: it goes on from here.
            at_s: when it was that, on the run's clock; None is now.
            speed: how fast the other machine runs; negative is backwards.
        """
        if not isfinite(show_s) or not 0.0 <= show_s <= LONGEST_S or not isfinite(speed):
            return
        heard_s = self._clock() if at_s is None else at_s
        with self._lock:
            self._show_s, self._heard_s = show_s, heard_s
            self._speed = speed if runs else 0.0

    def stop(self) -> None:
        """The other machine stopped."""
        with self._lock:
            self._show_s = self._read(self._clock())
            self._speed = 0.0

    def read(self, now_s: float) -> float:
        """Show time at a time of the run's clock."""
        with self._lock:
            return self._read(now_s)

    def _read(self, now_s: float) -> float:
        since_s = min(max(now_s - self._heard_s, 0.0), SILENCE_S)
        return max(self._show_s + since_s * self._speed, 0.0)


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


class TimecodeHand:
    """What timecode does to a show, as MIDI or as sound: moves the playhead, fires cues.

    One thread, but for the player and the clock, which take care of themselves.

    Args:
        player: whose cues wait for labels; None for none.
        follow: the clock that follows, if it does.
        zero: the label at which show time is zero.
    """

    def __init__(
        self,
        player: Triggered | None,
        follow: FollowedClock | None,
        zero: Timecode | None = None,
    ) -> None:
        self._player, self._follow, self._zero = player, follow, zero
        self._waiting: list[tuple[str, Timecode]] = []
        if player is not None:
            texts = dict.fromkeys(
                trigger.address
                for cue in player.show.cues
                for trigger in cue.triggers
                if trigger.kind == "timecode"
            )
            self._waiting = [(text, read_timecode(text)) for text in texts]
        self._last: tuple[int, float] | None = None

    def hear(
        self,
        label: Timecode,
        frames_per_s: int,
        at_s: float,
        *,
        speed: float = 1.0,
        runs: bool = True,
    ) -> None:
        """A label that was heard.

        Args:
            label: the label; it begins at ``at_s``.
            frames_per_s: nominal rate, 24, 25 or 30.
            at_s: on the run's clock.
            speed: of the tape; negative is backwards.
            runs: the tape moves.
        """
        if self._follow is not None:
            show_s = label.time_s(frames_per_s)
            if self._zero is not None:
                show_s -= replace(self._zero, drop=label.drop).time_s(frames_per_s)
            # Before the show there is its beginning.
            self._follow.say(max(show_s, 0.0), runs=runs and show_s >= 0, at_s=at_s, speed=speed)
        if self._player is not None and self._waiting:
            self._fire(self._player, label, frames_per_s, at_s, speed)

    def _fire(
        self, player: Triggered, label: Timecode, rate: int, at_s: float, speed: float
    ) -> None:
        """Fires what lies between the last label and this one, if the tape ran through it."""
        now = label.count(rate)
        before, then_s = self._last or (now - 1, at_s)
        self._last = now, at_s
        if now == before or speed < 0.0:
            return
        if not 0 < now - before <= rate:
            # It was wound: what it was wound over does not count, where it arrives does.
            before, then_s = now - 1, at_s
        for text, wanted in self._waiting:
            place = replace(wanted, drop=label.drop).count(rate)
            if before < place <= now:
                share = (place - before) / (now - before)
                player.trigger("timecode", text, at_s=then_s + (at_s - then_s) * share)


class Triggered(Protocol):
    """The part of a player that timecode reaches."""

    show: Show

    def trigger(self, kind: TriggerKind, address: str, *, at_s: float | None = None) -> bool: ...


class MidiTimecode:
    """MTC quarter frames and full frames, put together.

    Args:
        hand: hears the labels.
        clock: the run's clock, seconds.
    """

    def __init__(self, hand: TimecodeHand, clock: Callable[[], float]) -> None:
        self._hand, self._clock = hand, clock
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
            self._say(hours >> 5 & 3, hours & 31, minutes, seconds, frames, runs=False)

    def _say(
        self,
        rate: int,
        hours: int,
        minutes: int,
        seconds: int,
        frames: int,
        *,
        runs: bool = True,
    ) -> None:
        nominal = _MTC_RATES[rate]
        label = Timecode(hours, minutes, seconds, frames, drop=rate == _MTC_DROP)
        if not label.is_label(nominal):
            return
        lag_s = _MTC_LAG_FRAMES / nominal if runs else 0.0
        self._hand.hear(label, nominal, self._clock() - lag_s, runs=runs)
