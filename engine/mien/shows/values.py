"""The small languages inside a show file: times, spans, triggers."""

from __future__ import annotations

import re
from math import isfinite

from mien.shows.show import Span, Trigger, TriggerKind
from mien.shows.tempo import TempoMap
from mien.shows.timecode import read_timecode

RESERVED_KEYS = {"q", "b", "h", "space", "escape", "left", "right", "up", "down"}
"""Keys of the preview window that keep their meaning in a show."""

LONGEST_S = 24 * 3600.0

_NUMBER = r"-?\d+(?:\.\d+)?"
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:\.\d+)?)")
_SECONDS = re.compile(rf"({_NUMBER})\s*s")
_BAR = re.compile(rf"bar\s+(\d+)(?:\s+beat\s+({_NUMBER}))?")
_BEAT = re.compile(rf"beat\s+({_NUMBER})")
_SPAN = re.compile(rf"({_NUMBER})\s*(s|ms|beats?|bars?)")
_MIDI = re.compile(r"(note|cc|program)\s+(\d{1,3})(?:\s+channel\s+(\d{1,2}))?")
_OSC = re.compile(r"/[^\s#*,?\[\]{}]{1,200}")


def read_time(value: object, tempo: TempoMap) -> float:
    """Show time in seconds from ``12.5``, ``"12.5s"``, ``"1:02.5"``, ``"bar 3 beat 2"``.

    Raises:
        ValueError: with what to write instead.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _in_range(float(value))
    if not isinstance(value, str):
        raise ValueError('write a time like "bar 5", "bar 5 beat 2.5", "beat 17" or "12.5s"')
    text = " ".join(value.lower().split())
    if match := _SECONDS.fullmatch(text):
        return _in_range(float(match[1]))
    if match := _CLOCK.fullmatch(text):
        return _in_range(int(match[1] or 0) * 3600 + int(match[2]) * 60 + float(match[3]))
    if match := _BAR.fullmatch(text):
        bar, beat = int(match[1]), float(match[2] or 1)
        if bar < 1 or not 1 <= beat < tempo.beats_per_bar + 1:
            raise ValueError(f"bars count from 1, beats from 1 to below {tempo.beats_per_bar + 1}")
        return _in_range(tempo.seconds(tempo.beat_of_bar(bar, beat)))
    if match := _BEAT.fullmatch(text):
        if float(match[1]) < 1:
            raise ValueError("beats count from 1: beat 1 is the first of bar 1")
        return _in_range(tempo.seconds(float(match[1]) - 1))
    raise ValueError('write a time like "bar 5", "bar 5 beat 2.5", "beat 17" or "12.5s"')


def read_span(value: object, tempo: TempoMap) -> Span:
    """A length from ``0.5``, ``"0.5s"``, ``"200ms"``, ``"1 beat"``, ``"2 bars"``.

    Raises:
        ValueError: with what to write instead.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Span(_in_range(float(value)))
    match = _SPAN.fullmatch(" ".join(value.lower().split())) if isinstance(value, str) else None
    if match is None:
        raise ValueError('write a length like "1 beat", "2 bars", "0.5s" or "200ms"')
    amount = _in_range(float(match[1]))
    if match[2].startswith("bar"):
        return Span(amount * tempo.beats_per_bar, "beats")
    if match[2].startswith("beat"):
        return Span(amount, "beats")
    return Span(amount / 1000.0 if match[2] == "ms" else amount)


def read_trigger(kind: TriggerKind, value: object, tempo: TempoMap | None = None) -> Trigger:
    """One trigger, its address in one way of writing.

    Args:
        kind: what it is.
        value: as it is written in the file.
        tempo: for an onset after a certain bar.

    Raises:
        ValueError: with what to write instead.
    """
    text = " ".join(value.split()) if isinstance(value, str) else ""
    if not text:
        raise ValueError(f"{kind} wants a text in quotes")
    if kind == "osc":
        if _OSC.fullmatch(text) is None:
            raise ValueError('write an OSC address like "/mien/kai", without blanks or patterns')
        return Trigger(kind, text)
    if kind == "midi":
        match = _MIDI.fullmatch(text.lower())
        if match is None or int(match[2]) > 127 or not 1 <= int(match[3] or 1) <= 16:
            raise ValueError(
                'write "note 36", "cc 7" or "program 3" (0 to 127), '
                'and "channel 10" (1 to 16) after it if it matters'
            )
        channel = f" channel {int(match[3])}" if match[3] else ""
        return Trigger(kind, f"{match[1]} {int(match[2])}{channel}")
    if kind == "timecode":
        return Trigger(kind, str(read_timecode(text)))
    if kind == "onset":
        return _onset(text.lower(), tempo or TempoMap())
    if kind == "key":
        if len(text) > 20:
            raise ValueError('name a key, like "k", "3" or "f5"')
        if text.lower() in RESERVED_KEYS:
            raise ValueError(f"{text!r} does something else in mien; choose another key")
        return Trigger(kind, text.lower())
    if len(text) > 60:
        raise ValueError("a button's name has at most 60 characters")
    return Trigger(kind, text)


def _onset(text: str, tempo: TempoMap) -> Trigger:
    if text in ("any", "next"):
        return Trigger("onset", text)
    try:
        return Trigger("onset", "from", read_time(text.removeprefix("from "), tempo))
    except ValueError as error:
        raise ValueError(
            'write "next" (the first while GO would take this cue), "any", or the time from '
            f'which the first counts: "from bar 9" ({error})'
        ) from error


def _in_range(seconds: float) -> float:
    if not isfinite(seconds) or seconds < 0.0:
        raise ValueError("it must not be negative")
    if seconds > LONGEST_S:
        raise ValueError("it lies more than a day away")
    return seconds
