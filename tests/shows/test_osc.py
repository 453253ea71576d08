"""Orders by OSC over the loopback, kind and unkind."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message_builder import OscMessageBuilder
from pythonosc.udp_client import SimpleUDPClient

from mien.errors import DeviceError, UsageError
from mien.look import EVERYONE
from mien.shows import ShowPlayer
from mien.shows.follow import FollowedClock
from mien_streamer.controls import osc_message
from mien_streamer.controls.osc import OscControl, OscFeedback, parse_endpoint
from tests.shows.shows import cue, show_of


class Rig:
    """A player that listens, and a desk that sends."""

    def __init__(self) -> None:
        show = show_of(
            cue("kai", osc="/mien/kai", transition="cut"),
            cue("mei", osc="/pads/2", to="mei", transition="cut"),
        )
        self.player = ShowPlayer(show, clock=time.monotonic)
        self.follow = FollowedClock(time.monotonic)
        self.control = OscControl(self.player, ("127.0.0.1", 0), follow=self.follow)
        self.client = SimpleUDPClient(*self.control.endpoint)
        self.raw = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.player.advance(time.monotonic())

    def wears(self) -> str:
        self.player.advance(time.monotonic())
        return self.player.state().wears[EVERYONE]

    def send_bytes(self, datagram: bytes) -> None:
        self.raw.sendto(datagram, self.control.endpoint)

    def close(self) -> None:
        self.control.close()
        self.raw.close()
        self.client._sock.close()


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.close()


def soon(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 5.0
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.002)
    return False


def test_an_address_fires_its_cue(rig: Rig) -> None:
    rig.client.send_message("/mien/kai", [])
    assert soon(lambda: rig.wears() == "kai")
    rig.client.send_message("/pads/2", [1.0])
    assert soon(lambda: rig.wears() == "mei")


def test_the_zero_of_a_button_let_go_does_nothing(rig: Rig) -> None:
    rig.client.send_message("/pads/2", [0])
    rig.client.send_message("/mien/kai", [1])
    assert soon(lambda: rig.wears() == "kai")


def test_orders_by_name(rig: Rig) -> None:
    rig.client.send_message("/mien/cue", "mei")
    assert soon(lambda: rig.wears() == "mei")
    rig.client.send_message("/mien/back", [])
    assert soon(lambda: rig.wears() == "ada")
    rig.client.send_message("/mien/go", [])
    assert soon(lambda: rig.wears() == "kai")
    rig.client.send_message("/mien/hold", 1)
    assert soon(lambda: rig.wears() == "kai" and rig.player.state().holding)
    rig.client.send_message("/mien/hold", 0)
    assert soon(lambda: rig.wears() == "kai" and not rig.player.state().holding)
    rig.client.send_message("/mien/time", 42.5)
    assert soon(lambda: rig.follow.read(0.0) == 42.5)


def test_bundles_are_opened(rig: Rig) -> None:
    bundle = OscBundleBuilder(IMMEDIATELY)
    message = OscMessageBuilder("/mien/kai")
    bundle.add_content(message.build())
    rig.send_bytes(bundle.build().dgram)
    assert soon(lambda: rig.wears() == "kai")


HOSTILE = [
    b"",
    b"\x00",
    b"/",
    b"/mien/kai",
    b"/mien/kai\x00\x00\x00,f\x00\x00",
    b"/mien/time\x00\x00,f\x00\x00\x7f\xc0\x00\x00",
    b"/mien/time\x00\x00,f\x00\x00\xff\x80\x00\x00",
    b"/mien/cue\x00\x00\x00,b\x00\x00\x7f\xff\xff\xff",
    b"/mien/cue\x00\x00\x00,[[[[[[[[[[\x00",
    b"#bundle\x00" + b"\xff" * 32,
    b"#bundle\x00\x00\x00\x00\x00\x00\x00\x00\x01\x7f\xff\xff\xf0",
    b"/\xff\xfe\x00",
    b"GET / HTTP/1.1\r\n\r\n",
    b"A" * 4000,
]


def test_hostile_datagrams_change_nothing_and_the_next_order_is_heard(rig: Rig) -> None:
    for datagram in HOSTILE:
        rig.send_bytes(datagram)
    generator_bytes = [os.urandom(1 + n % 200) for n in range(300)]
    for datagram in generator_bytes:
        rig.send_bytes(b"/mien/" + datagram)

    def is_heard() -> bool:
        # UDP may lose what comes right after a burst; what counts is that somebody listens.
        rig.client.send_message("/pads/2", 1)
        return rig.wears() == "mei"

    assert soon(is_heard)
    assert rig.follow.read(1e9) == 0.0


def test_what_is_written_is_read() -> None:
    words = ["a", "four", "größer", ""]
    assert osc_message.read(osc_message.write("/mien/face", words)) == [("/mien/face", words)]
    message = OscMessageBuilder("/x")
    for value, kind in ((3, "i"), (0.5, "f"), ("s", "s"), (True, "T"), (2.25, "d"), (9, "h")):
        message.add_arg(value, kind)
    (read,) = osc_message.read(message.build().dgram)
    assert read == ("/x", [3, 0.5, "s", True, 2.25, 9])


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_no_bytes_do_more_than_be_refused(noise: bytes) -> None:
    for datagram in (noise, b"/mien/cue\0\0\0" + noise, b"#bundle\0" + b"\0" * 8 + noise):
        try:
            messages = osc_message.read(datagram)
        except ValueError:
            continue
        assert 0 < len(messages) <= osc_message.MOST_MESSAGES or datagram[:8] == b"#bundle\0"


def test_a_flood_leaves_the_face_as_it_is(rig: Rig) -> None:
    """20,000 messages as fast as they can be sent, while frames are asked for all along."""
    message = OscMessageBuilder("/some/fader")
    message.add_arg(0.5)
    datagram = message.build().dgram
    for _ in range(200):
        for _ in range(100):
            rig.send_bytes(datagram)
        assert rig.wears() == "ada"
        rig.player.looks()
    assert soon(lambda: rig.control.heard > 0)

    def is_heard() -> bool:
        rig.client.send_message("/mien/kai", 1)
        return rig.wears() == "kai"

    assert soon(is_heard)


def test_a_flood_of_triggers_fires_the_cue_once_a_frame_at_most(rig: Rig) -> None:
    fired: list[str] = []
    rig.player.listen(lambda event: fired.append(event.kind) if event.kind == "fired" else None)
    for _ in range(2000):
        rig.client.send_message("/mien/kai", 1)
    assert soon(lambda: rig.wears() == "kai")
    time.sleep(0.1)
    before = len(fired)
    rig.wears()
    assert len(fired) <= before + 1


def test_the_first_frame_after_a_message_was_received_is_changed(rig: Rig) -> None:
    """A hundred times over a real socket; how long that takes is not for a test to say."""
    addresses = {"kai": "/mien/kai", "mei": "/pads/2"}
    for turn in range(100):
        name = ("kai", "mei")[turn % 2]
        heard = rig.control.heard
        rig.client.send_message(addresses[name], 1)
        assert soon(lambda heard=heard: rig.control.heard > heard)  # type: ignore[misc]
        assert rig.wears() == name


def test_feedback_says_what_happens(rig: Rig) -> None:
    ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    ear.bind(("127.0.0.1", 0))
    ear.settimeout(5.0)
    feedback = OscFeedback(rig.player, ear.getsockname())
    rig.player.fire("mei")
    rig.wears()
    heard = [ear.recv(1000) for _ in range(3)]
    feedback.close()
    ear.close()
    assert heard[0].startswith(b"/mien/cue/fired\0")
    assert b"mei" in heard[0]
    assert heard[1].startswith(b"/mien/face\0")
    assert heard[2].startswith(b"/mien/cue/ended\0")
    rig.player.fire("kai")
    assert soon(lambda: rig.wears() == "kai"), "feedback without a socket disturbs nobody"


def test_endpoints_and_ports_that_cannot_be() -> None:
    assert parse_endpoint("9000") == ("127.0.0.1", 9000)
    assert parse_endpoint("0.0.0.0:9000") == ("0.0.0.0", 9000)
    assert parse_endpoint("[::1]:9000") == ("::1", 9000)
    for text in ("", "nine", "host:", "1.2.3.4:99999", "-1"):
        with pytest.raises(UsageError):
            parse_endpoint(text)
    rig = Rig()
    with pytest.raises(DeviceError, match="cannot listen"):
        OscControl(rig.player, rig.control.endpoint)
    rig.close()
