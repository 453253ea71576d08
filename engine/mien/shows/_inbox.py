"""What comes to a show from outside, until the thread of the frames takes it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Literal

from mien.shows.show import Cue, Show, Trigger, TriggerKind

_MOST_ORDERS = 64

Order = Literal["go", "back", "hold", "hold on", "hold off"]


class Inbox:
    """Orders, triggers and onsets, each with its moment. Putting in is for any thread.

    Args:
        show: whose cues wait.
        clock: the run's clock, which stamps what brings no moment of its own; None leaves
            that to the next frame.
    """

    def __init__(self, show: Show, clock: Callable[[], float] | None) -> None:
        self._clock = clock
        self._place = {cue.name: place for place, cue in enumerate(show.cues)}
        self._orders: deque[tuple[Order, float | None]] = deque(maxlen=_MOST_ORDERS)
        self._onsets: deque[float | None] = deque(maxlen=_MOST_ORDERS)
        # One entry a cue: a flood of triggers fires it once a frame.
        self._cues: dict[str, tuple[str, float | None]] = {}
        self._by_trigger: dict[tuple[TriggerKind, str], list[Cue]] = {}
        self.on_onset: list[tuple[Cue, Trigger]] = []
        for cue in show.cues:
            for trigger in cue.triggers:
                self._by_trigger.setdefault((trigger.kind, trigger.address), []).append(cue)
                if trigger.kind == "onset":
                    self.on_onset.append((cue, trigger))

    def wants(self, kind: TriggerKind, address: str) -> bool:
        return (kind, address) in self._by_trigger

    def trigger(self, kind: TriggerKind, address: str, at_s: float | None) -> bool:
        cues = self._by_trigger.get((kind, address), ())
        for cue in cues:
            self.fire(cue.name, f"{kind} {address}", at_s)
        return bool(cues)

    def fire(self, name: str, why: str, at_s: float | None = None) -> bool:
        if name in self._place:
            self._cues.setdefault(name, (why, self._stamped(at_s)))
        return name in self._place

    def order(self, order: Order) -> None:
        self._orders.append((order, self._stamped(None)))

    def onset(self, at_s: float | None) -> None:
        self._onsets.append(self._stamped(at_s))

    def _stamped(self, at_s: float | None) -> float | None:
        return at_s if at_s is not None or self._clock is None else self._clock()

    def take_cues(self) -> Iterator[tuple[str, str, float | None]]:
        """Name, why and when of every cue that was asked for, each time the same order."""
        while self._cues:
            # In the order of the file, so that equal stamps cannot depend on the threads.
            name = min(self._cues, key=self._place.__getitem__)
            yield (name, *self._cues.pop(name))

    def take_orders(self) -> Iterator[tuple[Order, float | None]]:
        while self._orders:
            yield self._orders.popleft()

    def take_onsets(self) -> Iterator[float | None]:
        while self._onsets:
            yield self._onsets.popleft()
