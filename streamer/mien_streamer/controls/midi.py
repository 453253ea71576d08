"""Orders, clocks and feedback by MIDI.

Notes, controllers (when they rise past the middle) and program changes fire cues; MIDI clock
and timecode move the playhead of a show that follows them. Out go a program change with the
number of the cue that fired, from 0.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from mien.errors import DeviceError, MissingError
from mien.shows import Event, ShowPlayer
from mien.shows.follow import FollowedClock, MidiClock, MidiTimecode, TimecodeHand

try:
    import mido
except ImportError as error:
    raise MissingError(f"MIDI needs a library: {error}", "pip install 'mien[shows]'") from error

logger = logging.getLogger(__name__)

_WATCH_S = 1.0
_MIDDLE = 64
_CLOCK_KINDS = {"clock", "start", "stop", "continue", "songpos"}


class InputPort(Protocol):
    """What a port of mido offers, and a test's port too."""

    name: str
    callback: Callable[[Any], None] | None

    def close(self) -> None: ...


class OutputPort(Protocol):
    """Where messages go."""

    def send(self, message: Any) -> None: ...
    def close(self) -> None: ...


def input_names() -> list[str]:
    """MIDI inputs of this machine; empty where it has no MIDI at all."""
    return _names(lambda: mido.get_input_names())


def output_names() -> list[str]:
    """MIDI outputs of this machine; empty where it has no MIDI at all."""
    return _names(lambda: mido.get_output_names())


def backend_problem() -> str:
    """Why this machine has no MIDI at all; empty where it has."""
    try:
        with _silent_driver():
            mido.get_input_names()
    except Exception as error:
        # Without a sequencer the driver fails in ways of its own.
        return " ".join(str(error).split()) or type(error).__name__
    return ""


