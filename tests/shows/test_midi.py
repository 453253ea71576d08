"""Orders and clocks by MIDI, through injected ports, and virtual ones where there are any."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import mido
import pytest

from mien.errors import DeviceError
from mien.look import EVERYONE
from mien.shows import ShowPlayer
from mien.shows.follow import SILENCE_S, FollowedClock, MidiClock, MidiTimecode, TimecodeHand
from mien.shows.tempo import TempoMap
from mien_streamer.controls import midi
from tests.shows.shows import HEAD, cue, show_of


class InjectedPort:
    """A port that a test plays on."""

    def __init__(self, name: str = "pad") -> None:
        self.name = name
        self.callback: Callable[[Any], None] | None = None
        self.closed = False
        self.sent: list[Any] = []

    def play(self, kind: str, **values: Any) -> None:
        assert self.callback is not None
        self.callback(mido.Message(kind, **values))

    def send(self, message: Any) -> None:
        if self.closed:
            raise OSError("the cable was pulled")
        self.sent.append(message)

    def close(self) -> None:
        self.closed = True


def make_player(*cues: str, follow: str = "own") -> ShowPlayer:
    head = HEAD.replace("bpm = 120", f'bpm = 120\nfollow = "{follow}"')
    player = ShowPlayer(show_of(*cues, head=head))
    player.advance(0.0)
    return player


def wears(player: ShowPlayer) -> str:
    player.advance(player.state().show_s + 0.01)
    return player.state().wears[EVERYONE]


def test_notes_controllers_and_programs_fire_cues() -> None:
    player = make_player(
        cue("note", midi="note 36", transition="cut"),
        cue("cc", midi="cc 7", to="mei", transition="cut"),
        cue("program", midi="program 2 channel 3", transition="cut"),
    )
    port = InjectedPort()
    control = midi.MidiControl(player, port)
    port.play("note_on", note=36, velocity=90, channel=9)
    assert wears(player) == "kai"
    for value, worn in ((10, "kai"), (63, "kai"), (64, "mei")):
        port.play("control_change", control=7, value=value)
        assert wears(player) == worn
    port.play("program_change", program=2, channel=1)
    assert wears(player) == "mei"
    port.play("program_change", program=2, channel=2)
    assert wears(player) == "kai"
    control.close()
    assert port.closed


def test_a_note_let_go_or_struck_with_no_force_does_nothing() -> None:
    player = make_player(cue("note", midi="note 36", transition="cut"))
    port = InjectedPort()
    midi.MidiControl(player, port)
    port.play("note_off", note=36)
    port.play("note_on", note=36, velocity=0)
    assert wears(player) == "ada"


def test_a_channel_that_is_named_matters() -> None:
    player = make_player(cue("note", midi="note 36 channel 10", transition="cut"))
    port = InjectedPort()
    midi.MidiControl(player, port)
    port.play("note_on", note=36, channel=0)
    assert wears(player) == "ada"
    port.play("note_on", note=36, channel=9)
    assert wears(player) == "kai"


def test_odd_messages_reach_nobody() -> None:
    player = make_player(cue("note", midi="note 36", transition="cut"))
    port = InjectedPort()
    control = midi.MidiControl(player, port, follow=FollowedClock(lambda: 0.0))
    for kind in ("sysex", "active_sensing", "reset", "tune_request", "aftertouch", "pitchwheel"):
        port.play(kind)
    for nonsense in (None, 3, "note_on", object()):
        control.take(nonsense)
    assert wears(player) == "ada"


def test_a_port_that_vanishes_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(midi, "_WATCH_S", 0.01)
    present = ["pad"]
    again = InjectedPort()
    player = make_player(cue("note", midi="note 36", transition="cut"))
    first = InjectedPort()
    control = midi.MidiControl(player, first, names=lambda: present, reopen=lambda name: again)
    present.clear()
    wait_for(lambda: not control.is_there)
    assert first.closed
    assert wears(player) == "ada"
    present.append("pad")
    wait_for(lambda: control.is_there)
    again.play("note_on", note=36)
    assert wears(player) == "kai"
    control.close()


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 5.0
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_feedback_is_the_number_of_the_cue_and_a_pulled_cable_is_no_matter() -> None:
    player = make_player(cue("one"), cue("two", to="mei"))
    port = InjectedPort()
    midi.MidiFeedback(player, port, channel=3)
    player.fire("two")
    wears(player)
    (message,) = port.sent
    assert (message.type, message.program, message.channel) == ("program_change", 1, 2)
    port.close()
    player.fire("one")
    wears(player)


def test_ports_that_do_not_exist_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError, match="no-such-pad"):
        midi.open_input("no-such-pad")
    monkeypatch.setattr(midi, "output_names", lambda: ["Synth A", "Synth B"])
    with pytest.raises(DeviceError, match="Synth A, Synth B"):
        midi.open_output("no-such-synth")


def has_sequencer() -> bool:
    try:
        import rtmidi

        rtmidi.MidiIn().delete()
    except Exception:
        return False
    return True


@pytest.mark.skipif(not has_sequencer(), reason="this machine has no MIDI sequencer")
def test_through_a_virtual_port() -> None:
    player = make_player(cue("note", midi="note 36", transition="cut"))
    control = midi.MidiControl(player, midi.open_input("virtual:mien test"))
    sender = midi.open_output("mien test")
    sender.send(mido.Message("note_on", note=36, velocity=100))
    wait_for(lambda: wears(player) == "kai")
    sender.close()
    control.close()


class Hand:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_followed_clock_runs_on_between_its_words_and_stops_in_silence() -> None:
    hand = Hand()
    clock = FollowedClock(hand)
    assert clock.read(hand.now_s) == 0.0
    clock.say(5.0)
    assert clock.read(hand.now_s + 0.2) == pytest.approx(5.2)
    assert clock.read(hand.now_s + 60) == pytest.approx(5.0 + SILENCE_S)
    for nonsense in (-1.0, float("nan"), float("inf"), 1e9):
        clock.say(nonsense)
    assert clock.read(hand.now_s) == 5.0
    hand.now_s += 0.1
    clock.stop()
    assert clock.read(hand.now_s + 5) == pytest.approx(5.1)


def test_midi_clock_counts_beats_of_the_shows_own_tempo() -> None:
    hand = Hand()
    clock = FollowedClock(hand)
    pulses = MidiClock(clock, TempoMap([(0, 120), (4, 60)]))
    pulses.message("clock")
    assert clock.read(hand.now_s) == 0.0
    pulses.message("start")
    for _ in range(1 + 24 * 6):
        pulses.message("clock")
    assert clock.read(hand.now_s) == pytest.approx(2.0 + 2.0)
    pulses.message("stop")
    pulses.message("clock")
    assert clock.read(hand.now_s) == pytest.approx(4.0)
    pulses.message("songpos", 8)
    pulses.message("continue")
    pulses.message("clock")
    assert clock.read(hand.now_s) == pytest.approx(1.0)


def mtc(hours: int, minutes: int, seconds: int, frames: int, rate: int) -> list[tuple[int, int]]:
    values = [frames & 15, frames >> 4, seconds & 15, seconds >> 4, minutes & 15, minutes >> 4]
    values += [hours & 15, hours >> 4 | rate << 1]
    return list(enumerate(values))


def test_timecode_is_put_together_from_eight_pieces() -> None:
    hand = Hand()
    clock = FollowedClock(hand)
    timecode = MidiTimecode(TimecodeHand(None, clock), hand)
    for piece, value in mtc(1, 2, 3, 10, 1):
        timecode.quarter_frame(piece, value)
    assert clock.read(hand.now_s) == pytest.approx(3723 + 12 / 25)
    for piece, value in mtc(0, 0, 9, 0, 3)[:5]:
        timecode.quarter_frame(piece, value)
    timecode.quarter_frame(2, 3)
    assert clock.read(hand.now_s) == pytest.approx(3723 + 12 / 25), "half a time says nothing"
    for piece, value in [*mtc(29, 61, 3, 10, 1), (9, 0), (0, 99)]:
        timecode.quarter_frame(piece, value)
    assert clock.read(hand.now_s) == pytest.approx(3723 + 12 / 25), "29 h 61 min is no time"
    timecode.full_frame((0x7F, 0x7F, 1, 1, 3 << 5, 0, 7, 15))
    assert clock.read(hand.now_s + 9) == pytest.approx(7.5)
    timecode.full_frame((0x7F, 0x7F, 1))


def test_a_show_that_follows_timecode_fires_its_cues_by_it() -> None:
    hand = Hand()
    clock = FollowedClock(hand)
    player = make_player(cue("one", at="7s", transition="cut"), follow="mtc")
    port = InjectedPort()
    midi.MidiControl(player, port, follow=clock, clock=hand)
    for expected, second in (("ada", 6), ("kai", 7)):
        for piece, value in mtc(0, 0, second, 0, 3):
            port.play("quarter_frame", frame_type=piece, frame_value=value)
        player.advance(hand.now_s, clock.read(hand.now_s))
        assert player.state().wears[EVERYONE] == expected


def test_a_cue_waits_for_a_label_whatever_clock_the_show_has() -> None:
    hand = Hand()
    player = make_player(cue("one", timecode="00:00:07:12", transition="cut"))
    port = InjectedPort()
    midi.MidiControl(player, port, clock=hand)
    for expected, frames in (("ada", 8), ("ada", 10), ("kai", 12)):
        for piece, value in mtc(0, 0, 7, frames, 1):
            port.play("quarter_frame", frame_type=piece, frame_value=value)
        hand.now_s += 2 / 25
        assert wears(player) == expected


def test_drop_frame_timecode_keeps_to_the_wall_across_a_minute() -> None:
    hand = Hand()
    clock = FollowedClock(hand)
    timecode = MidiTimecode(TimecodeHand(None, clock), hand)
    read = []
    for seconds, frames, minutes in ((59, 28, 0), (0, 2, 1)):
        for piece, value in mtc(0, minutes, seconds, frames, 2):
            timecode.quarter_frame(piece, value)
        read.append(clock.read(hand.now_s))
    assert read[1] - read[0] == pytest.approx(2 * 1001 / 30000)
