"""How a persona's own layers are trained."""

from __future__ import annotations

from dataclasses import dataclass

from mien.training.run_recipe import RunRecipe


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonaRecipe(RunRecipe):
    """Latent first, then layers, on the moments of one film.

    Attributes:
        pivot_share: part of the steps that go to the latent; the rest go to the layers.
        rank: of what each layer's weights change by, see :mod:`mien.networks.live_tuning`.
        latent_rate, layer_rate: of the learning rate, what latent and layers get.
        pull: how much it costs to leave the latent that was begun with, a deviation squared.
        perceptual: how much the features of the identity network count.
        identity: how much its descriptor does, a unit of distance.
        keep: how much it costs to draw others in another way than before.
        keep_every: steps between looks at others; what is found counts as often.
        noise, light_noise: as of the generator.
        mixed_precision: bfloat16 in the synthesis network.
    """

    steps: int = 600
    batch: int = 4
    learning_rate: float = 1e-2
    warm_up: int = 20
    ema: float = 0.98
    save_every: int = 50
    score_every: int = 100
    grid_every: int = 300
    refresh_every: int = 0
    pivot_share: float = 0.25
    rank: int = 8
    latent_rate: float = 4.0
    layer_rate: float = 0.5
    pull: float = 1e-3
    perceptual: float = 0.05
    identity: float = 0.1
    keep: float = 1.0
    keep_every: int = 4
    noise: float = 0.05
    light_noise: float = 0.2
    mixed_precision: bool = True

    def __post_init__(self) -> None:
        RunRecipe.__post_init__(self)
        if not 0 <= self.pivot_share <= 1 or min(self.rank, self.keep_every) < 1:
            raise ValueError("pivot_share in 0..1, rank and keep_every at least 1, please")
        costs = (self.pull, self.perceptual, self.identity, self.keep)
        if min(*costs, self.noise, self.light_noise, self.latent_rate, self.layer_rate) < 0:
            raise ValueError("costs, rates and noise must not be negative")

    @property
    def pivot_steps(self) -> int:
        """Steps that go to the latent."""
        return round(self.steps * self.pivot_share)


LASTING = (
    "steps", "batch", "learning_rate", "warm_up", "ema", "clip", "seed", "pivot_share", "rank",
    "latent_rate", "layer_rate", "pull", "perceptual", "identity", "keep", "keep_every", "noise",
    "light_noise",
)  # fmt: skip
"""What a run that goes on must have the same."""
