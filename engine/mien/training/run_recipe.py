"""What every training run must know, and how a recipe is read; needs no torch."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from mien.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecipe:
    """What every run must know of how to train.

    Attributes:
        steps: length of the run; the learning rate falls to zero over it.
        batch: samples a step, over all processes.
        learning_rate: at its highest, after ``warm_up`` steps.
        warm_up: steps over which the rate rises.
        ema: share of the averaged weights that stays, a step.
        clip: largest norm of the gradient.
        seed: of first weights, batches and noise.
        save_every, score_every, grid_every: steps.
        refresh_every: steps after which shards that were added meanwhile are taken in;
            0 for never.
        threads: of the CPU, a process.
    """

    steps: int = 40_000
    batch: int = 16
    learning_rate: float = 2.5e-3
    warm_up: int = 100
    ema: float = 0.998
    clip: float = 1.0
    seed: int = 8
    save_every: int = 100
    score_every: int = 250
    grid_every: int = 250
    refresh_every: int = 100
    threads: int = 1

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "save_every", "score_every", "grid_every", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if min(self.warm_up, self.refresh_every, self.seed) < 0:
            raise ValueError("warm_up, refresh_every and seed must not be negative")
        if not 0 < self.learning_rate <= 1 or not 0 <= self.ema < 1 or self.clip <= 0:
            raise ValueError("learning_rate in (0, 1], ema in [0, 1) and clip > 0, please")

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


RUN_LASTING = ("batch", "learning_rate", "warm_up", "ema", "clip", "seed")
"""What every run that goes on must have the same.

They shape what is learnt, sample by sample; changed half-way, a run is one that no recipe
describes. ``steps`` may change: a run can be made longer. So may what only says how often
something is written, how exactly and by how many threads it is computed, and when added
shards are taken in.
"""

Recipe = TypeVar("Recipe", bound=RunRecipe)


def recipe_like(standard: Recipe, values: Mapping[str, Any]) -> Recipe:
    """A recipe of plain values.

    Args:
        standard: gives what the values leave out, and the types.
        values: of some of its fields; a whole number may stand for a float, a list for a
            tuple.

    Raises:
        InputError: an unknown key or a value that cannot stand.
    """
    known = [field.name for field in fields(standard)]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise InputError(
            f"unknown key {unknown[0]!r} in the recipe", f"known keys: {', '.join(known)}"
        )
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


def recipe_in_file(standard: Recipe, path: Path, page: str) -> Recipe:
    """The recipe in a TOML file; see :func:`recipe_like`.

    Args:
        standard: gives what the file leaves out.
        path: of the file.
        page: of the documentation, named where the file cannot be read.

    Raises:
        InputError: the file cannot be read or holds what a recipe does not.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}", f"see {page}") from error
    return recipe_like(standard, values)
