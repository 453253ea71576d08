"""Trains the refiner."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import torch

from mien.networks.refiner import Refiner, RefinerConfig, compose
from mien.training.half_weights import write_half
from mien.training.recipe import LASTING, RefinerRecipe
from mien.training.refiner_batches import Batch, Deck
from mien.training.refiner_loss import (
    refiner_loss,
    region_error,
    region_error_less_tone,
)
from mien.training.shards import find_shards
from mien.training.training_run import TrainingRun, existing_shards

WEIGHTS = "refiner.safetensors"
_COLUMNS = (
    "held_unswapped", "held_mesh", "held_refined", "relative_mesh", "relative_refined",
    "toneless_unswapped", "toneless_mesh", "toneless_refined",
)  # fmt: skip
_HELD_BATCH = 16
_GRID_ROWS = 6


class RefinerTrainer(TrainingRun):
    """See :class:`~mien.training.training_run.TrainingRun`.

    Args:
        shards: folder of the training takes.
        held: folder of takes of people who are never trained on, or None.
        out: folder of the run.
        recipe: how to train.
        device: where to train; CUDA if there is one.
    """

    network: Refiner
    average: Refiner

    def __init__(
        self,
        shards: Path,
        held: Path | None,
        out: Path,
        recipe: RefinerRecipe,
        device: str | None = None,
    ) -> None:
        self.recipe = recipe
        self._folder, self._held_folder = shards, held
        super().__init__(out, recipe, lasting=LASTING, columns=_COLUMNS, device=device)

    def set_up(self, shards: list[str] | None) -> None:
        """Opens the decks and makes the networks."""
        recipe, held = self.recipe, self._held_folder
        self._deck = self._open_deck(
            find_shards(self._folder) if shards is None else existing_shards(self._folder, shards)
        )
        self._held = Deck(find_shards(held)) if held else None
        config = RefinerConfig(widths=recipe.widths, depths=recipe.depths)
        self.network = self._place(Refiner(config))
        self.average = self._place(Refiner(config)).requires_grad_(False)
        self.average.load_state_dict(self.network.state_dict())

    def optimiser(self) -> torch.optim.Optimizer:
        """What moves the network's weights."""
        recipe = self.recipe
        return torch.optim.AdamW(
            self.network.parameters(),
            lr=recipe.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=recipe.weight_decay,
        )

    def shards(self) -> list[str]:
        """Names of the shards in use, in order."""
        return [path.name for path in self._deck.paths]

    def loss(self, step: int) -> torch.Tensor:
        """The loss of a step, of this process's part of the batch."""
        recipe = self.recipe
        batch = self._deck.batch(step, recipe.batch, recipe.seed, (self.rank, self.processes))
        batch = batch.to(self.device)
        with self._autocast():
            log_gain = self.network(batch.inputs)
        return refiner_loss(compose(batch.inputs, log_gain), batch.truth, batch.weights)

    def score(self) -> dict[str, float]:
        """Mean errors over the held-out takes (or the first training samples), code values."""
        deck = self._held or self._deck
        count = len(deck) if self._held else min(len(deck), _HELD_BATCH)
        sums, toneless = np.zeros(3), np.zeros(3)
        for first in range(0, count, _HELD_BATCH):
            indices = list(range(first, min(first + _HELD_BATCH, count)))
            batch = deck.pick(indices).to(self.device)
            pictures = (batch.inputs[:, 3:6], batch.inputs[:, :3], self._refine(batch))
            for kind, picture in enumerate(pictures):
                judged = (picture, batch.truth, batch.swapped)
                sums[kind] += float(region_error(*judged).sum())
                toneless[kind] += float(region_error_less_tone(*judged).sum())
        unswapped, mesh, refined = (float(value) for value in sums / count)
        scores = {
            "held_unswapped": unswapped,
            "held_mesh": mesh,
            "held_refined": refined,
            "relative_mesh": mesh / max(unswapped, 1e-9),
            "relative_refined": refined / max(unswapped, 1e-9),
        }
        for name, value in zip(("unswapped", "mesh", "refined"), toneless / count, strict=True):
            scores[f"toneless_{name}"] = float(value)
        return scores

    def told(self, scores: Mapping[str, float]) -> str:
        """Scores as the log tells them."""
        return (
            f"held-out people: error {scores['held_refined']:.2f} "
            f"(mesh {scores['held_mesh']:.2f}), less tone {scores['toneless_refined']:.2f} "
            f"({scores['toneless_mesh']:.2f})"
        )

    def draw_grid(self) -> None:
        """Rows of performer, mesh, refined, truth; of people never trained on."""
        deck = self._held or self._deck
        indices = np.linspace(0, len(deck) - 1, _GRID_ROWS).round().astype(int)
        batch = deck.pick(indices).to(self.device)
        columns = (batch.inputs[:, 3:6], batch.inputs[:, :3], self._refine(batch), batch.truth)
        picture = torch.cat([column.clamp(0, 1).cpu() for column in columns], dim=3)
        rows = (picture.permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)
        cv2.imwrite(str(self.out / f"grid{self.step:07d}.png"), np.concatenate(list(rows)))

    def write_weights(self) -> None:
        """Writes the averaged weights, FP16."""
        write_half(self.out / WEIGHTS, self.average.state_dict(), {"step": str(self.step)})

    def refresh(self) -> bool:
        """Takes in shards that were added; whether there was any."""
        paths = find_shards(self._folder)
        if len(paths) == len(self._deck.paths):
            return False
        self._deck = self._open_deck(paths)
        return True

    def _open_deck(self, paths: list[Path]) -> Deck:
        recipe = self.recipe
        return Deck(paths, tone_match=recipe.tone_match, persona_tone=recipe.persona_tone)

    def _place(self, network: Refiner) -> Refiner:
        return network.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.mixed_precision)

    def _refine(self, batch: Batch) -> torch.Tensor:
        with torch.no_grad(), self._autocast():
            log_gain = self.average(batch.inputs)
        return compose(batch.inputs, log_gain)
