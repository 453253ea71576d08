"""Who somebody is, in numbers, and the head that comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from .anatomy import F64, ShapeLibrary

Rgb = tuple[float, float, float]
"""Linear RGB reflectance."""

HAIR_COLOURS: dict[str, Rgb] = {
    "black": (0.012, 0.010, 0.009),
    "dark": (0.035, 0.020, 0.012),
    "brown": (0.085, 0.042, 0.020),
    "blond": (0.36, 0.22, 0.09),
    "red": (0.19, 0.060, 0.020),
    "grey": (0.30, 0.29, 0.28),
    "silver": (0.46, 0.45, 0.44),
}
BROW_COLOURS: dict[str, Rgb] = {
    "black": (0.012, 0.010, 0.009),
    "dark": (0.022, 0.013, 0.008),
    "brown": (0.050, 0.026, 0.013),
    "blond": (0.130, 0.075, 0.030),
    "red": (0.105, 0.034, 0.012),
    "grey": (0.110, 0.100, 0.093),
    "silver": (0.19, 0.18, 0.17),
}
IRIS_COLOURS: dict[str, Rgb] = {
    "brown": (0.110, 0.045, 0.018),
    "hazel": (0.170, 0.110, 0.035),
    "amber": (0.230, 0.115, 0.022),
    "blue": (0.130, 0.240, 0.380),
    "green": (0.120, 0.200, 0.100),
    "grey": (0.220, 0.260, 0.290),
    "dark": (0.045, 0.020, 0.011),
}
SHIRTS: dict[str, Rgb] = {
    "navy": (0.05, 0.07, 0.14),
    "wine": (0.30, 0.05, 0.06),
    "moss": (0.10, 0.16, 0.10),
    "linen": (0.55, 0.52, 0.47),
    "coal": (0.03, 0.03, 0.035),
    "plum": (0.18, 0.08, 0.22),
    "teal": (0.06, 0.17, 0.19),
    "ochre": (0.42, 0.27, 0.10),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A fictional person.

    Attributes:
        name: short name; also the persona's.
        seed: of everything random about the person; the same seed, the same face.
        male: 0..1, between the female and the male shapes.
        age: 0.5 (young) .. 1 (old), the scale of the MakeHuman targets.
        ancestry: weights of ``caucasian``, ``asian`` and ``african`` shapes.
        weight: 0..1, lean to heavy.
        skin_tone: 0 (light) .. 1 (dark).
        hair, iris, shirt: keys of the colour tables.
        features: shape targets by bare name and how much of each; a target that starts
            with ``l-`` is applied to the right side as well.
        variety: strength of the random features on top of the chosen ones.
        style: ``crop`` is the cap of hair alone; ``bob`` and ``long`` hang to jaw and
            shoulders; ``bun`` is a knot on top.
        hair_length: decimetres that the cap stands off the scalp.
        hairline: height of the hairline above the nose, rest coordinates.
        beard: 0 (none) .. 1.2 (full).
        freckles, blush, lip_colour, liner: strengths, about 0..1.5.
        brow_density, brow_thickness, brow_arch: about 0.6..1.5.
        smile: 0..1.
    """

    name: str
    seed: int
    male: float
    age: float
    ancestry: Mapping[str, float]
    skin_tone: float
    hair: str
    iris: str
    shirt: str
    weight: float = 0.5
    features: Mapping[str, float] = field(default_factory=dict)
    variety: float = 0.45
    style: Literal["crop", "bob", "long", "bun"] = "crop"
    hair_length: float = 0.10
    hairline: float = 8.02
    beard: float = 0.0
    freckles: float = 0.0
    blush: float = 0.6
    lip_colour: float = 1.0
    liner: float = 0.0
    brow_density: float = 1.0
    brow_thickness: float = 1.0
    brow_arch: float = 0.9
    smile: float = 0.15

    @property
    def wrinkles(self) -> float:
        """0 (young) .. 1 (old)."""
        return (self.age - 0.5) * 2


# Largest random weight by kind of target, chosen by eye.
_VARIETY = {
    "head": 0.22, "nose": 0.40, "mouth": 0.33, "eyes": 0.30, "chin": 0.40,
    "cheek": 0.40, "forehead": 0.40, "eyebrows": 0.40, "ears": 0.35,
}  # fmt: skip
# Targets that look unnatural when drawn at random.
_NEVER_RANDOM = (
    "pointed", "triangle", "trans-in", "trans-out", "head-trans", "head-angle", "eye-trans",
    "eye-push", "laugh", "eye-bag", "epicanthus", "head-age", "head-fat", "square-", "back-scale",
)  # fmt: skip


def sculpt(person: Person, shapes: ShapeLibrary) -> F64:
    """(V, 3) vertices of the base mesh, shaped as the person."""
    random = np.random.RandomState(person.seed)
    vertices = shapes.mesh.vertices.copy()
    sexes = {"male": person.male, "female": 1 - person.male}
    ages = {"young": 1 - person.wrinkles, "old": person.wrinkles}
    for sex, sex_share in sexes.items():
        for age, age_share in ages.items():
            share = sex_share * age_share
            if share <= 0:
                continue
            for ancestry, part in person.ancestry.items():
                vertices += (
                    share * part * shapes.displacement(f"macrodetails/{ancestry}-{sex}-{age}")
                )
            for muscle, muscle_share in _thirds(0.5, "muscle").items():
                for weight, weight_share in _thirds(person.weight, "weight").items():
                    part = share * muscle_share * weight_share
                    if part > 0:
                        name = f"macrodetails/universal-{sex}-{age}-{muscle}-{weight}"
                        vertices += part * shapes.displacement(name)
    _add_random_features(vertices, person, shapes, random)
    for target, strength in person.features.items():
        vertices += strength * shapes.displacement(shapes.by_name[target])
        if target.startswith("l-"):
            vertices += strength * shapes.displacement(shapes.by_name["r-" + target[2:]])
    return vertices


def _thirds(value: float, noun: str) -> dict[str, float]:
    return {
        "min" + noun: max(0.0, 1 - 2 * value),
        "average" + noun: 1 - abs(2 * value - 1),
        "max" + noun: max(0.0, 2 * value - 1),
    }


def _add_random_features(
    vertices: F64, person: Person, shapes: ShapeLibrary, random: np.random.RandomState
) -> None:
    for target, path in sorted(shapes.by_name.items()):
        if target.startswith("r-") or any(word in target for word in _NEVER_RANDOM):
            continue
        if random.rand() < 0.5:
            continue
        limit = _VARIETY[path.split("/")[0]]
        strength = min(abs(random.randn()) * limit * 0.5 * person.variety, limit * 1.3)
        vertices += strength * shapes.displacement(path)
        if target.startswith("l-"):
            # No face is quite symmetric.
            other = strength * (1 + 0.1 * random.randn())
            vertices += other * shapes.displacement(shapes.by_name["r-" + target[2:]])
    for file in sorted((shapes.data / "mpfb2/targets/asym").glob("*.target.gz")):
        target = file.name.removesuffix(".target.gz")
        if "asymm" not in target and random.rand() < 0.3:
            vertices += 0.12 * random.rand() * shapes.displacement(f"asym/{target}")
