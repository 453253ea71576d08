"""What others may know of a show under way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

CueState = Literal["ahead", "waiting", "running", "done", "overruled"]
EventKind = Literal["fired", "waiting", "overruled", "ended", "rewound"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, for feedback and for the record.

    Attributes:
        time_s: on the run's clock.
        show_s: on the show's.
        kind: what.
        cue: to which cue; empty for ``rewound``.
        why: what fired it: ``time``, ``after``, ``go``, ``back``, or ``osc /mien/kai``.
    """

    time_s: float
    show_s: float
    kind: EventKind
    cue: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayerState:
    """What the wings see. The mappings by cue are in the order of the file.

    Attributes:
        show_s, bar, beat: the playhead.
        holding: the show's clock stands.
        current: name of the cue that fired last, or None.
        next: name of the cue that GO would fire, or None at the end.
        cues: state of every cue.
        planned_s: show time of every cue that comes by itself, None for the others.
        wears: by role, who is mostly shown (``pass-through``, ``slate`` or a name).
        progress: 0..1 of the running transition; 1 where none runs.
        waiting: cues that wait for a persona to be ready.
        message: the last thing worth saying; empty when all is well.
    """

    show_s: float
    bar: int
    beat: float
    holding: bool
    current: str | None
    next: str | None
    cues: Mapping[str, CueState]
    planned_s: Mapping[str, float | None]
    wears: Mapping[str, str]
    progress: float
    waiting: tuple[str, ...]
    message: str
