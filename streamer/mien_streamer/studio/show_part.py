"""A show in the studio: what the page shows of it, and the page's hands on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from mien.errors import UsageError
from mien.marking.metadata import Statement
from mien.shows import ShowPlayer
from mien_streamer.studio.commands import Commands
from mien_streamer.studio.stage import Stage


class HasStage(Protocol):
    """A studio, as far as a show is concerned."""

    stage: Stage
    commands: Commands


def hook_show(
    studio: HasStage,
    player: ShowPlayer,
    *,
    set_bare: Callable[[bool], None],
    statement: Statement | None = None,
) -> None:
    """Puts a show's timeline on the page and teaches the studio its commands.

    ``go``, ``back``, ``hold`` with ``on``, ``cue`` with ``name``, ``button`` with ``name``.

    Args:
        studio: before its stage runs.
        player: the show.
        set_bare: lets the bare face through while on.
        statement: what recordings say; None leaves that to the persona picked.
    """
    studio.stage.show_part = lambda: show_part(player)
    studio.stage.statement = statement
    studio.stage.set_bare = set_bare
    studio.commands.add("go", lambda values: player.go())
    studio.commands.add("back", lambda values: player.back())
    studio.commands.add("hold", lambda values: player.hold(_switch(values)))
    studio.commands.add("cue", lambda values: _fire(player, values))
    studio.commands.add("button", lambda values: _press(player, values))


def show_part(player: ShowPlayer) -> dict[str, Any]:
    """The show's part of the studio's state; see ``docs/studio.md``."""
    state = player.state()
    planned = [time_s for time_s in state.planned_s.values() if time_s is not None]
    return {
        "name": player.show.name,
        "show_s": round(state.show_s, 3),
        "bar": state.bar,
        "beat": round(state.beat, 2),
        "length_s": round(max(planned, default=0.0), 3),
        "holding": state.holding,
        "current": state.current,
        "next": state.next,
        "progress": round(state.progress, 3),
        "message": state.message,
        "wears": dict(state.wears),
        "cues": [
            {
                "name": cue.name,
                "to": cue.to or ("slate" if cue.target == "slate" else "pass-through"),
                "state": state.cues[cue.name],
                "at_s": state.planned_s[cue.name],
                "triggers": [str(trigger) for trigger in cue.triggers],
            }
            for cue in player.show.cues
        ],
    }


def _fire(player: ShowPlayer, values: Mapping[str, Any]) -> None:
    name = values.get("name")
    if not isinstance(name, str) or not player.fire(name):
        raise UsageError("there is no such cue", "send the name of one of the show's cues")


def _press(player: ShowPlayer, values: Mapping[str, Any]) -> None:
    name = values.get("name")
    if not isinstance(name, str) or not player.trigger("button", name):
        raise UsageError("no cue waits for this button", "send a name that the show file gives")


def _switch(values: Mapping[str, Any]) -> bool | None:
    on = values.get("on")
    if on is not None and not isinstance(on, bool):
        raise UsageError("'on' must be true or false", "leave it out to turn it over")
    return on
