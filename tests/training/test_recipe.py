"""A recipe says what it does not understand."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from mien.errors import InputError
from mien.training import generator_recipe, occlusion_recipe, recipe
from mien.training.generator_recipe import GeneratorRecipe
from mien.training.occlusion_recipe import OcclusionRecipe
from mien.training.recipe import RefinerRecipe, read_recipe, recipe_from
from mien.training.run_recipe import RunRecipe

# What may change while a run goes on: its length, how often something is written or looked at,
# how it is computed. Every other field decides what is learnt.
MAY_CHANGE = {
    "steps", "save_every", "score_every", "grid_every", "refresh_every", "threads",
    "mixed_precision", "held_samples",
}  # fmt: skip


def test_a_recipe_survives_plain_values() -> None:
    tiny = RefinerRecipe(steps=7, widths=(8, 16), depths=(1, 1))
    assert recipe_from(tiny.to_json()) == tiny


def test_a_file_changes_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text("steps = 5\nlearning_rate = 1\nwidths = [8, 8, 8]\n")
    read = read_recipe(path)
    assert (read.steps, read.learning_rate, read.widths) == (5, 1.0, (8, 8, 8))
    assert read.batch == RefinerRecipe().batch


@pytest.mark.parametrize(
    ("of", "lasting"),
    [
        (RefinerRecipe, recipe.LASTING),
        (GeneratorRecipe, generator_recipe.LASTING),
        (OcclusionRecipe, occlusion_recipe.LASTING),
    ],
)
def test_a_run_that_goes_on_keeps_whatever_decides_what_is_learnt(
    of: type[RunRecipe], lasting: tuple[str, ...]
) -> None:
    known = {field.name for field in fields(of)}
    assert set(lasting) == known - MAY_CHANGE
    assert len(set(lasting)) == len(lasting)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("step = 5", "unknown key 'step'"),
        ("steps = '5'", "steps in the recipe"),
        ("steps = true", "steps in the recipe"),
        ("steps = 0", "at least 1"),
        ("ema = 1.0", "ema"),
        ("tone_match = 2.0", "tone_match"),
        ("steps = ", "cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_named(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        read_recipe(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        read_recipe(tmp_path / "nowhere.toml")
