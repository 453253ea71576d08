"""Streams in threads of their own on two cards: contexts, the same pictures, and a lost card."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from mien.compositing import Compositor
from mien.config import GuardConfig, MarkConfig, PipelineConfig
from mien.gpu import Fleet
from mien.guard import Guard
from mien.marking import Marker, draw_slate
from mien.opening import join_fleet
from mien.pipeline import Outcome, Pipeline
from mien.swappers.mesh import MeshSwapper
from tests.gpu.conftest import Machine
from tests.gpu.emulation import LaunchError
from tests.gpu.test_in_the_pipeline import SIZE, persona, tracks
from tests.inference.fakes.cuda import FakeContext
from tests.pipeline.fakes import FakeTracker
from tests.swappers.faces import frame_of


class Cards:
    """Two cards whose contexts are current in the thread that made them so, as PyCUDA's are.

    Attributes:
        broken: numbers of those that fail at the next wait.
        used: number of the card by thread, of everything that was asked of the driver.
    """

    def __init__(self, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
        cuda = machine.cuda
        cuda.devices = ["Card A", "Card B"]
        self.broken: set[int] = set()
        self.used: set[tuple[str, int]] = set()
        self._current = threading.local()
        cards, note = self, cuda.note

        class Context(FakeContext):
            def __init__(self, index: int) -> None:
                self.index = index

            def push(self) -> None:
                FakeContext.push(self)
                cards.stack.append(self.index)

        def pop() -> None:
            FakeContext.pop()
            cards.stack.pop()

        def noted(call: str, about: Any) -> None:
            assert cards.stack, f"{call} in a thread without a current context"
            cards.used.add((threading.current_thread().name, cards.stack[-1]))
            if call == "wait" and cards.stack[-1] in cards.broken:
                raise LaunchError("cuStreamSynchronize failed: unspecified launch failure")
            note(call, about)

        monkeypatch.setattr(cuda.Context, "pop", staticmethod(pop))
        monkeypatch.setattr(cuda, "note", noted)
        monkeypatch.setattr(
            cuda.Device, "retain_primary_context", lambda device: Context(device._index)
        )

    @property
    def stack(self) -> list[int]:
        """Contexts of this thread, the current one last."""
        if not hasattr(self._current, "stack"):
            self._current.stack = []
        stack: list[int] = self._current.stack
        return stack


@pytest.fixture
def cards(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cards]:
    made = Cards(machine, monkeypatch)
    fleet = Fleet(start=lambda work: _in_another_thread(work))
    monkeypatch.setattr("mien.gpu.process_fleet", lambda: fleet)
    yield made
    assert not machine.cuda.live, "device memory was not freed"
    assert fleet.streams() == []


def _in_another_thread(work: Any) -> None:
    """Beside the loop, but over before its next frame: tests do not hang on time."""
    thread = threading.Thread(target=work, name="mover")
    thread.start()
    thread.join()


def open_stream(name: str, device: str) -> Pipeline:
    config = PipelineConfig(
        device=device, stream=name, guard=GuardConfig(mode="blur"), mark=MarkConfig(badge=False)
    )
    berth, config = join_fleet(config)
    pipeline = Pipeline(
        config,
        tracker=FakeTracker(tracks()),
        swapper=MeshSwapper(config),
        compositor=Compositor(),
        guard=Guard(config.guard, draw_slate),
        marker=Marker(config.mark),
        berth=berth,
    )
    pipeline.set_persona(persona(), wait=True)
    return pipeline


def pictures() -> list[Any]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (*SIZE, 3), np.uint8) for _ in range(5)]


def test_streams_in_threads_draw_the_cpus_pictures_and_outlive_a_card(
    cards: Cards, caplog: pytest.LogCaptureFixture
) -> None:
    with open_stream("cpu", "cpu") as on_cpu:
        expected = [
            on_cpu.process(frame_of(one.copy(), n)).frame.bgr for n, one in enumerate(pictures())
        ]
    outcomes: dict[str, list[Outcome]] = {"a": [], "b": []}
    loops = {name: ThreadPoolExecutor(1, thread_name_prefix=name) for name in outcomes}
    with open_stream("a", "cuda:all") as a, open_stream("b", "cuda:all") as b:
        cards.used.clear()
        for n, picture in enumerate(pictures()):
            if n == 2:
                cards.broken.add(0)
            for name, stream in (("a", a), ("b", b)):
                frame = frame_of(picture.copy(), n)
                outcomes[name].append(loops[name].submit(stream.process, frame).result())
        assert a.where[0].startswith("faces are drawn and blended on cuda:1 (Card B)")
        for loop in loops.values():
            loop.shutdown()
    assert [one.guarded for one in outcomes["a"]] == [False, False, True, False, False]
    assert not any(one.guarded for one in outcomes["b"])
    for name, done in outcomes.items():
        for n, one in enumerate(done):
            if (name, n) != ("a", 2):
                assert np.array_equal(one.frame.bgr, expected[n]), (name, n)
    assert "a goes on on cuda:1 (Card B)" in caplog.text
    by_thread = {(thread.split("_")[0], card) for thread, card in cards.used}
    assert {("a", 0), ("a", 1), ("b", 1), ("mover", 1)} <= by_thread
    assert ("b", 0) not in by_thread


def test_where_every_card_is_lost_the_cpu_draws(
    cards: Cards, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), open_stream("a", "cuda:0,1") as stream:
        cards.broken.update((0, 1))
        done = [stream.process(frame_of(one.copy(), n)) for n, one in enumerate(pictures()[:3])]
        assert [one.guarded for one in done] == [True, False, False]
        assert stream.where[0].startswith("everything runs on the CPU; Card A failed")
    assert "a stays on the CPU" in caplog.text
