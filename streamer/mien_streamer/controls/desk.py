"""All the hands on a show at once: what the command line opens and closes."""

from __future__ import annotations

from contextlib import ExitStack

from mien.closing import Closing
from mien.shows import ShowPlayer
from mien.shows.follow import FollowedClock


class Desk(Closing):
    """OSC and MIDI, in and out, and sound in, for one player. The thread that opens it closes it.

    Args:
        player: whom to order and to listen to.
        osc: ``PORT`` or ``HOST:PORT`` to listen at; None for no OSC.
        osc_out: where to send what happens.
        midi: part of an input's name, or ``virtual:NAME``.
        midi_out: part of an output's name, or ``virtual:NAME``.
        audio_in: sound to listen to: a device, ``alsa:NAME`` or ``file:PATH``.
        follow: the clock of a show that follows another machine.

    Raises:
        MienError: a port cannot be opened; those that were are closed.
    """

    def __init__(
        self,
        player: ShowPlayer,
        *,
        osc: str | None = None,
        osc_out: str | None = None,
        midi: str | None = None,
        midi_out: str | None = None,
        audio_in: str | None = None,
        follow: FollowedClock | None = None,
    ) -> None:
        self._open = ExitStack()
        leads = player.show.follow
        with ExitStack() as opened:
            if osc or osc_out:
                from mien_streamer.controls.osc import OscControl, OscFeedback, parse_endpoint

                if osc:
                    by_osc = follow if leads == "osc" else None
                    control = OscControl(player, parse_endpoint(osc), follow=by_osc)
                    opened.callback(control.close)
                if osc_out:
                    sending = OscFeedback(player, parse_endpoint(osc_out))
                    opened.callback(sending.close)
            if midi or midi_out:
                from mien_streamer.controls import midi as ports

                if midi:
                    port = ports.open_input(midi)
                    names = None if midi.startswith("virtual:") else ports.input_names
                    pads = ports.MidiControl(player, port, follow=follow, names=names)
                    opened.callback(pads.close)
                if midi_out:
                    lamps = ports.MidiFeedback(player, ports.open_output(midi_out))
                    opened.callback(lamps.close)
            if audio_in:
                from mien_streamer.controls.sound import SoundControl
                from mien_streamer.controls.sound_input import open_sound

                named = (player.show.sound.channel, player.show.sound.timecode_channel)
                sound = open_sound(audio_in, max(2, *((place or 0) + 1 for place in named)))
                opened.callback(sound.close)
                by_ear = follow if leads == "ltc" else None
                opened.callback(SoundControl(player, sound, follow=by_ear).close)
            self._open = opened.pop_all()

    def close(self) -> None:
        """Let go of every port."""
        self._open.close()
