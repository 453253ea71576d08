"""People drawn at random: who performs, who is worn."""

from __future__ import annotations

from typing import Literal

import numpy as np

from .figure.person import IRIS_COLOURS, SHIRTS, Person

# The seeds of strangers lie far from those of the cast and of the truth benchmark's people.
_FIRST_SEED = 100_000
_ANCESTRIES = ("caucasian", "asian", "african")
_DARKEST = {"caucasian": 0.38, "asian": 0.48, "african": 0.98}
_LIGHTEST = {"caucasian": 0.03, "asian": 0.10, "african": 0.48}


def draw_stranger(number: int) -> Person:
    """The ``number``-th stranger; the same number is always the same person."""
    random = np.random.default_rng(_FIRST_SEED + number)
    male = bool(random.random() < 0.5)
    mix = random.dirichlet((0.45, 0.45, 0.45))
    ancestry = {name: float(part) for name, part in zip(_ANCESTRIES, mix, strict=True)}
    light = sum(_LIGHTEST[name] * part for name, part in ancestry.items())
    dark = sum(_DARKEST[name] * part for name, part in ancestry.items())
    age = float(0.5 + 0.5 * random.beta(0.9, 1.8))
    bare = bool(random.random() < 0.4)
    return Person(
        name=f"stranger{number}",
        seed=_FIRST_SEED + number,
        male=float(np.clip(random.normal(1.0 if male else 0.0, 0.12), 0, 1)),
        age=age,
        ancestry=ancestry,
        skin_tone=float(random.uniform(light, dark)),
        hair=_hair(random, age, ancestry["caucasian"]),
        iris=str(random.choice(sorted(IRIS_COLOURS))),
        shirt=str(random.choice(sorted(SHIRTS))),
        weight=float(np.clip(random.normal(0.52, 0.12), 0.25, 0.9)),
        variety=float(random.uniform(0.5, 1.2)),
        style=_style(random, male),
        hair_length=float(random.uniform(0.05, 0.16 if male else 0.24)),
        hairline=float(random.uniform(7.94, 8.08)),
        beard=float(random.uniform(0.2, 1.1)) if male and not bare else 0.0,
        freckles=float(random.uniform(0.2, 1.0)) if random.random() < 0.2 else 0.0,
        blush=float(random.uniform(0.2, 1.1)),
        lip_colour=float(random.uniform(0.5, 1.8)),
        liner=float(random.uniform(0.2, 1.1)) if not male and random.random() < 0.5 else 0.0,
        brow_density=float(random.uniform(0.6, 1.3)),
        brow_thickness=float(random.uniform(0.6, 1.4)),
        brow_arch=float(random.uniform(0.6, 1.2)),
        smile=0.0,
    )


def _hair(random: np.random.Generator, age: float, caucasian: float) -> str:
    if random.random() < (age - 0.5) * 1.5:
        return str(random.choice(["grey", "silver"]))
    fair = bool(random.random() < caucasian * 0.8)
    return str(random.choice(["brown", "blond", "red", "dark"] if fair else ["black", "dark"]))


def _style(random: np.random.Generator, male: bool) -> Literal["crop", "bob", "long", "bun"]:
    if male:
        return "crop"
    styles: tuple[Literal["crop", "bob", "long", "bun"], ...] = ("crop", "bob", "long", "bun")
    return styles[int(random.integers(len(styles)))]
