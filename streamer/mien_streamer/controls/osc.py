"""Orders and feedback by OSC over UDP.

Besides the addresses of the show's cues: ``/mien/go``, ``/mien/back``, ``/mien/hold``
(with 1 or 0, or nothing to turn it over), ``/mien/cue NAME``, and ``/mien/time SECONDS`` for
a show that follows OSC. Feedback goes out as ``/mien/cue/fired NAME`` and so on, and
``/mien/face ROLE PERSONA``.
"""

from __future__ import annotations

import logging
import socket
import struct
import threading
from collections.abc import Callable, Sequence

from mien.errors import DeviceError, UsageError
from mien.shows import Event, ShowPlayer
from mien.shows.follow import FollowedClock
from mien_streamer.controls import osc_message

logger = logging.getLogger(__name__)

Listener = Callable[[str, Sequence[object]], None]

_LARGEST = 4096
_POLL_S = 0.2
_BUFFER_BYTES = 2**20
_COMMANDS = {"/mien/go", "/mien/back", "/mien/hold", "/mien/cue", "/mien/time"}


def parse_endpoint(text: str, *, host: str = "127.0.0.1") -> tuple[str, int]:
    """``9000`` or ``0.0.0.0:9000``.

    Raises:
        UsageError: it is neither.
    """
    where, _, port = text.rpartition(":")
    if not port.isdigit() or not 0 <= int(port) <= 65535:
        raise UsageError(f"{text!r} is no OSC port", "write 9000, or 0.0.0.0:9000 for the network")
    return where.strip("[]") or host, int(port)


class OscControl:
    """Listens in a thread of its own; what it hears reaches the player as orders.

    Whatever comes in, however much, costs the frames nothing but the time of a dictionary
    look-up; datagrams that are no OSC, or that no cue wants, are counted and dropped.

    Attributes:
        endpoint: where it listens.
        heard, malformed: datagrams so far, and those that were no OSC.
    """

    def __init__(
        self,
        player: ShowPlayer | None,
        endpoint: tuple[str, int],
        *,
        follow: FollowedClock | None = None,
        listener: Listener | None = None,
    ) -> None:
        self._player, self._follow, self._listener = player, follow, listener
        self.heard = self.malformed = 0
        family = socket.AF_INET6 if ":" in endpoint[0] else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.bind(endpoint)
        except OSError as error:
            self._socket.close()
            raise DeviceError(
                f"OSC cannot listen at {endpoint[0]}:{endpoint[1]}: {error.strerror or error}",
                "choose another port; is another mien running?",
            ) from error
        self._socket.settimeout(_POLL_S)
        # What the system grants may be less; a burst should not cost the order after it.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        self.endpoint: tuple[str, int] = self._socket.getsockname()[:2]
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="mien-osc", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._closed.set()
        self._thread.join(2.0)
        self._socket.close()

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                datagram = self._socket.recv(_LARGEST)
            except TimeoutError:
                continue
            except OSError as error:
                if not self._closed.is_set():
                    logger.debug("OSC: %s", error)
                continue
            try:
                self._take(datagram)
            except (ValueError, OverflowError, struct.error) as error:
                self.malformed += 1
                logger.debug("no OSC: %s", error)
            finally:
                self.heard += 1

    def _take(self, datagram: bytes) -> None:
        if datagram[:1] == b"/" and not self._is_wanted(datagram):
            return
        for address, arguments in osc_message.read(datagram):
            self._message(address, arguments)

    def _is_wanted(self, datagram: bytes) -> bool:
        if self._listener is not None:
            return True
        address = datagram.split(b"\0", 1)[0].decode("ascii")
        known = self._player is not None and self._player.wants("osc", address)
        return known or address in _COMMANDS

    def _message(self, address: str, arguments: list[object]) -> None:
        if self._listener is not None:
            self._listener(address, arguments)
        player = self._player
        if player is None:
            return
        if address in _COMMANDS:
            self._command(player, address, arguments)
        elif _is_press(arguments):
            player.trigger("osc", address)

    def _command(self, player: ShowPlayer, address: str, arguments: list[object]) -> None:
        first = arguments[0] if arguments else None
        if address == "/mien/time":
            if self._follow is not None and isinstance(first, int | float):
                self._follow.say(float(first))
        elif address == "/mien/hold":
            player.hold(bool(first) if isinstance(first, int | float) else None)
        elif address == "/mien/cue":
            if isinstance(first, str):
                player.fire(first, "osc /mien/cue")
        elif _is_press(arguments):
            (player.go if address == "/mien/go" else player.back)()


def _is_press(arguments: Sequence[object]) -> bool:
    """False for the zero that a button sends when it is let go."""
    first = arguments[0] if arguments else 1
    return not isinstance(first, bool | int | float) or bool(first)


class OscFeedback:
    """Tells others what happens on stage; a listener of the player. Never blocks."""

    def __init__(self, player: ShowPlayer, endpoint: tuple[str, int]) -> None:
        self._player = player
        try:
            known = socket.getaddrinfo(*endpoint, type=socket.SOCK_DGRAM)[0]
        except OSError as error:
            raise DeviceError(
                f"OSC cannot be sent to {endpoint[0]}: {error}", "check the name of the host"
            ) from error
        self._to = known[4]
        self._socket = socket.socket(known[0], socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        player.listen(self._tell)

    def close(self) -> None:
        """Stop sending."""
        self._socket.close()

    def _tell(self, event: Event) -> None:
        if event.kind == "rewound":
            return
        self._send(f"/mien/cue/{event.kind}", event.cue)
        if event.kind == "fired":
            cue = self._player.show.find(event.cue)
            if cue is not None:
                face = cue.to or ("slate" if cue.target == "slate" else "pass-through")
                self._send("/mien/face", cue.performer or "all", face)

    def _send(self, address: str, *words: str) -> None:
        try:
            self._socket.sendto(osc_message.write(address, words), self._to)
        except OSError as error:
            logger.debug("OSC feedback: %s", error)
