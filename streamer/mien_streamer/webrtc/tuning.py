"""Every change that mien makes to aiortc, and the proof that each still fits.

Written against aiortc 1.16 (tried with 1.16.0); releases below 2 are accepted as long as each
adjustment passes its own check. One that does not is left out with a warning, and aiortc works
as it comes from its authors: later by a frame, but right.

- *marker*: a video frame is complete with the packet that carries the RTP marker bit, not only
  when the next frame's first packet arrives (one frame interval sooner). Lost packets are asked
  for again and again instead of once, and a gap that stays open is given up after
  :data:`GIVE_UP_S` instead of after 512 packets, with a new key frame asked for.
- *playout-delay*: the header extension that tells browsers to show frames at once.
- *feedback*: key frame requests and bit rate limits of a viewer reach tracks that deliver
  packets which were encoded elsewhere (:class:`mien_streamer.webrtc.outlet.EncodedTrack`).
- *consent*: a connection that is closed while it connects starts no consent checks, which in
  aioice would run for ever.
- *restart*: ICE restart in place (RFC 9725, section 4.3.3), which aiortc does not offer.
"""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import aioice.ice
import aiortc.rtcrtpreceiver
import aiortc.rtcrtpsender
import aiortc.rtp
from aiortc.codecs import HEADER_EXTENSIONS, is_rtx
from aiortc.jitterbuffer import JitterBuffer
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters
from aiortc.rtp import (
    HeaderExtensionsMap,
    RtpPacket,
    pack_header_extensions,
    unpack_header_extensions,
)
from aiortc.utils import uint16_add

from mien_streamer.webrtc.jitter import PAYLOAD, MarkerJitterBuffer

logger = logging.getLogger(__name__)

# Modules whose contents are replaced: not something that types can follow.
_receiver: Any = aiortc.rtcrtpreceiver
_sender: Any = aiortc.rtcrtpsender
_rtp: Any = aiortc.rtp
_ice: Any = aioice.ice

TRIED = (1, 16)
FIRST_UNKNOWN = (2, 0)
PLAYOUT_DELAY = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
_PLAYOUT_DELAY_ID = 6
ASK_AGAIN_MS = 40
_MOST_FRAMES_PER_PACKET = 64


@runtime_checkable
class FeedbackTrack(Protocol):
    """A track that encodes for itself and wants to hear what the viewer reports."""

    def request_keyframe(self) -> None:
        """The viewer lost the picture."""

    def limit_bit_rate(self, bits_per_s: int) -> None:
        """The viewer's path carries about so much."""


_stock_handle: Callable[..., Any] = _receiver.RTCRtpReceiver._handle_rtp_packet
_stock_keyframe: Callable[..., Any] = _sender.RTCRtpSender._send_keyframe
_stock_feedback: Callable[..., Any] = _sender.RTCRtpSender._handle_rtcp_packet


async def _handle_rtp_packet(self: Any, packet: RtpPacket, arrival_time_ms: int) -> None:
    """aiortc's handler, then: more frames that this packet completed, and lost packets."""
    await _stock_handle(self, packet, arrival_time_ms)
    buffer = self._RTCRtpReceiver__jitter_buffer
    if not isinstance(buffer, MarkerJitterBuffer) or not buffer._is_video:
        return
    codecs = self._RTCRtpReceiver__codecs
    codec = codecs.get(packet.payload_type)
    if codec is not None and is_rtx(codec):
        codec = codecs.get(codec.parameters.get("apt"))
    if codec is None:
        return
    if buffer._origin is not None and self._RTCRtpReceiver__decoder_thread:
        for _ in range(_MOST_FRAMES_PER_PACKET):
            frame = buffer.pop_complete()
            if frame is None:
                break
            frame.timestamp = self._RTCRtpReceiver__timestamp_mapper.map(frame.timestamp)
            self._RTCRtpReceiver__decoder_queue.put((codec, frame))
    await _ask_again(self, packet, buffer, arrival_time_ms)


async def _ask_again(
    receiver: Any, packet: RtpPacket, buffer: MarkerJitterBuffer, now_ms: int
) -> None:
    generator = receiver._RTCRtpReceiver__nack_generator
    if generator is None or not generator.missing:
        return
    # What the buffer gave up needs no second copy.
    for number in list(generator.missing):
        if uint16_add(number, -(buffer._origin or 0)) >= 1 << 15:
            generator.missing.discard(number)
    if generator.missing and now_ms - getattr(receiver, "_mien_asked_ms", 0) >= ASK_AGAIN_MS:
        receiver._mien_asked_ms = now_ms
        await receiver._send_rtcp_nack(packet.ssrc, sorted(generator.missing))


