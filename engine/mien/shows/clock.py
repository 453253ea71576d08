"""The show's clock: its own, held or running on, or one that another machine gives."""

from __future__ import annotations

REWIND_S = 1.0
"""A given clock that goes back by less is late; by more it was rewound."""


class ShowClock:
    """Show time from the run's clock. One thread.

    Attributes:
        show_s: the playhead.
    """

    def __init__(self) -> None:
        self.show_s = 0.0
        self._origin_s = 0.0
        self._held_at_s: float | None = None

    @property
    def is_held(self) -> bool:
        """The playhead stands still by somebody's wish."""
        return self._held_at_s is not None

    def start(self, now_s: float) -> None:
        """Let ``show_s`` be now."""
        self._origin_s = now_s - self.show_s
        if self._held_at_s is not None:
            self._held_at_s = now_s

    def hold(self, on: bool | None, time_s: float) -> None:
        """Stop or go on; None turns it over."""
        wanted = not self.is_held if on is None else on
        if wanted and self._held_at_s is None:
            self._held_at_s = time_s
        elif not wanted and self._held_at_s is not None:
            self._origin_s += time_s - self._held_at_s
            self._held_at_s = None

    def tick(self, now_s: float, given_s: float | None = None) -> bool:
        """Move on; True when a given clock was rewound.

        Args:
            now_s: the run's clock.
            given_s: show time from another machine; None counts on by itself.
        """
        if given_s is None:
            running_s = now_s if self._held_at_s is None else self._held_at_s
            self.show_s = max(running_s - self._origin_s, 0.0)
            return False
        if self._held_at_s is not None:
            return False
        rewound = given_s < self.show_s - REWIND_S
        self.show_s = given_s if rewound else max(given_s, self.show_s)
        # Should the other machine fall silent, its last word is where counting begins.
        self._origin_s = now_s - self.show_s
        return rewound
