"""A take: which cues fired when in a live show, kept so that it can be rendered again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from math import isfinite
from typing import Any

from mien.errors import ShowError
from mien.shows.show import Cue, Show, Span, length_s
from mien.shows.state import Event
from mien.shows.values import LONGEST_S

_MOST_LINES = 20_000


def take_line(event: Event, started_s: float) -> str | None:
    """One line of a take, for the cues that fired; None for all else.

    Args:
        event: what the player told.
        started_s: the run's clock at the first frame.
    """
    if event.kind != "fired":
        return None
    facts = {
        "t": round(max(event.time_s - started_s, 0.0), 6),
        "show_s": round(event.show_s, 6),
        "cue": event.cue,
        "why": event.why,
    }
    return json.dumps(facts, ensure_ascii=False)


def show_from_take(show: Show, lines: Iterable[str]) -> Show:
    """The show as it was played: every cue that fired, at its moment, and no other.

    Args:
        show: the show that was played.
        lines: of a take.

    Raises:
        ShowError: a line is none of a take of this show.
    """
    cues: list[Cue] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if number > _MOST_LINES:
            raise ShowError("the take is too long to be one", "name a file that --take wrote")
        cue, at_s, show_s = _read(show, line, number)
        seen[cue.name] = seen.get(cue.name, 0) + 1
        name = cue.name if seen[cue.name] == 1 else f"{cue.name} #{seen[cue.name]}"
        cues.append(
            replace(
                cue,
                name=name,
                at_s=at_s,
                after=None,
                triggers=(),
                # Beats were counted where the playhead stood; the take knows seconds only.
                duration=Span(length_s(show, cue, show_s)),
            )
        )
    cues.sort(key=lambda cue: cue.at_s or 0.0)
    return replace(show, cues=tuple(cues), follow="own")


def _read(show: Show, line: str, number: int) -> tuple[Cue, float, float]:
    try:
        facts: Any = json.loads(line)
        at_s, show_s, name = float(facts["t"]), float(facts["show_s"]), facts["cue"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ShowError(
            f"line {number} of the take cannot be read", "name a file that --take wrote"
        ) from error
    cue = show.find(name) if isinstance(name, str) else None
    if cue is None:
        raise ShowError(
            f"line {number} of the take: this show has no cue {name!r}",
            "is it another show's take?",
        )
    if not all(isfinite(time_s) and 0.0 <= time_s <= LONGEST_S for time_s in (at_s, show_s)):
        raise ShowError(f"line {number} of the take: an impossible time", "correct the line")
    return cue, at_s, show_s
