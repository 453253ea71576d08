"""Renders takes for the live generator: the cast, and strangers, under a stranger's motion."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mien.training.portrait_shards import write_portraits

from .cast import CAST
from .drawing import open_drawer
from .portraits_crew import PortraitCall, PortraitCrew
from .stage import Actor
from .strangers import draw_stranger
from .takes import HELD_OUT, open_anatomy

STRANGERS_WORN = 24
"""People beside the cast who are drawn as personas, so that the latents have room for more."""

# Their numbers begin here, far from those who perform; a persona's code adds 100.
_FIRST_WORN = 200
_CODE_OF_STRANGERS = 100
_CAST_A_SHOT, _STRANGERS_A_SHOT = 3, 1
_ACTORS_KEPT = 120


def persona_names() -> dict[int, str]:
    """The name of every persona that is drawn, by its code in a take."""
    names = {place: person.name for place, person in enumerate(CAST)}
    for number in range(_FIRST_WORN, _FIRST_WORN + STRANGERS_WORN):
        names[_CODE_OF_STRANGERS + number] = f"stranger{number}"
    return names


def portrait_call(take: int, *, people: int, shots: int, held_out: bool) -> PortraitCall:
    """Who plays in a take; the same number is always the same take."""
    random = np.random.default_rng([take, 4343 if held_out else 43])
    first, count = (10_000, HELD_OUT) if held_out else (0, people)
    performer = first + int(random.integers(count))
    personas = []
    for _ in range(shots):
        cast = random.choice(len(CAST), _CAST_A_SHOT, replace=False)
        worn = random.choice(STRANGERS_WORN, _STRANGERS_A_SHOT, replace=False)
        strangers = _CODE_OF_STRANGERS + _FIRST_WORN + worn
        personas.append(tuple(int(who) for who in (*cast, *strangers)))
    return PortraitCall(
        performer=performer,
        personas=tuple(personas),
        seed=take + (1_000_000 if held_out else 0),
    )


def render_portraits(
    data: Path,
    out: Path,
    *,
    takes: int,
    first: int = 0,
    shots: int = 24,
    people: int = 72,
    held_out: bool = False,
    device: str = "auto",
    report: Callable[[str], None] = lambda _line: None,
) -> None:
    """Renders takes; those that are there are left, so it goes on where it was stopped.

    Args:
        data: see :func:`~mien.training.synthetic.takes.open_anatomy`.
        out: folder for the shards; made if it is not there.
        takes: how many, from number ``first`` on.
        shots: of a take, each drawn with three of the cast and one stranger.
        people: how many strangers perform.
        held_out: performers who are never trained on instead; the personas are the same.
        device: what draws, see :func:`~mien.training.synthetic.drawing.open_drawer`.
        report: told what draws, then a line for every take.

    Raises:
        MissingError: ``data`` is not the data folder, or the device is not there.
        UsageError: there is no such device.
    """
    drawer = open_drawer(device)
    anatomy = open_anatomy(data)
    report(f"{drawer.name} draws")
    out.mkdir(parents=True, exist_ok=True)
    actors: OrderedDict[str, Actor] = OrderedDict()

    def actor(number: int) -> Actor:
        person = CAST[-1 - number] if number < 0 else draw_stranger(number)
        if person.name not in actors:
            actors[person.name] = Actor(person, anatomy)
            if len(actors) > _ACTORS_KEPT:
                actors.popitem(last=False)
        return actors[person.name]

    def persona(code: int) -> Actor:
        return actor(-1 - code if code < len(CAST) else code - _CODE_OF_STRANGERS)

    crew = PortraitCrew(anatomy, persona, drawer)
    for take in range(first, first + takes):
        path = out / f"{'held' if held_out else 'take'}{take:05d}.safetensors"
        if path.exists():
            continue
        start = time.monotonic()
        call = portrait_call(take, people=people, shots=shots, held_out=held_out)
        shot = crew.shoot(call, actor(call.performer))
        if shot is not None:
            write_portraits(path, shot)
        count = 0 if shot is None else len(shot.pictures)
        report(f"{path.name}: {count} pictures, {time.monotonic() - start:.1f} s")
