"""Several GPUs behind one process: who draws where, and what becomes of a card's streams."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mien.errors import DeviceError, GpuLostError, UsageError
from mien.gpu import FallingBack, Fleet, Placement, SharedFrame, parse_devices
from mien.types import U8Array

HERE = np.zeros((2, 2, 3), np.uint8)
MATTE = np.zeros((2, 2), np.uint8)


class Card:
    """One GPU of a machine: what it is asked and how it fails."""

    def __init__(self, index: int) -> None:
        self.label = f"cuda:{index} (Card {index})"
        self.broken: Exception | None = None
        self.refuses: DeviceError | None = None
        self.slow = False
        self.opened = self.closed = 0
        self.frame_ms = 3.0


class Path:
    """Plays a frame path and its GPU."""

    def __init__(self, card: Card) -> None:
        self.card = card
        self.gpu_ms = 0.0
        self.index = int(card.label[5])
        self.shared: SharedFrame | None = None

    def __call__(self, *_: Any, **__: Any) -> None:
        self.paint()

    def paint(self, *_: Any) -> tuple[U8Array, U8Array]:
        if self.card.broken is not None:
            raise self.card.broken
        self.gpu_ms += self.card.frame_ms
        return HERE, MATTE

    def close(self) -> None:
        self.card.closed += 1


class Machine:
    """Cards, a clock that stands still, and work beside the loop that waits to be done."""

    def __init__(self, count: int) -> None:
        self.cards = [Card(index) for index in range(count)]
        self.now_s = 100.0
        self.waiting: list[Callable[[], None]] = []
        self.on_cpu = 0
        self.fleet = Fleet(self.place, self.count, self.waiting.append, lambda: self.now_s)

    def count(self) -> int:
        if not self.cards:
            raise DeviceError("no CUDA device was found")
        return len(self.cards)

    def raster(self, *_: Any, **__: Any) -> None:
        self.on_cpu += 1

    def place(self, device: str) -> Placement:
        if device == "cpu":
            return Placement(draw=self.raster, device="cpu", reason="asked for")
        kind, _, number = device.partition(":")
        try:
            if not self.cards:
                raise DeviceError("no CUDA device was found")
            card = self.cards[int(number or 0)]
            if card.refuses is not None:
                raise card.refuses
        except DeviceError as error:
            if kind == "cuda":
                raise
            return Placement(draw=self.raster, device="cpu", reason=error.what)
        if kind == "auto" and card.slow:
            return Placement(draw=self.raster, device="cpu", reason="quicker")
        card.opened += 1
        path: Any = Path(card)
        drawn = FallingBack(path, path, self.raster)
        return Placement(draw=drawn, paint=drawn.paint, device=card.label, reason="asked for")

    def do(self) -> None:
        while self.waiting:
            self.waiting.pop(0)()

    def where(self) -> dict[str, str]:
        return {one.stream: one.device for one in self.fleet.streams()}


FACE: Any = tuple(np.zeros(shape, dtype) for shape, dtype in [
    ((1, 1, 4), np.uint8), ((1, 1), np.uint8), ((1, 2), np.float32), ((1, 3), np.float32),
    ((1, 2), np.float32), ((1, 3), np.float32), ((1, 3), np.float32), ((0, 3), np.int32),
])  # fmt: skip


def paint(berth: Any) -> Any:
    return berth.paint(FACE, HERE, (0, 0), (2, 2), 1)


@pytest.mark.parametrize(
    ("text", "devices"),
    [
        ("auto", ["auto"]),
        ("cpu", ["cpu"]),
        ("cuda", ["cuda:0"]),
        ("cuda:1", ["cuda:1"]),
        ("cuda:0,1", ["cuda:0", "cuda:1"]),
        ("cuda:2,0,2", ["cuda:2", "cuda:0"]),
        ("cuda:all", ["cuda:all"]),
    ],
)
def test_several_devices_are_named(text: str, devices: list[str]) -> None:
    assert parse_devices(text) == devices


@pytest.mark.parametrize(
    "text", ["", "cuda:0,", "cuda:0,x", "auto,1", "cpu,0", "all", "cuda:0,all"]
)
def test_other_names_of_several_are_wrong_use(text: str) -> None:
    with pytest.raises(UsageError, match="no device"):
        parse_devices(text)


def test_streams_go_round_while_nothing_is_known_of_them() -> None:
    machine = Machine(3)
    for number in range(5):
        machine.fleet.join(f"s{number}", "cuda:all")
    assert machine.where() == {
        "s0": "cuda:0 (Card 0)",
        "s1": "cuda:1 (Card 1)",
        "s2": "cuda:2 (Card 2)",
        "s3": "cuda:0 (Card 0)",
        "s4": "cuda:1 (Card 1)",
    }


def test_a_stream_goes_to_the_card_that_works_least() -> None:
    machine = Machine(2)
    heavy = machine.fleet.join("heavy", "cuda:0,1")
    light = [machine.fleet.join(name, "cuda:1") for name in ("a", "b")]
    machine.cards[0].frame_ms, machine.cards[1].frame_ms = 20.0, 0.1
    for _ in range(60):
        machine.now_s += 1 / 30
        for berth in (heavy, *light):
            paint(berth)
    [first, *others] = machine.fleet.streams()
    assert first.busy_share == pytest.approx(20 * 30 / 1000, rel=0.1)
    assert all(one.busy_share == pytest.approx(0.003, rel=0.1) for one in others)
    # Two streams that hardly work are less than one that does.
    assert machine.fleet.join("new", "cuda:all").where().device == "cuda:1 (Card 1)"


def test_a_name_that_is_taken_gets_a_number_and_is_free_again() -> None:
    machine = Machine(1)
    first, second = (machine.fleet.join("clip.mp4", "cuda:all") for _ in range(2))
    assert (first.stream, second.stream) == ("clip.mp4", "clip.mp4 (2)")
    assert machine.fleet.berth("clip.mp4 (2)") is second
    first.close()
    assert machine.fleet.join("clip.mp4", "cuda:all").stream == "clip.mp4"


def test_a_card_that_cannot_be_used_is_passed_over_and_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    machine = Machine(2)
    machine.cards[0].refuses = DeviceError("it draws another face", "report this")
    assert machine.fleet.join("one", "cuda:all").where().device == "cuda:1 (Card 1)"
    assert "cuda:0 is not used: it draws another face" in caplog.text


def test_where_no_card_can_be_used_every_reason_is_given() -> None:
    machine = Machine(2)
    machine.cards[0].refuses = DeviceError("it is too old", "use --device cpu")
    machine.cards[1].refuses = DeviceError("it is out of memory")
    with pytest.raises(DeviceError, match="cuda:0: it is too old; cuda:1: it is out of memory"):
        machine.fleet.join("one", "cuda:0,1")
    with pytest.raises(DeviceError, match=r"^it is too old"):
        machine.fleet.join("one", "cuda:0")
    assert machine.fleet.streams() == []
    machine.cards.clear()
    with pytest.raises(DeviceError, match="no CUDA device"):
        machine.fleet.join("one", "cuda:all")


def test_auto_takes_every_card_that_is_quicker_and_the_cpu_where_none_is() -> None:
    machine = Machine(3)
    machine.cards[0].slow = True
    for name in ("a", "b", "c"):
        machine.fleet.join(name, "auto")
    assert [device[:6] for device in machine.where().values()] == ["cuda:1", "cuda:2", "cuda:1"]
    for card in machine.cards:
        card.slow = True
    berth = machine.fleet.join("d", "auto")
    assert (berth.where().device, berth.device) == ("cpu", "cpu")
    machine.cards.clear()
    assert machine.fleet.join("e", "auto").where().reason == "no CUDA device was found"


def test_the_cpu_is_a_place_too() -> None:
    machine = Machine(2)
    berth = machine.fleet.join("one", "cpu")
    assert paint(berth) is None
    berth.draw()
    assert machine.on_cpu == 1
    assert machine.where() == {"one": "cpu"}
    assert berth.lines() == ["everything runs on the CPU; asked for"]


def test_a_lost_card_hands_its_streams_over_and_only_one_frame_is_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    machine = Machine(2)
    berths = [machine.fleet.join(name, "cuda:all") for name in ("a", "b", "c")]
    a, b, c = berths
    for berth in berths:
        assert paint(berth) is not None
    machine.cards[0].broken = GpuLostError("Card 0 failed while drawing a face")
    with caplog.at_level(logging.WARNING), pytest.raises(GpuLostError):
        paint(a)  # this frame is the guard's
    assert "faces are drawn on the CPU until another GPU is ready" in caplog.text
    assert "a leaves its GPU; another one is got ready" in caplog.text
    assert paint(c) is None  # it was on that card too, and did not have to find out by itself
    a.draw()
    assert machine.on_cpu == 1
    assert machine.where() == {"a": "cpu", "b": "cuda:1 (Card 1)", "c": "cpu"}
    machine.do()
    for berth in berths:
        assert paint(berth) is not None
    assert set(machine.where().values()) == {"cuda:1 (Card 1)"}
    assert "a goes on on cuda:1 (Card 1)" in caplog.text
    assert [one.moves for one in machine.fleet.streams()] == [1, 0, 1]
    assert machine.cards[0].closed == 4  # path and card, for two streams
    # Nobody new is sent there.
    assert machine.fleet.join("d", "cuda:all").where().device == "cuda:1 (Card 1)"
    assert b.gpu_ms == 6.0
    assert a.gpu_ms == 6.0  # on both cards together


def test_the_last_card_leaves_the_cpu(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine(2)
    berth = machine.fleet.join("one", "cuda:all")
    for index in (0, 1):
        machine.cards[index].broken = GpuLostError(f"Card {index} failed")
        with pytest.raises(GpuLostError):
            paint(berth)
        machine.do()
        paint_again = paint(berth) if index else None
        assert paint_again is None
    berth.draw()
    assert machine.on_cpu == 1
    [place] = machine.fleet.streams()
    assert (place.device, place.reason, place.moves) == ("cpu", "Card 1 failed", 2)
    assert berth.lines() == ["everything runs on the CPU; Card 1 failed"]


def test_a_card_that_does_not_open_in_the_middle_is_passed_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    machine = Machine(3)
    berth = machine.fleet.join("one", "cuda:all")
    machine.cards[0].broken = GpuLostError("Card 0 failed")
    machine.cards[1].refuses = DeviceError("Card 1 is out of memory")
    with pytest.raises(GpuLostError):
        paint(berth)
    machine.do()
    assert "cuda:1 does not take over one: Card 1 is out of memory" in caplog.text
    assert paint(berth) is not None
    assert berth.where().device == "cuda:2 (Card 2)"


def test_a_new_stream_is_told_that_every_card_was_lost() -> None:
    machine = Machine(1)
    berth = machine.fleet.join("one", "cuda:0")
    machine.cards[0].broken = GpuLostError("Card 0 failed")
    with pytest.raises(GpuLostError):
        paint(berth)
    with pytest.raises(GpuLostError, match="it failed before: Card 0 failed") as caught:
        machine.fleet.join("two", "cuda:all")
    assert caught.value.hint == "start mien again"
    other = machine.fleet.join("three", "auto")
    assert other.where().device == "cpu"
    assert other.where().reason == "it failed before: Card 0 failed"
    assert machine.cards[0].opened == 1


def test_a_full_card_is_left_by_one_stream_and_kept_by_the_others() -> None:
    machine = Machine(2)
    a, _, c = (machine.fleet.join(name, "cuda:all") for name in ("a", "b", "c"))
    machine.cards[0].broken = DeviceError("Card 0 is out of memory")
    with pytest.raises(DeviceError):
        paint(a)
    machine.cards[0].broken = None
    machine.do()
    assert paint(a) is not None
    assert paint(c) is not None
    assert machine.where()["a"].startswith("cuda:1")
    assert machine.where()["c"].startswith("cuda:0")


def test_a_stream_that_ends_while_it_moves_leaves_nothing_open() -> None:
    machine = Machine(2)
    berth = machine.fleet.join("one", "cuda:all")
    machine.cards[0].broken = GpuLostError("Card 0 failed")
    with pytest.raises(GpuLostError):
        paint(berth)
    berth.close()
    berth.close()
    machine.do()
    assert [card.opened for card in machine.cards] == [1, 1]
    assert [card.closed for card in machine.cards] == [2, 2]
    assert machine.fleet.streams() == []
    with pytest.raises(RuntimeError, match="closed"):
        paint(berth)


def test_a_single_card_goes_to_the_cpu_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine(2)
    berth = machine.fleet.join("one", "cuda:1")
    machine.cards[1].broken = GpuLostError("Card 1 failed")
    with pytest.raises(GpuLostError):
        paint(berth)
    assert not machine.waiting
    assert "faces are drawn on the CPU from now on" in caplog.text
    assert paint(berth) is None
    assert berth.where().device == "cpu"


def test_pixels_are_lent_only_while_the_stream_is_on_their_card() -> None:
    machine = Machine(2)
    berth, frame = machine.fleet.join("a", "cuda:all"), SharedFrame(1)
    berth.lend(frame)

    def shared() -> SharedFrame | None:
        drawn: Any = berth._now.draw  # type: ignore[union-attr]
        held: SharedFrame | None = drawn._path.shared
        return held

    assert berth.index == 0
    assert shared() is None
    machine.cards[0].broken = GpuLostError("Card 0 failed while drawing a face")
    with pytest.raises(GpuLostError):
        paint(berth)
    machine.do()
    paint(berth)
    assert berth.index == 1
    assert shared() is frame
    berth.close()
