"""What the keys of the preview window do."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum

CONFIRM_S = 2.0
"""The bare face is shown only when its key is pressed twice within this time."""


class Action(Enum):
    """What a key asks for."""

    NEXT_PERSONA = "next persona"
    PREVIOUS_PERSONA = "previous persona"
    LIKENESS_UP = "likeness up"
    LIKENESS_DOWN = "likeness down"
    CONFIRM_BARE = "press B again to show the bare face"
    BARE_ON = "bare face"
    BARE_OFF = "persona"
    PANIC = "slate on or off"
    HELP = "show or hide help"
    QUIT = "quit"


HELP_LINES = (
    ("right / left", "next / previous persona"),
    ("up / down", "likeness"),
    ("space", "panic: slate on / off"),
    ("B, B", "bare face (press twice), B goes back"),
    ("H", "this help"),
    ("Q", "quit"),
)
"""Key and meaning."""

_ACTIONS = {
    "right": Action.NEXT_PERSONA,
    "n": Action.NEXT_PERSONA,
    "left": Action.PREVIOUS_PERSONA,
    "p": Action.PREVIOUS_PERSONA,
    "up": Action.LIKENESS_UP,
    "+": Action.LIKENESS_UP,
    "=": Action.LIKENESS_UP,
    "down": Action.LIKENESS_DOWN,
    "-": Action.LIKENESS_DOWN,
    "space": Action.PANIC,
    "escape": Action.PANIC,
    "h": Action.HELP,
    "q": Action.QUIT,
}


class HotKeys:
    """Turns key names into actions, and keeps the bare face behind a second press.

    Attributes:
        bare: the bare face was asked for and confirmed.
    """

    def __init__(self, *, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock_ns = clock_ns
        self._asked_ns: int | None = None
        self.bare = False

    def press(self, key: str) -> Action | None:
        """The action of a key, by its name in lower case; None if it has none."""
        key = key.lower()
        if key == "b":
            return self._press_bare()
        self._asked_ns = None
        action = _ACTIONS.get(key)
        if action in (Action.NEXT_PERSONA, Action.PREVIOUS_PERSONA):
            self.bare = False
        return action

    def _press_bare(self) -> Action:
        if self.bare:
            self.bare = False
            return Action.BARE_OFF
        now_ns = self._clock_ns()
        confirmed = self._asked_ns is not None and now_ns - self._asked_ns <= CONFIRM_S * 1e9
        self._asked_ns = None if confirmed else now_ns
        self.bare = confirmed
        return Action.BARE_ON if confirmed else Action.CONFIRM_BARE