@contextmanager
def _silent_driver() -> Iterator[None]:
    """Keeps the driver's own complaints off the terminal; for commands, not for a live run."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _names(ask: Callable[[], list[str]]) -> list[str]:
    try:
        return list(dict.fromkeys(ask()))
    except Exception as error:
        # Without a sequencer the driver fails in ways of its own.
        logger.debug("no MIDI: %s", error)
        return []


def open_input(wanted: str) -> InputPort:
    """The input whose name holds ``wanted``; ``virtual:NAME`` makes one that others see.

    Raises:
        DeviceError: there is none, or it cannot be opened.
    """
    port: InputPort = _open(wanted, input_names(), mido.open_input)
    return port


def open_output(wanted: str) -> OutputPort:
    """The output whose name holds ``wanted``; ``virtual:NAME`` makes one.

    Raises:
        DeviceError: there is none, or it cannot be opened.
    """
    port: OutputPort = _open(wanted, output_names(), mido.open_output)
    return port


def _open(wanted: str, names: list[str], opener: Callable[..., Any]) -> Any:
    kind, _, virtual = wanted.partition(":")
    try:
        if kind == "virtual" and virtual:
            return opener(virtual, virtual=True)
        found = next((name for name in names if wanted.lower() in name.lower()), None)
        if found is not None:
            return opener(found)
    except Exception as error:
        raise DeviceError(
            f"the MIDI port {wanted!r} cannot be opened: {error}",
            "close the program that holds it, or plug it in again",
        ) from error
    known = f"choose from: {', '.join(names)}" if names else "plug one in; none is there"
    raise DeviceError(f"no MIDI port is called {wanted!r}", known)


class MidiControl:
    """Takes messages in the port's own thread; the player gets orders, never exceptions.

    A port that vanishes is waited for and taken up again when it is back.

    Args:
        player: whom to order.
        port: an open input.
        follow: the clock that a following show reads, if it follows MIDI.
        names: inputs present now; None where the port cannot vanish.
        reopen: opens the port by its name.
        listener: hears ``note 36 channel 10`` and so on, for learning.
        clock: the run's clock, seconds.
    """

    def __init__(
        self,
        player: ShowPlayer | None,
        port: InputPort,
        *,
        follow: FollowedClock | None = None,
        names: Callable[[], list[str]] | None = None,
        reopen: Callable[[str], InputPort] = open_input,
        listener: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._player, self._listener = player, listener
        self._name = port.name
        self._names, self._reopen = names, reopen
        self._values: dict[tuple[int, int], int] = {}
        self._pulses: MidiClock | None = None
        self._timecode: MidiTimecode | None = None
        if player is not None:
            if follow is not None and player.show.follow == "midi-clock":
                self._pulses = MidiClock(follow, player.show.tempo)
            if player.show.wants_timecode:
                leads = follow if player.show.follow == "mtc" else None
                hand = TimecodeHand(player, leads, player.show.zero)
                self._timecode = MidiTimecode(hand, clock)
        self.is_there = True
        self._port: InputPort | None = port
        port.callback = self.take
        self._closed = threading.Event()
        self._watch: threading.Thread | None = None
        if names is not None:
            self._watch = threading.Thread(target=self._watching, name="mien-midi", daemon=True)
            self._watch.start()

    def close(self) -> None:
        """Close the port."""
        self._closed.set()
        if self._watch is not None:
            self._watch.join(2.0)
        self._drop()

    def take(self, message: Any) -> None:
        """One message, as the port hands it over."""
        try:
            self._take(message)
        except Exception as error:
            logger.debug("MIDI message ignored: %s", error)

    def _take(self, message: Any) -> None:
        kind = message.type
        if kind in _CLOCK_KINDS:
            if self._pulses is not None:
                self._pulses.message(kind, getattr(message, "pos", 0))
        elif kind == "quarter_frame":
            if self._timecode is not None:
                self._timecode.quarter_frame(message.frame_type, message.frame_value)
        elif kind == "sysex":
            if self._timecode is not None:
                self._timecode.full_frame(tuple(message.data))
        else:
            address = self._pressed(message, kind)
            if address:
                self._fire(address, message.channel + 1)

    def _pressed(self, message: Any, kind: str) -> str:
        if kind == "note_on" and message.velocity > 0:
            return f"note {message.note}"
        if kind == "program_change":
            return f"program {message.program}"
        if kind != "control_change":
            return ""
        key = (message.channel, message.control)
        before, self._values[key] = self._values.get(key, 0), message.value
        return f"cc {message.control}" if before < _MIDDLE <= message.value else ""

    def _fire(self, address: str, channel: int) -> None:
        exact = f"{address} channel {channel}"
        if self._listener is not None:
            self._listener(exact)
        if self._player is not None:
            self._player.trigger("midi", exact)
            self._player.trigger("midi", address)

    def _watching(self) -> None:
        assert self._names is not None
        while not self._closed.wait(_WATCH_S):
            present = self._name in self._names()
            if self.is_there and not present:
                logger.warning("the MIDI port %s has gone; waiting for it", self._name)
                self._drop()
                self.is_there = False
            elif present and not self.is_there:
                try:
                    self._port = self._reopen(self._name)
                except DeviceError as error:
                    logger.debug("not yet: %s", error)
                    continue
                self._port.callback = self.take
                self.is_there = True
                logger.warning("the MIDI port %s is back", self._name)

    def _drop(self) -> None:
        port, self._port = self._port, None
        if port is None:
            return
        try:
            port.close()
        except Exception as error:
            logger.debug("closing MIDI: %s", error)


class MidiFeedback:
    """Sends a program change for every cue that fires; a listener of the player."""

    def __init__(self, player: ShowPlayer, port: OutputPort, *, channel: int = 1) -> None:
        self._port, self._channel = port, channel - 1
        self._numbers = {cue.name: place % 128 for place, cue in enumerate(player.show.cues)}
        player.listen(self._tell)

    def close(self) -> None:
        """Close the port."""
        try:
            self._port.close()
        except Exception as error:
            logger.debug("closing MIDI: %s", error)

    def _tell(self, event: Event) -> None:
        if event.kind != "fired":
            return
        number = self._numbers[event.cue]
        try:
            self._port.send(mido.Message("program_change", channel=self._channel, program=number))
        except Exception as error:
            logger.debug("MIDI feedback: %s", error)
