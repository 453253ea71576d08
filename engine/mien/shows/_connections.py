"""The tables of a show file that say what is connected: sound and ports."""

from __future__ import annotations

from typing import Any

from mien.shows._fields import Fields, is_int, number
from mien.shows.show import Ports, Show, Sound, Span
from mien.shows.tempo import TempoMap
from mien.shows.values import read_span

SOUND_KEYS = ("sensitivity", "gap", "channel", "timecode_channel")
PORT_KEYS = ("osc", "osc_out", "midi", "midi_out", "audio_in")

_MOST_CHANNELS = 32
_LONGEST_GAP_S = 10.0


def read_sound(fields: Fields, table: dict[str, Any]) -> Sound:
    """The table ``[sound]``; channels count from 1 there."""
    path = ("sound",)
    fields.known(table, SOUND_KEYS, path)
    usual = Sound()
    gap = fields.value(
        table, "gap", path, lambda value: read_span(value, TempoMap()), Span(usual.gap_s)
    )
    if gap.unit != "s" or gap.amount > _LONGEST_GAP_S:
        fields.say((*path, "gap"), "no usable gap", 'write a time up to 10 s, like "120ms"')
        gap = Span(usual.gap_s)
    return Sound(
        sensitivity=fields.value(table, "sensitivity", path, _share, usual.sensitivity),
        gap_s=gap.amount,
        channel=fields.value(table, "channel", path, _channel, None),
        timecode_channel=fields.value(table, "timecode_channel", path, _channel, None),
    )


def read_ports(fields: Fields, table: dict[str, Any]) -> Ports:
    """The table ``[ports]``."""
    fields.known(table, PORT_KEYS, ("ports",))
    words = {key: fields.text(table, key, ("ports",), "") or None for key in PORT_KEYS}
    return Ports(**words)


def check_sound(fields: Fields, show: Show) -> None:
    """What is odd, though it can be played."""
    if show.zero is not None and show.follow not in ("mtc", "ltc"):
        fields.say(
            ("clock", "zero"),
            "nothing follows timecode, so its zero means nothing",
            'add follow = "ltc" or "mtc" to [clock], or leave zero out',
            fatal=False,
        )
    sound = show.sound
    if show.wants_onsets and sound.channel is not None and sound.channel == sound.timecode_channel:
        fields.say(
            ("sound", "timecode_channel"),
            "onsets would be heard in the timecode",
            "give channel and timecode_channel different numbers",
        )
    unnamed = sound.channel is None and sound.timecode_channel is None
    if show.wants_onsets and show.follow == "ltc" and unnamed:
        fields.say(
            ("sound",),
            "the first moment of timecode may count as an onset",
            "say where it is: timecode_channel = 2 under [sound]",
            fatal=False,
        )


def _share(value: object) -> float:
    share = number(value)
    if not 0.0 <= share <= 1.0:
        raise ValueError("write 0.0 (hard hits only) to 1.0 (every touch)")
    return share


def _channel(value: object) -> int:
    if not is_int(value) or not isinstance(value, int) or not 1 <= value <= _MOST_CHANNELS:
        raise ValueError("channels count from 1: left is 1, right is 2")
    return value - 1
