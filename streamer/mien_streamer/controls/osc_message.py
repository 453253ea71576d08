"""Open Sound Control 1.0 on the wire: messages and bundles, read with suspicion.

Written here because what is read comes from a network: python-osc (1.10) does not come back
from a bundle whose elements have negative sizes (found by a test of hostile datagrams).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

MOST_MESSAGES = 64
_DEEPEST = 4
_BUNDLE = b"#bundle\0"
_FIXED = {"i": ">i", "f": ">f", "h": ">q", "d": ">d"}
_WORDS: dict[str, object] = {"T": True, "F": False, "N": None, "I": float("inf")}

Message = tuple[str, list[object]]


def read(datagram: bytes) -> list[Message]:
    """All messages of a datagram, those of bundles too; time tags count as *now*.

    Raises:
        ValueError: it is no OSC, or holds more than anybody would send.
    """
    messages: list[Message] = []
    _read_into(messages, datagram, 0)
    return messages


def _read_into(messages: list[Message], packet: bytes, level: int) -> None:
    if len(packet) % 4:
        raise ValueError("a length that is no multiple of four")
    if not packet.startswith(_BUNDLE):
        if len(messages) >= MOST_MESSAGES:
            raise ValueError("too many messages in one datagram")
        messages.append(_message(packet))
        return
    if level >= _DEEPEST or len(packet) < 16:
        raise ValueError("a bundle nested too deeply, or cut off")
    place = 16
    while place < len(packet):
        (size,) = struct.unpack_from(">i", packet, place)
        if size <= 0 or place + 4 + size > len(packet):
            raise ValueError("a bundle's element of an impossible size")
        _read_into(messages, packet[place + 4 : place + 4 + size], level + 1)
        place += 4 + size


def _message(packet: bytes) -> Message:
    address, place = _text(packet, 0)
    if not address.startswith("/"):
        raise ValueError("an address that does not begin with a slash")
    if place >= len(packet):
        return address, []
    kinds, place = _text(packet, place)
    if not kinds.startswith(","):
        raise ValueError("arguments without their types")
    arguments: list[object] = []
    for kind in kinds[1:]:
        if kind in _WORDS:
            arguments.append(_WORDS[kind])
        elif kind in _FIXED:
            form = _FIXED[kind]
            if place + struct.calcsize(form) > len(packet):
                raise ValueError("an argument that is cut off")
            arguments.append(struct.unpack_from(form, packet, place)[0])
            place += struct.calcsize(form)
        elif kind in "sS":
            text, place = _text(packet, place)
            arguments.append(text)
        else:
            # Blobs, colours and the like mean nothing here, nor does what stands behind them.
            break
    return address, arguments


def _text(packet: bytes, place: int) -> tuple[str, int]:
    end = packet.find(b"\0", place)
    if end < 0:
        raise ValueError("a text without an end")
    return packet[place:end].decode("utf-8"), (end + 4) // 4 * 4


def write(address: str, words: Sequence[str]) -> bytes:
    """A message whose arguments are texts."""
    packed = [address, "," + "s" * len(words), *words]
    return b"".join(_padded(text.encode()) for text in packed)


def _padded(text: bytes) -> bytes:
    return text + b"\0" * (4 - len(text) % 4)