class PlayoutDelayMap(HeaderExtensionsMap):
    """Adds the playout-delay extension to packets whose receiver negotiated it.

    Attributes:
        limits_ms: (least, most) that a receiver may hold a frame back.
    """

    limits_ms = (0, 0)

    def __init__(self) -> None:
        super().__init__()
        self._playout_id: int | None = None

    def configure(self, parameters: Any) -> None:
        """Learns the numbers of the extensions."""
        super().configure(parameters)
        for extension in parameters.headerExtensions:
            if extension.uri == PLAYOUT_DELAY:
                self._playout_id = extension.id

    def set(self, values: Any) -> tuple[int, bytes]:
        """The extensions of one packet as (profile, bytes)."""
        profile, value = super().set(values)
        if self._playout_id is None:
            return profile, value
        extensions = unpack_header_extensions(profile, value)
        extensions.append((self._playout_id, pack_playout_delay(*self.limits_ms)))
        packed: tuple[int, bytes] = pack_header_extensions(extensions)
        return packed


def pack_playout_delay(least_ms: int, most_ms: int) -> bytes:
    """The extension's 3 bytes: two 12-bit numbers in units of 10 ms."""
    least, most = (min(max(round(ms / 10), 0), 0xFFF) for ms in (least_ms, most_ms))
    return ((least << 12) | most).to_bytes(3, "big")


def _send_keyframe(self: Any) -> None:
    _stock_keyframe(self)
    if isinstance(self.track, FeedbackTrack):
        self.track.request_keyframe()


async def _handle_rtcp_packet(self: Any, packet: Any) -> None:
    await _stock_feedback(self, packet)
    if (
        isinstance(packet, aiortc.rtp.RtcpPsfbPacket)
        and packet.fmt == aiortc.rtp.RTCP_PSFB_APP
        and isinstance(self.track, FeedbackTrack)
    ):
        try:
            bits_per_s, sources = aiortc.rtp.unpack_remb_fci(packet.fci)
        except ValueError:
            return
        if self._ssrc in sources:
            self.track.limit_bit_rate(bits_per_s)


_stock_consent: Callable[..., Any] = _ice.Connection.query_consent


async def _query_consent(self: Any) -> None:
    if not self._closing:
        await _stock_consent(self)


def _check_consent() -> str:
    known = hasattr(_ice.Connection(ice_controlling=True), "_closing")
    return "" if known else "a closing connection cannot be told"


def _apply_consent() -> None:
    _ice.Connection.query_consent = _query_consent


def restart_ice(connection: aioice.ice.Connection, username: str, password: str) -> None:
    """Begin a new ICE generation on the sockets of the old one (RFC 8445, section 9).

    The remote side's new candidates are added afterwards with
    :func:`add_restarted_candidate`. Media goes on over the old pair until the remote side,
    which controls, nominates a new one.
    """
    connection._local_username = _ice.random_string(4)
    connection._local_password = _ice.random_string(22)
    connection.remote_username, connection.remote_password = username, password
    connection._remote_candidates = []
    for check in connection._check_list:
        if check.task is not None:
            check.task.cancel()
    connection._check_list = []
    connection._check_list_done = True


def add_restarted_candidate(connection: aioice.ice.Connection, candidate: aioice.Candidate) -> None:
    """Check a candidate of the new generation at once; mDNS names are learnt from the peer."""
    if candidate.host.endswith(".local"):
        return
    connection._add_remote_candidate(candidate, candidate.host)
    for pair in connection._check_list:
        if pair.task is None and pair.state in (
            aioice.ice.CandidatePair.State.FROZEN,
            aioice.ice.CandidatePair.State.WAITING,
        ):
            connection.check_start_task(pair)


def can_restart_ice() -> bool:
    """Whether this aioice has the parts that :func:`restart_ice` works on."""
    wanted = ("_add_remote_candidate", "check_start_task", "_find_pair")
    return all(hasattr(aioice.ice.Connection, name) for name in wanted) and hasattr(
        aioice.ice, "random_string"
    )


def aiortc_version() -> tuple[int, ...]:
    """(major, minor) of the installed aiortc."""
    parts = importlib.metadata.version("aiortc").split(".")
    return tuple(int("".join(c for c in part if c.isdigit()) or 0) for part in parts[:2])


