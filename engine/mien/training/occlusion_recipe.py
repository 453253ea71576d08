"""How the occlusion net is trained: one small TOML file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.training.run_recipe import RUN_LASTING, RunRecipe, recipe_in_file, recipe_like


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
    depths: tuple[int, ...] = (1, 2, 3, 3)
    held_samples: int = 192
    mixed_precision: bool = True

    def __post_init__(self) -> None:
        RunRecipe.__post_init__(self)
        if self.held_samples < 1:
            raise ValueError(f"held_samples must be at least 1, got {self.held_samples}")


LASTING = (*RUN_LASTING, "widths", "depths")
"""What a run that goes on must have the same."""


def occlusion_recipe_from(values: dict[str, Any]) -> OcclusionRecipe:
    """See :func:`mien.training.run_recipe.recipe_like`."""
    return recipe_like(OcclusionRecipe(), values)


def read_occlusion_recipe(path: Path) -> OcclusionRecipe:
    """See :func:`mien.training.run_recipe.recipe_in_file`."""
    return recipe_in_file(OcclusionRecipe(), path, "docs/occlusion.md")
