"""How busy a stream keeps its card."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

_WINDOW_S = 10.0
_STEP_S = 0.5
_LEAST_S = 1.0
"""Shorter than this nothing is known yet."""
_GUESS = 0.1
"""Of a stream that was not measured yet: a face at 30 frames a second, by the budget of
docs/gpu.md (1.2 ms a frame) and as much again for what else the card does for it."""
_LEAST_SHARE = 0.005
"""A stream that pauses may go on at any moment."""


class Busy:
    """The share of the last seconds that a card worked, from its own count of milliseconds.

    One thread notes; any may ask.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._marks: deque[tuple[float, float]] = deque()
        self._before_ms = self._card_ms = self._start_ms = 0.0

    @property
    def total_ms(self) -> float:
        """What all cards together worked."""
        return self._before_ms + self._card_ms - self._start_ms

    def start(self, card_ms: float) -> None:
        """Another card goes on, whose count stands at so much."""
        self._before_ms = self.total_ms
        self._card_ms = self._start_ms = card_ms
        self._marks.clear()
        self._marks.append((self._clock(), card_ms))

    def note(self, card_ms: float) -> None:
        """The card's count after a frame."""
        now_s = self._clock()
        self._card_ms = card_ms
        if self._marks and now_s - self._marks[-1][0] < _STEP_S:
            return
        self._marks.append((now_s, card_ms))
        while now_s - self._marks[0][0] > _WINDOW_S:
            self._marks.popleft()

    def share(self) -> float:
        """0..1 over the last seconds; 0 where nothing is known."""
        since = self._since()
        if since is None:
            return 0.0
        passed_s, worked_ms = since
        return min(max(worked_ms / (passed_s * 1e3), 0.0), 1.0)

    def expected(self) -> float:
        """The share, or a guess where nothing is known yet; never nothing."""
        return _GUESS if self._since() is None else max(self.share(), _LEAST_SHARE)

    def _since(self) -> tuple[float, float] | None:
        if not self._marks:
            return None
        at_s, ms = self._marks[0]
        passed_s = self._clock() - at_s
        return (passed_s, self._card_ms - ms) if passed_s >= _LEAST_S else None
