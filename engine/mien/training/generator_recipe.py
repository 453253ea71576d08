"""How the live generator is trained: one small TOML file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.networks.live_weights import DECODERS
from mien.training.run_recipe import RUN_LASTING, RunRecipe, recipe_in_file, recipe_like


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorRecipe(RunRecipe):
    """How encoder, latents and generator are trained.

    Attributes:
        learning_rate: weights are equalised, so it is four times what adversarial training of
            such a network bears: 1.1 dB more within 180 steps, measured.
        cast_share: of a batch; the rest are strangers, who make room among the latents.
        noise: added to what the condition says of expression, eyes and pose, deviations.
        light_noise: added to what it says of tone and light: how dark a driver's skin is can
            only be guessed, and a network that is sure of it has learned the drivers by heart.
        decoder: ``stylegan3``, or ``conv``: the same layers without alias-free filters.
        channel_base, channel_max, num_layers: of the generator; more is dearer.
        mixed_precision: bfloat16 in the synthesis network.
        perceptual: how much features of the identity network count
            (:mod:`mien.networks.face_features`); 0 leaves it out.
        adversarial: how much a discriminator does (:mod:`mien.training.critic`); 0 leaves it
            out.
        adversarial_rate: learning rate of the discriminator.
        r1, r1_every: weight of its gradient penalty, and steps between looks at it.
    """

    learning_rate: float = 1e-2
    cast_share: float = 0.75
    noise: float = 0.05
    light_noise: float = 0.2
    decoder: str = "stylegan3"
    channel_base: int = 2048
    channel_max: int = 96
    num_layers: int = 7
    mixed_precision: bool = True
    perceptual: float = 0.0
    adversarial: float = 0.0
    adversarial_rate: float = 1e-3
    r1: float = 1.0
    r1_every: int = 16

    def __post_init__(self) -> None:
        RunRecipe.__post_init__(self)
        for name in ("channel_base", "channel_max", "num_layers", "r1_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.decoder not in DECODERS:
            raise ValueError(f"decoder is one of {', '.join(DECODERS)}, not {self.decoder!r}")
        if not 0 <= self.cast_share <= 1 or min(self.noise, self.light_noise) < 0:
            raise ValueError("cast_share in 0..1 and noise >= 0, please")
        if min(self.perceptual, self.adversarial, self.r1) < 0 or self.adversarial_rate <= 0:
            raise ValueError("losses must not be negative, and adversarial_rate > 0, please")


LASTING = (
    *RUN_LASTING, "cast_share", "noise", "light_noise", "decoder", "channel_base", "channel_max",
    "num_layers", "perceptual", "adversarial", "adversarial_rate", "r1", "r1_every",
)  # fmt: skip
"""What a run that goes on must have the same."""


def generator_recipe_from(values: dict[str, Any]) -> GeneratorRecipe:
    """See :func:`mien.training.run_recipe.recipe_like`."""
    return recipe_like(GeneratorRecipe(), values)


def read_generator_recipe(path: Path) -> GeneratorRecipe:
    """See :func:`mien.training.run_recipe.recipe_in_file`."""
    return recipe_in_file(GeneratorRecipe(), path, "docs/training.md")
