"""Trains the live generator: encoder, latents and StyleGAN3 together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from mien.errors import InputError
from mien.live_view import CONDITION_SIZE, condition_parts
from mien.networks.face_features import FaceFeatures
from mien.networks.live import LiveNetwork, live_config
from mien.networks.live_weights import live_metadata, live_network, read_live_weights
from mien.training.critic import Critic
from mien.training.generator_batches import PortraitBatch, PortraitDeck
from mien.training.generator_loss import face_errors, generator_loss, matte_overlap
from mien.training.generator_recipe import LASTING, GeneratorRecipe
from mien.training.half_weights import write_half
from mien.training.shards import find_shards
from mien.training.training_run import TrainingRun, existing_shards

WEIGHTS = "generator.safetensors"
_COLUMNS = ("held_psnr", "held_error", "held_matte_iou")
# Scoring looks at so many pictures of the held-out takes, evenly spread.
_SCORED, _SCORED_AT_ONCE, _GRID_ROWS = 96, 16, 8


class GeneratorTrainer(TrainingRun):
    """See :class:`~mien.training.training_run.TrainingRun`.

    Args:
        shards: folder of portraits to train on.
        held: folder of portraits whose performers are never trained on, or None.
        out: folder of the run.
        recipe: how to train.
        names: name of every persona that may occur, by its code; each has a latent.
        device: where to train; CUDA if there is one.
        begin_from: weights of another run, of the same networks and personas, to begin with.

    Raises:
        InputError: ``begin_from`` is of other networks or personas.
    """

    network: LiveNetwork
    average: LiveNetwork

    def __init__(
        self,
        shards: Path,
        held: Path | None,
        out: Path,
        recipe: GeneratorRecipe,
        names: dict[int, str],
        device: str | None = None,
        begin_from: Path | None = None,
    ) -> None:
        self.recipe = recipe
        self._begin_from = begin_from
        self.names = names
        self._place_of = {code: place for place, code in enumerate(sorted(names))}
        self._folder, self._held_folder = shards, held
        super().__init__(out, recipe, lasting=LASTING, columns=_COLUMNS, device=device)

    def set_up(self, shards: list[str] | None) -> None:
        """Opens the decks and makes the networks."""
        found = find_shards(self._folder)
        self._deck = PortraitDeck(
            found if shards is None else existing_shards(self._folder, shards),
            with_drivers=self._held_folder is None,
        )
        self._held = (
            PortraitDeck(find_shards(self._held_folder), with_drivers=True)
            if self._held_folder
            else self._deck
        )
        recipe = self.recipe
        config = live_config(
            self._deck.size,
            channel_base=recipe.channel_base,
            channel_max=recipe.channel_max,
            num_layers=recipe.num_layers,
        )
        self.network = LiveNetwork(config, len(self.names), recipe.decoder)
        self.network.encoder.standardise(self._deck.conditions())
        if self._begin_from is not None and shards is None:
            self._begin(self._begin_from)
        self.average = LiveNetwork(config, len(self.names), recipe.decoder).requires_grad_(False)
        self.average.load_state_dict(self.network.state_dict())
        for network in (self.network, self.average):
            network.to(self.device)
            if self.device.type == "cpu":
                network.use_fast_filters()
            if recipe.mixed_precision:
                network.generator.synthesis.set_precision(torch.bfloat16)
        self._features = FaceFeatures().to(self.device) if recipe.perceptual else None
        # Made last: weights of the networks must not depend on what else is made.
        self._critic = self._make_critic() if recipe.adversarial else None

    def _begin(self, path: Path) -> None:
        """The network as another run left it; how conditions are scaled included."""
        weights = read_live_weights(path)
        begun = live_network(weights)
        same = weights.generator.config == self.network.config
        names = tuple(self.names[code] for code in sorted(self.names))
        if not same or weights.names != names or begun.decoder != self.network.decoder:
            raise InputError(
                f"{path} holds other networks or personas than the recipe asks for",
                "give the recipe the widths, layers and decoder of the run that it came from",
            )
        self.network.load_state_dict(begun.state_dict())

    def _make_critic(self) -> Critic:
        recipe = self.recipe
        return Critic(
            self._deck.size,
            self.device,
            rate=recipe.adversarial_rate,
            penalty=recipe.r1,
            penalty_every=recipe.r1_every,
        )

    def shards(self) -> list[str]:
        """Names of the shards in use, in order."""
        return [path.name for path in self._deck.paths]

    def loss(self, step: int) -> Tensor:
        """The loss of a step, of this process's part of the batch."""
        recipe, network = self.recipe, self.network
        batch = self._deck.batch(
            step, recipe.batch, recipe.seed, recipe.cast_share, (self.rank, self.processes)
        ).to(self.device)
        noise = _noise(recipe, step)[self.rank :: self.processes].to(self.device)
        w = network.w(batch.conditions, network.latents[self._places(batch)], noise)
        picture = network.draw(w, batch.grids, update_emas=True)
        loss = generator_loss(picture, batch.truth, batch.weights)
        if self._features is not None:
            loss = loss + recipe.perceptual * self._features.apart(
                picture, batch.truth, batch.chips
            )
        if self._critic is not None:
            loss = loss + recipe.adversarial * self._critic.push(picture, batch.truth)
        return loss

    def after_step(self) -> None:
        """The discriminator learns from the same pictures."""
        if self._critic is not None:
            self.agree(self._critic.slopes(self.step))
            self._critic.move()

    def further_state(self) -> dict[str, Any]:
        """The discriminator's."""
        return {} if self._critic is None else self._critic.state()

    def restore_further(self, state: dict[str, Any]) -> None:
        """The discriminator goes on as well."""
        if self._critic is not None:
            self._critic.restore(state)

    def draw(self, batch: PortraitBatch) -> Tensor:
        """(N, 4, S, S) by the averaged weights."""
        with torch.no_grad():
            latents = self.average.latents[self._places(batch)]
            picture: Tensor = self.average(batch.conditions, latents, batch.grids)
        return picture

    def score(self) -> dict[str, float]:
        """PSNR (dB) and mean error (code values) over the face, overlap of the mattes."""
        count = min(len(self._held), _SCORED)
        indices = _spread(len(self._held), count)
        sums = np.zeros(3)
        for first in range(0, count, _SCORED_AT_ONCE):
            batch = self._held.pick(indices[first : first + _SCORED_AT_ONCE]).to(self.device)
            picture = self.draw(batch)
            squares, errors = face_errors(picture, batch.truth)
            sums += [
                float(squares.sum()),
                float(errors.sum()),
                float(matte_overlap(picture, batch.truth).sum()),
            ]
        square, error, overlap = sums / count
        return {
            "held_psnr": float(-10 * np.log10(max(square, 1e-10))),
            "held_error": float(255 * error),
            "held_matte_iou": float(overlap),
        }

    def draw_grid(self) -> None:
        """Rows of driver, truth, drawn (over grey), matte; of performers never trained on."""
        indices = _spread(len(self._held), _GRID_ROWS)
        batch = self._held.pick(indices).to(self.device)
        drawn = self.draw(batch).clamp(0, 1).cpu()
        truth = batch.truth.cpu()
        columns = (
            self._held.drivers(indices), _over_grey(truth), _over_grey(drawn),
            drawn[:, 3:].expand(-1, 3, -1, -1),
        )  # fmt: skip
        picture = torch.cat(columns, dim=3).permute(0, 2, 3, 1).numpy()
        rows = (picture * 255).round().astype(np.uint8)
        cv2.imwrite(str(self.out / f"grid{self.step:07d}.png"), np.concatenate(list(rows)))

    def write_weights(self) -> None:
        """Writes the averaged weights, FP16."""
        names = [self.names[code] for code in sorted(self.names)]
        metadata = live_metadata(self.network.config, names, self.step, self.recipe.decoder)
        write_half(self.out / WEIGHTS, self.average.state_dict(), metadata)

    def refresh(self) -> bool:
        """Takes in shards that were added; whether there was any."""
        known = set(self.shards())
        fresh = [path for path in find_shards(self._folder) if path.name not in known]
        self._deck.add(fresh)
        return bool(fresh)

    def _places(self, batch: PortraitBatch) -> list[int]:
        return [self._place_of[code] for code in batch.personas.tolist()]


def _spread(length: int, count: int) -> list[int]:
    return [int(v) for v in np.linspace(0, length - 1, min(count, length)).round()]


def _noise(recipe: GeneratorRecipe, step: int) -> Tensor:
    """(batch, C), the same for a step's number."""
    random = np.random.default_rng([recipe.seed, step, 1])
    noise = random.standard_normal((recipe.batch, CONDITION_SIZE), np.float32)
    parts = condition_parts()
    for name in ("expression", "eyes", "pose"):
        noise[:, parts[name]] *= np.float32(recipe.noise)
    for name in ("tone", "tiles", "light"):
        noise[:, parts[name]] *= np.float32(recipe.light_noise)
    return torch.from_numpy(noise)


def _over_grey(picture: Tensor) -> Tensor:
    matte = picture[:, 3:]
    return picture[:, :3] * matte + 0.4 * (1 - matte)
