"""How the refiner is trained: one small TOML file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.training.run_recipe import RUN_LASTING, RunRecipe, recipe_in_file, recipe_like


@dataclass(frozen=True, slots=True, kw_only=True)
class RefinerRecipe(RunRecipe):
    """How the refiner is trained.

    Attributes:
        weight_decay: of AdamW.
        tone_match: see :class:`mien.training.refiner_batches.Deck`.
        persona_tone: see the same.
        widths, depths: see :class:`mien.networks.refiner.RefinerConfig`.
        mixed_precision: bfloat16 where it is safe.
    """

    steps: int = 20_000
    learning_rate: float = 1.5e-3
    weight_decay: float = 1e-4
    ema: float = 0.997
    tone_match: float = 0.0
    persona_tone: float = 0.06
    widths: tuple[int, ...] = (16, 48, 96)
    depths: tuple[int, ...] = (1, 2, 2)
    score_every: int = 200
    grid_every: int = 400
    refresh_every: int = 0
    mixed_precision: bool = True

    def __post_init__(self) -> None:
        RunRecipe.__post_init__(self)
        for name in ("tone_match", "persona_tone"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in 0..1, got {getattr(self, name)}")


LASTING = (*RUN_LASTING, "weight_decay", "widths", "depths", "tone_match", "persona_tone")
"""What a run that goes on must have the same."""


def recipe_from(values: dict[str, Any]) -> RefinerRecipe:
    """See :func:`mien.training.run_recipe.recipe_like`."""
    return recipe_like(RefinerRecipe(), values)


def read_recipe(path: Path) -> RefinerRecipe:
    """See :func:`mien.training.run_recipe.recipe_in_file`."""
    return recipe_in_file(RefinerRecipe(), path, "docs/training.md")
