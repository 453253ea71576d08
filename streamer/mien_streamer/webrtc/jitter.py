"""A jitter buffer that hands a video frame out with its last packet; see ``tuning``."""

from __future__ import annotations

from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rtp import RtpPacket

GIVE_UP_S = 0.25
"""How long a frame may wait for a lost packet; a retransmission takes one round trip."""
_VIDEO_CLOCK = 90_000
PAYLOAD = "_data"
"""Where aiortc's receiver leaves what it took out of a packet."""


def payload_of(packet: RtpPacket) -> bytes:
    """A packet's part of its frame."""
    data: bytes = getattr(packet, PAYLOAD)
    return data


def is_keyframe(data: bytes) -> bool:
    """Whether a frame as aiortc assembles it (Annex B H.264, or VP8) stands on its own."""
    if data[3:6] == b"\x9d\x01\x2a":
        return True
    start = data.find(b"\x00\x00\x01")
    while start >= 0 and start + 3 < len(data):
        if data[start + 3] & 0x1F == 5:
            return True
        start = data.find(b"\x00\x00\x01", start + 3)
    return False


class MarkerJitterBuffer(JitterBuffer):
    """A jitter buffer that hands a video frame out with its last packet."""

    def __init__(self, capacity: int, prefetch: int = 0, is_video: bool = False) -> None:
        super().__init__(capacity=capacity, prefetch=prefetch, is_video=is_video)
        self._needs_key = False
        self._newest: int | None = None

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        """Takes a packet; returns whether a key frame is needed, and a complete frame."""
        origin = self._origin
        pli, frame = super().add(packet)
        if not self._is_video:
            return pli, frame
        if pli:
            self._needs_key = True
        if self._newest is None or _later(packet.timestamp, self._newest):
            self._newest = packet.timestamp
        if frame is None and origin is not None and self._give_up():
            pli = self._needs_key = True
            frame = self.pop_complete()
        return pli, self._usable(frame)

    def pop_complete(self) -> JitterFrame | None:
        """The next complete frame, if one lies there; video only."""
        return self._usable(self._remove_frame(0))

    def _usable(self, frame: JitterFrame | None) -> JitterFrame | None:
        """After a loss only a key frame mends the picture: what comes before it is dropped."""
        if frame is None or not self._needs_key:
            return frame
        if is_keyframe(frame.data):
            self._needs_key = False
            return frame
        return None

    def _remove_frame(self, sequence_number: int) -> JitterFrame | None:
        if not self._is_video:
            return super()._remove_frame(sequence_number)
        packets: list[RtpPacket] = []
        for count in range(self.capacity):
            packet = self._packets[((self._origin or 0) + count) % self._capacity]
            if packet is None:
                return None
            if packets and packet.timestamp != packets[0].timestamp:
                return self._take(packets, count)
            packets.append(packet)
            if packet.marker:
                return self._take(packets, count + 1)
        return None

    def _take(self, packets: list[RtpPacket], count: int) -> JitterFrame:
        data = b"".join(payload_of(packet) for packet in packets)
        timestamp = packets[0].timestamp
        self.remove(count)
        return JitterFrame(data=data, timestamp=timestamp)

    def _give_up(self) -> bool:
        """Skips a gap that has been open for too long; True when something was skipped."""
        blocked = self._first_behind_gap()
        if blocked is None or self._newest is None:
            return False
        waited = (self._newest - blocked[1].timestamp) & 0xFFFFFFFF
        if waited >= 1 << 31 or waited < GIVE_UP_S * _VIDEO_CLOCK:
            return False
        count, first = blocked
        timestamp = first.timestamp
        # The frame that the gap cuts into is lost too.
        while count < self._capacity:
            packet = self._packets[((self._origin or 0) + count) % self._capacity]
            if packet is not None and packet.timestamp != timestamp:
                break
            count += 1
        self.remove(count)
        return True

    def _first_behind_gap(self) -> tuple[int, RtpPacket] | None:
        gap = False
        for count in range(self._capacity):
            packet = self._packets[((self._origin or 0) + count) % self._capacity]
            if packet is None:
                gap = True
            elif gap:
                return count, packet
        return None


def _later(one: int, other: int) -> bool:
    return 0 < (one - other) & 0xFFFFFFFF < 1 << 31
