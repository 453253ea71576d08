"""How a network is trained: one small TOML file each."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from mien.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class RefinerRecipe:
    """How the refiner is trained.

    Attributes:
        steps: length of the run; the learning rate falls to zero over it.
        batch: samples a step.
        learning_rate: at its highest, after ``warm_up`` steps.
        warm_up: steps over which the rate rises.
        weight_decay: of AdamW.
        ema: share of the averaged weights that stays, a step.
        clip: largest norm of the gradient.
        seed: of first weights and batches.
        tone_match: see :class:`mien.training.refiner_batches.Deck`.
        persona_tone: see the same.
        widths, depths: see :class:`mien.networks.refiner.RefinerConfig`.
        save_every, score_every, grid_every: steps.
        refresh_every: steps after which shards that were added meanwhile are taken in;
            0 for never.
        mixed_precision: bfloat16 where it is safe.
        threads: of the CPU.
    """

    steps: int = 20_000
    batch: int = 16
    learning_rate: float = 1.5e-3
    warm_up: int = 100
    weight_decay: float = 1e-4
    ema: float = 0.997
    clip: float = 1.0
    seed: int = 8
    tone_match: float = 0.0
    persona_tone: float = 0.06
    widths: tuple[int, ...] = (16, 48, 96)
    depths: tuple[int, ...] = (1, 2, 2)
    save_every: int = 100
    score_every: int = 200
    grid_every: int = 400
    refresh_every: int = 0
    mixed_precision: bool = True
    threads: int = 1

    def __post_init__(self) -> None:
        counts = ("steps", "batch", "save_every", "score_every", "grid_every", "threads")
        for name in counts:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if min(self.warm_up, self.refresh_every, self.seed) < 0:
            raise ValueError("warm_up, refresh_every and seed must not be negative")
        if not 0 <= self.tone_match <= 1:
            raise ValueError(f"tone_match must lie in 0..1, got {self.tone_match}")
        if not 0 <= self.persona_tone <= 1:
            raise ValueError(f"persona_tone must lie in 0..1, got {self.persona_tone}")
        if not 0 < self.learning_rate <= 1 or not 0 <= self.ema < 1 or self.clip <= 0:
            raise ValueError("learning_rate in (0, 1], ema in [0, 1) and clip > 0, please")

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }


def recipe_from(values: dict[str, Any]) -> RefinerRecipe:
    """A recipe of plain values.

    Raises:
        InputError: an unknown key or a value that cannot stand.
    """
    known = {field.name: field for field in fields(RefinerRecipe)}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise InputError(
            f"unknown key {unknown[0]!r} in the recipe", f"known keys: {', '.join(known)}"
        )
    standard = RefinerRecipe()
    checked: dict[str, Any] = {}
    for name, value in values.items():
        like = getattr(standard, name)
        if isinstance(like, tuple) and isinstance(value, list | tuple):
            value = tuple(value)
        if isinstance(like, float) and type(value) is int:
            value = float(value)
        if type(value) is not type(like):
            raise InputError(f"{name} in the recipe is {value!r}", f"write it like {like!r}")
        checked[name] = value
    try:
        return replace(standard, **checked)
    except (TypeError, ValueError) as error:
        raise InputError(f"the recipe cannot stand: {error}", "correct that value") from error


def read_recipe(path: Path) -> RefinerRecipe:
    """The recipe in a TOML file.

    Raises:
        InputError: the file cannot be read or holds what a recipe does not.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}", "see docs/training.md") from error
    return recipe_from(values)
