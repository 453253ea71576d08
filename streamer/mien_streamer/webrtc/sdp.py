"""Offers, answers and trickled fragments as text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from aiortc import RTCIceCandidate, RTCPeerConnection
from aiortc.codecs import CODECS as AIORTC_CODECS
from aiortc.rtcpeerconnection import find_common_codecs
from aiortc.sdp import SessionDescription, candidate_from_sdp, candidate_to_sdp

from mien_streamer.webrtc.encoding import CODECS, CodecName, bit_rates

MOST_OFFER_BYTES = 64 * 1024
MOST_FRAGMENT_BYTES = 16 * 1024
_MOST_CANDIDATES = 64
_UPLINK = bit_rates(1280, 720)


class SdpError(ValueError):
    """A description that cannot be worked with.

    Attributes:
        status: HTTP status that tells the client so: 400 malformed, 422 understood but not
            possible here.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What matters in an offer.

    Attributes:
        text: the offer itself.
        codecs: those of its video codecs that mien speaks, best first.
        audio: an audio section is there.
        username: names the client's ICE generation.
    """

    text: str
    codecs: tuple[CodecName, ...]
    audio: bool
    username: str


def read_offer(text: str, *, sends: bool) -> Offer:
    """Checks an offer before any connection is made.

    Args:
        text: the SDP.
        sends: the client means to send (WHIP); else to receive (WHEP).

    Raises:
        SdpError: it is malformed, has no usable video, or the direction is wrong.
    """
    if not text.startswith("v=0"):
        raise SdpError(400, "not SDP: it does not begin with v=0")
    try:
        parsed = SessionDescription.parse(text)
    except Exception as error:
        raise SdpError(400, f"malformed SDP: {type(error).__name__}") from error
    videos = [media for media in parsed.media if media.kind == "video" and media.port]
    if not videos:
        raise SdpError(422, "no video section (m=video) in the offer")
    if len(videos) > 1 or len(parsed.media) > 4:
        raise SdpError(422, "one video section at most")
    video = videos[0]
    if not video.ice or not video.ice.usernameFragment or not video.ice.password:
        raise SdpError(400, "no ICE credentials in the offer")
    if not video.dtls or not video.dtls.fingerprints:
        raise SdpError(400, "no DTLS fingerprint in the offer")
    wanted = ("sendonly", "sendrecv") if sends else ("recvonly", "sendrecv")
    if video.direction is not None and video.direction not in wanted:
        raise SdpError(422, f"the video is {video.direction}, expected {wanted[0]}")
    common = find_common_codecs(AIORTC_CODECS["video"], video.rtp.codecs)
    offered = {codec.name.upper() for codec in common}
    codecs = tuple(name for name in CODECS if name in offered)
    if not codecs:
        raise SdpError(422, "no video codec in common: H264 and VP8 are spoken here")
    audio = any(media.kind == "audio" and media.port for media in parsed.media)
    return Offer(text=text, codecs=codecs, audio=audio, username=video.ice.usernameFragment)


def with_uplink_rates(answer: str) -> str:
    """The answer with the bit rates that Chromium is to send with.

    Without them its estimate starts at 0.3 Mb/s and the picture shrinks to 480x270.
    """
    rates = (
        f"x-google-min-bitrate={_UPLINK.floor // 1000};"
        f"x-google-start-bitrate={_UPLINK.start // 1000};"
        f"x-google-max-bitrate={_UPLINK.ceiling // 1000}"
    )
    lines = answer.split("\r\n")
    kinds = _video_payloads(lines)
    result: list[str] = []
    for line in lines:
        formats = re.match(r"a=fmtp:(\d+) ", line)
        if formats and formats[1] in kinds and "apt=" not in line:
            line = f"{line};{rates}"
            kinds.discard(formats[1])
        result.append(line)
    for position in range(len(result) - 1, -1, -1):
        named = re.match(r"a=rtpmap:(\d+) ", result[position])
        if named and named[1] in kinds:
            result.insert(position + 1, f"a=fmtp:{named[1]} {rates}")
    return "\r\n".join(result)


def _video_payloads(lines: list[str]) -> set[str]:
    inside, found = False, set()
    for line in lines:
        if line.startswith("m="):
            inside = line.startswith("m=video")
        named = re.match(r"a=rtpmap:(\d+) (\w+)/", line)
        if inside and named and named[2].upper() in CODECS:
            found.add(named[1])
    return found


@dataclass(slots=True, kw_only=True)
class Fragment:
    """A trickled piece of SDP (RFC 8840).

    Attributes:
        username, password: ICE credentials, where given.
        candidates: with the section that each belongs to.
        complete: no more will come.
    """

    username: str = ""
    password: str = ""
    candidates: list[RTCIceCandidate] = field(default_factory=list)
    complete: bool = False


def read_fragment(text: str) -> Fragment:
    """The content of an ``application/trickle-ice-sdpfrag`` body.

    Raises:
        SdpError: it is none, or has too many candidates.
    """
    fragment = Fragment()
    mid: str | None = None
    section = -1
    known = False
    for line in text.replace("\r\n", "\n").split("\n"):
        name, _, value = line.strip().partition(":")
        if line.startswith("m="):
            section += 1
        elif name == "a=mid":
            mid = value
        elif name == "a=ice-ufrag":
            fragment.username, known = value, True
        elif name == "a=ice-pwd":
            fragment.password, known = value, True
        elif name == "a=end-of-candidates":
            fragment.complete = known = True
        elif name == "a=candidate":
            known = True
            _add_candidate(fragment, value, mid, max(section, 0))
    if not known:
        raise SdpError(400, "no ICE line in the fragment")
    return fragment


def _add_candidate(fragment: Fragment, value: str, mid: str | None, section: int) -> None:
    if len(fragment.candidates) >= _MOST_CANDIDATES:
        raise SdpError(400, f"more than {_MOST_CANDIDATES} candidates")
    try:
        candidate = candidate_from_sdp(value)
    except Exception as error:
        raise SdpError(400, "malformed candidate") from error
    if candidate.protocol.lower() != "udp":
        return  # TCP candidates are allowed and of no use here
    candidate.sdpMid, candidate.sdpMLineIndex = mid, section
    fragment.candidates.append(candidate)


def write_fragment(connection: RTCPeerConnection) -> str:
    """The local side's credentials and candidates, after an ICE restart."""
    transceiver = connection.getTransceivers()[0]
    gatherer = transceiver.receiver.transport.transport.iceGatherer
    parameters = gatherer.getLocalParameters()
    lines = [
        f"a=ice-ufrag:{parameters.usernameFragment}",
        f"a=ice-pwd:{parameters.password}",
        f"m={transceiver.kind} 9 UDP/TLS/RTP/SAVPF 0",
        f"a=mid:{transceiver.mid}",
    ]
    lines += [f"a=candidate:{candidate_to_sdp(c)}" for c in gatherer.getLocalCandidates()]
    return "\r\n".join([*lines, "a=end-of-candidates", ""])
