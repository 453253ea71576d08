"""aiortc's adjustments, on packets made by hand."""

from __future__ import annotations

import asyncio
import logging

import aiortc.rtcrtpreceiver
import aiortc.rtp
import pytest
from aiortc.jitterbuffer import JitterBuffer

from mien_streamer.webrtc import tuning
from mien_streamer.webrtc.jitter import MarkerJitterBuffer, is_keyframe
from mien_streamer.webrtc.tuning import packets_of

KEY = b"\x00\x00\x00\x01\x65key"
DELTA = b"\x00\x00\x00\x01\x41delta"


def emitted(buffer: JitterBuffer, packets: list[aiortc.rtp.RtpPacket]) -> list[int | None]:
    """For each packet the timestamp of the frame that it completes."""
    frames = [buffer.add(packet)[1] for packet in packets]
    return [frame.timestamp if frame is not None else None for frame in frames]


def video(frames: list[tuple[int, int]]) -> list[aiortc.rtp.RtpPacket]:
    return list(packets_of(frames, first=65533))


@pytest.fixture(autouse=True)
def _stock_afterwards() -> object:
    yield
    tuning.untune()


def test_a_frame_comes_with_its_marked_packet() -> None:
    packets = video([(0, 1), (3000, 3), (6000, 2)])
    stock = emitted(JitterBuffer(capacity=128, is_video=True), packets)
    tuned = emitted(MarkerJitterBuffer(capacity=128, is_video=True), packets)
    assert stock == [None, 0, None, None, 3000, None]
    assert tuned == [0, None, None, 3000, None, 6000]


def test_a_sender_without_markers_is_understood_by_timestamps() -> None:
    packets = video([(0, 2), (3000, 2), (6000, 1)])
    for packet in packets:
        packet.marker = 0
    tuned = emitted(MarkerJitterBuffer(capacity=128, is_video=True), packets)
    assert tuned == emitted(JitterBuffer(capacity=128, is_video=True), packets)
    assert tuned == [None, None, 0, None, 3000]


def test_packets_out_of_order_make_whole_frames() -> None:
    first, *rest = video([(0, 1), (3000, 3)])
    buffer = MarkerJitterBuffer(capacity=128, is_video=True)
    assert emitted(buffer, [first]) == [0]
    assert emitted(buffer, [rest[2], rest[0], rest[1]]) == [None, None, 3000]


def test_frames_behind_a_filled_gap_all_come_out() -> None:
    packets = video([(0, 1), (3000, 1), (6000, 1), (9000, 1)])
    buffer = MarkerJitterBuffer(capacity=128, is_video=True)
    late = packets[1]
    assert emitted(buffer, [packets[0], *packets[2:]]) == [0, None, None]
    assert emitted(buffer, [late]) == [3000]
    assert [buffer.pop_complete().timestamp for _ in range(2)] == [6000, 9000]
    assert buffer.pop_complete() is None


def test_an_open_gap_is_given_up_and_only_a_key_frame_mends_it() -> None:
    packets = video([(3000 * n, 1) for n in range(14)])
    for number, packet in enumerate(packets):
        packet._data = KEY if number in (0, 12) else DELTA
    buffer = MarkerJitterBuffer(capacity=128, is_video=True)
    results = [buffer.add(packet) for number, packet in enumerate(packets) if number != 2]
    plis = [pli for pli, _ in results]
    shown = [frame.timestamp // 3000 for _, frame in results if frame is not None]
    # Frame 3 waits for frame 2 until 0.25 s = 7.5 frames lie behind it.
    assert plis.index(True) == 10
    assert shown[:2] == [0, 1]
    while (frame := buffer.pop_complete()) is not None:
        shown.append(frame.timestamp // 3000)
    assert [number for number in shown if 2 <= number < 12] == []


def test_audio_is_left_alone() -> None:
    packets = video([(960 * n, 1) for n in range(12)])
    stock = emitted(JitterBuffer(capacity=16, prefetch=4), packets)
    assert emitted(MarkerJitterBuffer(capacity=16, prefetch=4), packets) == stock


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (KEY, True),
        (DELTA, False),
        (b"\x00\x00\x00\x01\x67sps\x00\x00\x01\x65", True),
        (b"\x10\x02\x00\x9d\x01\x2a", True),
        (b"\x11\x02\x00\x00\x00\x00", False),
        (b"", False),
        (b"\x00\x00\x01", False),
    ],
)
def test_key_frames_are_told_apart(data: bytes, expected: bool) -> None:
    assert is_keyframe(data) is expected


def test_the_playout_delay_is_packed_in_units_of_ten_ms() -> None:
    assert tuning.pack_playout_delay(0, 0) == b"\x00\x00\x00"
    assert tuning.pack_playout_delay(10, 400) == bytes([0x00, 0x10, 0x28])
    assert tuning.pack_playout_delay(-5, 10**9) == bytes([0x00, 0x0F, 0xFF])


def test_all_adjustments_hold_for_the_installed_aiortc() -> None:
    assert tuning.tune() == ["marker", "playout-delay", "feedback", "consent"]
    assert aiortc.rtcrtpreceiver.JitterBuffer is MarkerJitterBuffer
    tuning.untune()
    assert aiortc.rtcrtpreceiver.JitterBuffer is JitterBuffer


@pytest.mark.parametrize("version", [(1, 15), (2, 0), (0, 9)])
def test_an_unknown_release_is_used_as_it_is(
    version: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert tuning.tune(version) == []
    assert "used as it is" in caplog.text
    assert aiortc.rtcrtpreceiver.JitterBuffer is JitterBuffer


def test_an_adjustment_that_no_longer_fits_is_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: object, sequence_number: int) -> None:
        return None

    monkeypatch.setattr(MarkerJitterBuffer, "_remove_frame", broken)
    with caplog.at_level(logging.WARNING):
        assert tuning.tune() == ["playout-delay", "feedback", "consent"]
    assert "marker" in caplog.text


def test_a_lost_packet_is_asked_for_again() -> None:
    asked: list[list[int]] = []

    class Receiver:
        _RTCRtpReceiver__nack_generator = aiortc.rtcrtpreceiver.NackGenerator()

        async def _send_rtcp_nack(self, ssrc: int, lost: list[int]) -> None:
            asked.append(lost)

    async def scenario() -> None:
        receiver, buffer = Receiver(), MarkerJitterBuffer(capacity=128, is_video=True)
        for number, packet in enumerate(packets_of([(3000 * n, 1) for n in range(6)], first=10)):
            if number == 2:
                continue
            receiver._RTCRtpReceiver__nack_generator.add(packet)
            buffer.add(packet)
            await tuning._ask_again(receiver, packet, buffer, 1000 + number * 25)

    asyncio.run(scenario())
    assert asked == [[12], [12]]
