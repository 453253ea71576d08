"""Connections: one performer, several viewers, all of which may vanish at any moment."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from dataclasses import dataclass
from typing import Any, Literal

from aiortc import (
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.exceptions import InvalidStateError, OperationError

from mien_streamer.webrtc.encoding import CodecName
from mien_streamer.webrtc.inlet import Inlet
from mien_streamer.webrtc.outlet import EncodedTrack, Outlet
from mien_streamer.webrtc.sdp import (
    Fragment,
    Offer,
    SdpError,
    with_uplink_rates,
    write_fragment,
)
from mien_streamer.webrtc.tuning import add_restarted_candidate, can_restart_ice, restart_ice

logger = logging.getLogger(__name__)

Role = Literal["performer", "viewer"]

SILENT_S = 5.0
"""A performer of whom nothing came for so long gives way to the next one."""
GONE_S = 20.0
"""... and is hung up on. Chromium keeps sending while it lives."""


class Busy(Exception):
    """No place for another connection; worth trying again in ``retry_s``."""

    def __init__(self, text: str, retry_s: int) -> None:
        super().__init__(text)
        self.retry_s = retry_s


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerLimits:
    """How many may connect, and how patiently they are waited for.

    Attributes:
        viewers: most viewers at once.
        connect_s: time in which ICE and DTLS must be through.
        ice_servers: STUN or TURN URLs; none are needed in a local network.
        ice_username, ice_password: credentials of TURN.
    """

    viewers: int = 16
    connect_s: float = 15.0
    ice_servers: tuple[str, ...] = ()
    ice_username: str | None = None
    ice_password: str | None = None


class Peer:
    """One connection; belongs to the event loop.

    Attributes:
        key: the unguessable name in its URL.
        etag: names the ICE generation.
    """

    def __init__(self, role: Role, connection: RTCPeerConnection, what: str) -> None:
        self.key = secrets.token_urlsafe(18)
        self.etag = secrets.token_hex(8)
        self.role: Role = role
        self.what = what
        self.connection = connection
        self.started_s = time.monotonic()
        self.tasks: list[asyncio.Task[None]] = []
        self.track: EncodedTrack | None = None
        self.codec: CodecName | None = None
        self.username = ""
        self.last_s = self.started_s

    @property
    def connected(self) -> bool:
        """ICE and DTLS are through."""
        return bool(self.connection.connectionState == "connected")


class Peers:
    """All connections of a server; belongs to the event loop."""

    def __init__(
        self, inlet: Inlet, outlets: dict[str, Outlet], limits: PeerLimits | None = None
    ) -> None:
        self.inlet = inlet
        self.outlets = outlets
        self.limits = limits or PeerLimits()
        self._peers: dict[str, Peer] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self.total = 0
        self.failed = 0

    def find(self, key: str, role: Role) -> Peer | None:
        """The connection of that name and kind."""
        peer = self._peers.get(key)
        return peer if peer is not None and peer.role == role else None

    @property
    def performer(self) -> Peer | None:
        """Who performs."""
        return next((peer for peer in self._peers.values() if peer.role == "performer"), None)

    @property
    def viewers(self) -> list[Peer]:
        """Who watches."""
        return [peer for peer in self._peers.values() if peer.role == "viewer"]

    async def publish(self, offer: Offer) -> tuple[Peer, str]:
        """Lets a performer in; returns the connection and the answer.

        Raises:
            Busy: somebody performs already.
            SdpError: the offer does not work out.
        """
        await self._make_room()
        connection = self._connection()
        peer = self._admit("performer", connection, "whip")

        @connection.on("track")
        def take(track: Any) -> None:
            drain = self.inlet.drain_video if track.kind == "video" else self.inlet.drain_audio
            peer.tasks.append(asyncio.ensure_future(drain(track)))

        answer = await self._answer(peer, offer, None)
        return peer, with_uplink_rates(answer)

    async def _make_room(self) -> None:
        now = self.performer
        if now is None:
            return
        last_s = max(self.inlet.last_ns / 1e9, now.started_s)
        if time.monotonic() - last_s < SILENT_S:
            raise Busy("somebody performs already", round(SILENT_S))
        logger.info("a silent performer gives way")
        await self.close(now)

    async def watch(self, offer: Offer, outlet: Outlet) -> tuple[Peer, str]:
        """Lets a viewer in; returns the connection and the answer.

        Raises:
            Busy: there are too many.
            SdpError: the offer does not work out.
        """
        if len(self.viewers) >= self.limits.viewers:
            raise Busy(f"{self.limits.viewers} viewers are the most", 10)
        connection = self._connection()
        peer = self._admit("viewer", connection, outlet.name)
        peer.codec = offer.codecs[0]
        peer.track = outlet.join(peer.codec)
        connection.addTrack(peer.track)
        if offer.audio:
            connection.addTrack(self.inlet.listen())
        return peer, await self._answer(peer, offer, peer.codec)

    def _connection(self) -> RTCPeerConnection:
        limits = self.limits
        servers = [
            RTCIceServer(urls=url, username=limits.ice_username, credential=limits.ice_password)
            for url in limits.ice_servers
        ]
        return RTCPeerConnection(RTCConfiguration(iceServers=servers))

    def _admit(self, role: Role, connection: RTCPeerConnection, what: str) -> Peer:
        peer = Peer(role, connection, what)
        self._peers[peer.key] = peer
        self.total += 1

        @connection.on("connectionstatechange")
        def changed() -> None:
            state = connection.connectionState
            logger.info("%s %s: %s", role, peer.key[:6], state)
            if state in ("failed", "closed"):
                self._close_soon(peer)

        peer.tasks.append(asyncio.ensure_future(self._watch_over(peer)))
        return peer

    async def _answer(self, peer: Peer, offer: Offer, codec: CodecName | None) -> str:
        connection = peer.connection
        try:
            if codec is not None:
                _prefer(connection, codec)
            await connection.setRemoteDescription(RTCSessionDescription(offer.text, "offer"))
            answer = await connection.createAnswer()
            await connection.setLocalDescription(answer)
        except (InvalidStateError, OperationError, ValueError, KeyError, TypeError) as error:
            await self.close(peer)
            raise SdpError(422, f"the offer cannot be answered: {error}") from error
        except BaseException:
            await self.close(peer)
            raise
        text: str = connection.localDescription.sdp
        peer.username = offer.username
        return text

    async def trickle(self, peer: Peer, fragment: Fragment) -> None:
        """Adds candidates of the present ICE generation."""
        for candidate in fragment.candidates:
            if candidate.sdpMid is None:
                candidate.sdpMid = peer.connection.getTransceivers()[0].mid
            await peer.connection.addIceCandidate(candidate)
        if fragment.complete:
            await peer.connection.addIceCandidate(None)

    async def restart(self, peer: Peer, fragment: Fragment) -> str:
        """Begins a new ICE generation; returns the local side's fragment.

        Raises:
            SdpError: this aioice does not let us.
        """
        if not can_restart_ice():
            raise SdpError(422, "ICE restart is not supported with this aioice")
        from aiortc.rtcicetransport import candidate_to_aioice

        for ice in _ice_connections(peer.connection):
            restart_ice(ice, fragment.username, fragment.password)
            for candidate in fragment.candidates:
                add_restarted_candidate(ice, candidate_to_aioice(candidate))
        peer.etag = secrets.token_hex(8)
        peer.username = fragment.username
        return write_fragment(peer.connection)

    async def _watch_over(self, peer: Peer) -> None:
        """Hangs up on who never arrives and on who fell silent."""
        await asyncio.sleep(self.limits.connect_s)
        if not peer.connected:
            logger.info("%s %s did not connect in time", peer.role, peer.key[:6])
            self.failed += 1
            self._close_soon(peer)
            return
        while peer.role == "performer":
            await asyncio.sleep(1.0)
            last_s = max(self.inlet.last_ns / 1e9, peer.started_s)
            if time.monotonic() - last_s > GONE_S:
                logger.info("performer %s fell silent", peer.key[:6])
                self._close_soon(peer)
                return

    def _close_soon(self, peer: Peer) -> None:
        task = asyncio.ensure_future(self.close(peer))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self, peer: Peer) -> None:
        """Hangs up; safe to call twice."""
        if self._peers.pop(peer.key, None) is None:
            return
        current = asyncio.current_task()
        for sender in peer.connection.getSenders():
            if sender.track is not None:
                sender.track.stop()
        if peer.track is not None:
            peer.track.stop()
        await peer.connection.close()
        # aiortc stops transceivers before transports: a handshake that ends in between
        # starts senders that nobody would stop.
        for transceiver in peer.connection.getTransceivers():
            await transceiver.stop()
        for task in peer.tasks:
            if task is not current:
                task.cancel()
        await asyncio.gather(
            *(task for task in peer.tasks if task is not current), return_exceptions=True
        )
        peer.connection.remove_all_listeners()

    async def close_all(self) -> None:
        """Hangs up on everybody."""
        for peer in list(self._peers.values()):
            await self.close(peer)
        if self._closing:
            await asyncio.gather(*self._closing, return_exceptions=True)

    async def facts(self) -> dict[str, Any]:
        """Who is here, for people and programs."""
        performer = self.performer
        return {
            "performer": performer is not None and performer.connected,
            "viewers": len(self.viewers),
            "connections": self.total,
            "failed": self.failed,
        }


def _prefer(connection: RTCPeerConnection, codec: CodecName) -> None:
    capabilities = RTCRtpSender.getCapabilities("video").codecs
    wanted = [c for c in capabilities if c.name.upper() == codec]
    wanted += [c for c in capabilities if c.name == "rtx"]
    for transceiver in connection.getTransceivers():
        if transceiver.kind == "video":
            transceiver.setCodecPreferences(wanted)


def _ice_connections(connection: RTCPeerConnection) -> list[Any]:
    found: list[Any] = []
    for transceiver in connection.getTransceivers():
        ice = transceiver.receiver.transport.transport._connection
        if ice not in found:
            found.append(ice)
    return found
