"""How the occlusion net is trained: one small TOML file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from mien.errors import InputError
from mien.training.training_run import RunRecipe


@dataclass(frozen=True, slots=True, kw_only=True)
class OcclusionRecipe(RunRecipe):
    """How the occlusion net is trained.

    Attributes:
        widths, depths: see :class:`mien.networks.occlusion.OcclusionConfig`.
        held_samples: covered samples to score with; half as many bare ones come on top.
        mixed_precision: bfloat16 where it is safe.
    """

    steps: int = 12_000
    learning_rate: float = 2e-3
    ema: float = 0.997
    score_every: int = 500
    grid_every: int = 500
    refresh_every: int = 0
    widths: tuple[int, ...] = (16, 32, 48, 64)
    depths: tuple[int, ...] = (1, 2, 2, 2)
    held_samples: int = 192
    mixed_precision: bool = True

    def __post_init__(self) -> None:
        RunRecipe.__post_init__(self)
        if self.held_samples < 1:
            raise ValueError(f"held_samples must be at least 1, got {self.held_samples}")


LASTING = ("batch", "learning_rate", "warm_up", "ema", "clip", "seed", "widths", "depths")
"""What a run that goes on must have the same; ``steps`` may change: a run can be made longer."""


def occlusion_recipe_from(values: dict[str, Any]) -> OcclusionRecipe:
    """A recipe of plain values.

    Raises:
        InputError: an unknown key or a value that cannot stand.
    """
    known = [field.name for field in fields(OcclusionRecipe)]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise InputError(
            f"unknown key {unknown[0]!r} in the recipe", f"known keys: {', '.join(known)}"
        )
    standard = OcclusionRecipe()
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


def read_occlusion_recipe(path: Path) -> OcclusionRecipe:
    """The recipe in a TOML file.

    Raises:
        InputError: the file cannot be read or holds what a recipe does not.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}", "see docs/occlusion.md") from error
    return occlusion_recipe_from(values)