def packets_of(sizes: Iterable[tuple[int, int]], first: int = 0) -> Iterator[RtpPacket]:
    """Test packets: for each (timestamp, number of packets) a frame, its last one marked."""
    number = first
    for timestamp, count in sizes:
        for position in range(count):
            packet = RtpPacket(
                payload_type=96,
                sequence_number=number,
                timestamp=timestamp,
                marker=int(position == count - 1),
            )
            packet.__dict__[PAYLOAD] = b"\x00"
            yield packet
            number = uint16_add(number, 1)


def _check_marker() -> str:
    receiver = aiortc.rtcrtpreceiver
    for name in ("JitterBuffer", "NackGenerator", "decoder_worker"):
        if not hasattr(receiver, name):
            return f"rtcrtpreceiver has no {name}"
    buffer = MarkerJitterBuffer(capacity=128, is_video=True)
    emitted = [buffer.add(packet)[1] for packet in packets_of([(0, 2), (3000, 1)])]
    if [frame is not None for frame in emitted] != [False, True, True]:
        return "frames are not complete with their marker"
    return ""


def _check_playout() -> str:
    table = PlayoutDelayMap()
    table._playout_id = _PLAYOUT_DELAY_ID
    _, value = table.set(aiortc.rtp.HeaderExtensions())
    expected = bytes([_PLAYOUT_DELAY_ID << 4 | 2]) + pack_playout_delay(*table.limits_ms)
    if not value.startswith(expected):
        return "header extensions are packed in another way"
    return "" if hasattr(aiortc.rtcrtpsender, "rtp") else "the sender finds its map elsewhere"


def _check_feedback() -> str:
    known = hasattr(aiortc.rtp, "unpack_remb_fci") and hasattr(aiortc.rtp, "RTCP_PSFB_APP")
    return "" if known else "bit rate reports are read in another way"


def _apply_marker() -> None:
    _receiver.JitterBuffer = MarkerJitterBuffer
    _receiver.RTCRtpReceiver._handle_rtp_packet = _handle_rtp_packet


def _apply_playout() -> None:
    extension = RTCRtpHeaderExtensionParameters(id=_PLAYOUT_DELAY_ID, uri=PLAYOUT_DELAY)
    if all(known.uri != PLAYOUT_DELAY for known in HEADER_EXTENSIONS["video"]):
        HEADER_EXTENSIONS["video"].append(extension)
    _rtp.HeaderExtensionsMap = PlayoutDelayMap


def _apply_feedback() -> None:
    _sender.RTCRtpSender._send_keyframe = _send_keyframe
    _sender.RTCRtpSender._handle_rtcp_packet = _handle_rtcp_packet


_ADJUSTMENTS: dict[str, tuple[Callable[[], str], Callable[[], None]]] = {
    "marker": (_check_marker, _apply_marker),
    "playout-delay": (_check_playout, _apply_playout),
    "feedback": (_check_feedback, _apply_feedback),
    "consent": (_check_consent, _apply_consent),
}


def tune(version: tuple[int, ...] | None = None) -> list[str]:
    """Adjusts aiortc in this process, once for all connections made from now on.

    Returns:
        Names of the adjustments that are in force; the others are warned about.
    """
    found = version or aiortc_version()
    if not TRIED <= found[:2] < FIRST_UNKNOWN:
        logger.warning(
            "aiortc %s is not a release that mien knows how to speed up (%d.%d up to %d); it is "
            "used as it is, about two frames later",
            ".".join(map(str, found)), *TRIED, FIRST_UNKNOWN[0],
        )  # fmt: skip
        return []
    applied = []
    for name, (check, apply) in _ADJUSTMENTS.items():
        try:
            problem = check()
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
        if problem:
            logger.warning("aiortc is used without the adjustment %r: %s", name, problem)
            continue
        apply()
        applied.append(name)
    return applied


def untune() -> None:
    """aiortc as its authors made it, for connections made from now on."""
    _receiver.JitterBuffer = JitterBuffer
    _receiver.RTCRtpReceiver._handle_rtp_packet = _stock_handle
    _rtp.HeaderExtensionsMap = HeaderExtensionsMap
    HEADER_EXTENSIONS["video"][:] = [
        known for known in HEADER_EXTENSIONS["video"] if known.uri != PLAYOUT_DELAY
    ]
    _sender.RTCRtpSender._send_keyframe = _stock_keyframe
    _sender.RTCRtpSender._handle_rtcp_packet = _stock_feedback
    _ice.Connection.query_consent = _stock_consent


@contextmanager
def tuned() -> Iterator[list[str]]:
    """Adjustments for the length of a ``with`` block."""
    try:
        yield tune()
    finally:
        untune()
