"""What must hold between the cues of a show: names, chains, moments."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from mien.look import EVERYONE
from mien.shows._fields import Fields, nearest
from mien.shows.show import Cue


def check_names(fields: Fields, cues: tuple[Cue, ...]) -> None:
    seen: dict[str, int] = {}
    for number, cue in enumerate(cues):
        if cue.name in seen:
            fix = f'give it a name of its own, like name = "{cue.name} {number + 1}"'
            fields.say(("cue", number), f"line {seen[cue.name]} has a cue {cue.name!r} too", fix)
        seen.setdefault(cue.name, cue.line)
    if not cues:
        fields.say((), "the show has no cue", "add one: [[cue]]", fatal=False)
    timed = [(number, cue) for number, cue in enumerate(cues) if cue.at_s is not None]
    for (_, before), (number, cue) in pairwise(timed):
        assert before.at_s is not None
        assert cue.at_s is not None
        if cue.at_s < before.at_s:
            fields.say(
                ("cue", number, "at"),
                f"{cue.name!r} comes before {before.name!r} in time and after it in the file",
                "put the cues in order: GO takes them in the file's order",
                fatal=False,
            )


def check_chains(fields: Fields, cues: tuple[Cue, ...]) -> None:
    by_name = {cue.name: cue for cue in cues}
    for number, cue in enumerate(cues):
        if cue.after is not None and cue.after not in by_name:
            fix = nearest(cue.after, list(by_name))
            fields.say(("cue", number, "after"), f"no cue is called {cue.after!r}", fix)
        loop = _loop(cue, by_name)
        if loop:
            fields.say(
                ("cue", number, "after"),
                f"the cues wait for each other: {' -> '.join(loop)}",
                "give one of them a time or a trigger instead",
            )
    _check_overlaps(fields, cues)


def _check_overlaps(fields: Fields, cues: tuple[Cue, ...]) -> None:
    timed = [(number, cue) for number, cue in enumerate(cues) if cue.at_s is not None]
    timed.sort(key=lambda pair: (pair[1].at_s or 0.0, pair[0]))
    for place, (_, first) in enumerate(timed):
        for number, second in timed[place + 1 :]:
            roles = {first.performer, second.performer}
            if len(roles) == 2 and EVERYONE not in roles:
                continue
            _judge_pair(fields, first, second, number)
            break


def _judge_pair(fields: Fields, first: Cue, second: Cue, number: int) -> None:
    assert first.at_s is not None
    assert second.at_s is not None
    if first.at_s == second.at_s:
        winner = first if first.priority > second.priority else second
        fields.say(
            ("cue", number),
            f"{second.name!r} and {first.name!r} come at the same moment; {winner.name!r} wins",
            "move one of them, or say which wins with priority",
            fatal=False,
        )
        return
    instant = first.transition == "cut" or first.target == "slate"
    length = 0.0 if instant else first.duration.seconds(fields.tempo, first.at_s)
    if first.at_s + length > second.at_s + 1e-6:
        over = first.at_s + length - second.at_s
        fields.say(
            ("cue", number),
            f"{second.name!r} begins {over:.2f} s before {first.name!r} has ended",
            "shorten the one before; as it is, it goes on from the blend",
            fatal=False,
        )


def _loop(cue: Cue, by_name: Mapping[str, Cue]) -> list[str]:
    """The way from a cue back to itself along ``after``, if there is one."""
    way = [cue.name]
    step = cue
    while step.after in by_name:
        way.append(step.after or "")
        step = by_name[step.after or ""]
        if step.name == cue.name:
            return way
        if len(way) > len(by_name) + 1:
            return []
    return []
