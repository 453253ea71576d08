"""A recipe says what it does not understand."""

from __future__ import annotations

from pathlib import Path

import pytest

from mien.errors import InputError
from mien.training.recipe import RefinerRecipe, read_recipe, recipe_from


def test_a_recipe_survives_plain_values() -> None:
    recipe = RefinerRecipe(steps=7, widths=(8, 16), depths=(1, 1))
    assert recipe_from(recipe.to_json()) == recipe


def test_a_file_changes_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text("steps = 5\nlearning_rate = 1\nwidths = [8, 8, 8]\n")
    recipe = read_recipe(path)
    assert (recipe.steps, recipe.learning_rate, recipe.widths) == (5, 1.0, (8, 8, 8))
    assert recipe.batch == RefinerRecipe().batch


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
