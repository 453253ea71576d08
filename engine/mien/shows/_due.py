"""Cues that are about to fire."""

from __future__ import annotations

from dataclasses import dataclass

from mien.look import EVERYONE
from mien.shows.show import Cue

SAME_MOMENT_S = 1e-9


@dataclass(slots=True)
class Due:
    """A cue that is to fire, and when on the run's clock."""

    time_s: float
    cue: Cue
    why: str
    place: int

    def rank(self) -> tuple[float, int, int]:
        return self.time_s, self.cue.priority, self.place

    def gives_way_to(self, other: Due) -> bool:
        """True when the other, ranked higher, comes at the same moment for the same role."""
        roles = {self.cue.performer, other.cue.performer}
        meet = len(roles) == 1 or EVERYONE in roles
        return meet and other.time_s - self.time_s < SAME_MOMENT_S


@dataclass(slots=True)
class Follow:
    """Cues that come after one that has started."""

    cue: Cue
    start_show_s: float
    pending: list[Cue]
