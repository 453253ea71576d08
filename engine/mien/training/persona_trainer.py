"""Tunes latent and layers of the generator to one person, on moments of a film of them.

Pivotal tuning (Roich et al. 2021, *Pivotal Tuning for Latent-based Editing of Real Images*):
first the latent alone, until it draws the person as well as a latent can (the pivot); then
the pivot stays and the layers learn what is missing, while others must be drawn as
before (their section 3.3). Departures: the layers change by matrices of low rank
(:mod:`mien.networks.live_tuning`); features come from the identity network that ships; and
everybody is drawn under the moments' own conditions, since that is all the data there is.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.func import functional_call

from mien.live_view import CONDITION_SIZE, condition_parts
from mien.networks.face_features import FaceFeatures, feature_distance
from mien.networks.live import LiveNetwork
from mien.networks.live_tuning import first_tuning, tuned_tensors
from mien.networks.live_weights import LiveWeights, live_network
from mien.training.generator_loss import colour_loss, face_errors
from mien.training.persona_footage import FootageBatch, FootageDeck, read_footage
from mien.training.persona_recipe import LASTING, PersonaRecipe
from mien.training.training_run import TrainingRun
from mien.types import F32Array

FOOTAGE, TUNING = "footage.safetensors", "tuning.safetensors"
_COLUMNS = ("held_error", "held_distance")
_SCORED, _SCORED_AT_ONCE, _GRID_ROWS = 24, 8, 6
_MATTE_SHARE = 0.5


class Tuning(nn.Module):
    """What is learnt of a persona.

    Args:
        rows: (2, LATENT_SIZE), of the first and of the last layers, to begin with.
        vector: see :func:`mien.networks.live_tuning.first_tuning`.
    """

    def __init__(self, rows: F32Array, vector: F32Array) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.from_numpy(rows.copy()))
        self.vector = nn.Parameter(torch.from_numpy(vector.copy()))


class _Drawer(nn.Module):
    """The network's drawing as a forward pass, whose weights can be replaced for a call."""

    def __init__(self, network: LiveNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, w: Tensor, grids: Tensor) -> Tensor:
        return self.network.draw(w, grids)


class PersonaTrainer(TrainingRun):
    """See :class:`~mien.training.training_run.TrainingRun`; ``out`` holds the footage.

    Args:
        out: folder of the run, with :data:`FOOTAGE` in it.
        recipe: how to train.
        weights: of the generator that is tuned.
        rows: (2, LATENT_SIZE) float32, the latents to begin with.
        coarse: how many of the generator's layers the first latent is for.
        vector: the change of the layers to begin with, of the recipe's rank; None for none.
        device: where to train; CUDA if there is one.
    """

    network: Tuning
    average: Tuning

    def __init__(
        self,
        out: Path,
        recipe: PersonaRecipe,
        weights: LiveWeights,
        rows: F32Array,
        coarse: int,
        vector: F32Array | None = None,
        device: str | None = None,
    ) -> None:
        self.recipe = recipe
        self._first_vector = vector
        self._weights, self._first_rows, self._coarse = weights, rows, coarse
        super().__init__(out, recipe, lasting=LASTING, columns=_COLUMNS, device=device)

    def set_up(self, shards: list[str] | None) -> None:
        """Reads the footage and makes the networks."""
        del shards
        recipe, config = self.recipe, self._weights.generator.config
        self._deck = FootageDeck(read_footage(self.out / FOOTAGE), self.device)
        base = live_network(self._weights).to(self.device)
        if self.device.type == "cpu":
            base.use_fast_filters()
        if recipe.mixed_precision:
            base.generator.synthesis.set_precision(torch.bfloat16)
        self._drawer = _Drawer(base)
        self._base = {name: tensor for name, tensor in base.generator.state_dict().items()}
        self._features = FaceFeatures().to(self.device)
        self._others = torch.from_numpy(self._weights.latents).to(self.device)
        given = self._first_vector
        vector = first_tuning(config, recipe.rank, recipe.seed) if given is None else given
        self.network = Tuning(self._first_rows, vector).to(self.device)
        self.average = Tuning(self._first_rows, vector).to(self.device).requires_grad_(False)
        self._start = Tuning(self._first_rows, vector).to(self.device).requires_grad_(False)

    def optimiser(self) -> torch.optim.Optimizer:
        """Adam; latent and layers have rates of their own."""
        recipe = self.recipe
        groups = [
            {"params": [self.network.rows], "share": recipe.latent_rate},
            {"params": [self.network.vector], "share": recipe.layer_rate},
        ]
        return torch.optim.Adam(groups, lr=recipe.learning_rate, betas=(0.9, 0.99))

    @property
    def moments(self) -> int:
        """Of the film, learnt from and held out."""
        return len(self._deck)

    def shards(self) -> list[str]:
        """The footage is one file."""
        return [FOOTAGE]

    def loss(self, step: int) -> Tensor:
        """The loss of a step."""
        recipe = self.recipe
        random = np.random.default_rng([recipe.seed, step])
        batch = self._deck.batch(random, recipe.batch)
        noise = self._noise(random)
        layers = step >= recipe.pivot_steps
        rows = self.network.rows
        picture = self._draw(
            rows.detach() if layers else rows,
            self.network.vector if layers else self._start.vector,
            batch,
            noise,
        )
        loss = colour_loss(picture, batch.truth, batch.weights) + _MATTE_SHARE * _lack(
            picture, batch
        )
        if recipe.perceptual or recipe.identity:
            loss = loss + self._apart(picture, batch)
        if not layers:
            away = rows - self._start.rows
            return loss + recipe.pull * away.square().mean()
        if recipe.keep and step % recipe.keep_every == 0:
            loss = loss + recipe.keep * recipe.keep_every * self._changed(random, batch, noise)
        return loss

    def score(self) -> dict[str, float]:
        """Of the averaged state, see :meth:`score_of`."""
        return self.score_of(self.average)

    def score_before(self) -> dict[str, float]:
        """Of the latent that was begun with."""
        return self.score_of(self._start)

    @torch.no_grad()
    def score_of(self, tuning: Tuning) -> dict[str, float]:
        """Over held-out moments: mean error over the face (code values), and how far the
        descriptor of what is drawn is from that of the moment."""
        held = self._deck.held
        held = held[np.linspace(0, len(held) - 1, min(_SCORED, len(held))).round().astype(int)]
        error = away = 0.0
        for first in range(0, len(held), _SCORED_AT_ONCE):
            batch = self._deck.pick(held[first : first + _SCORED_AT_ONCE])
            picture = self._draw(tuning.rows, tuning.vector, batch)
            error += float(face_errors(picture, batch.truth)[1].sum())
            mine, theirs = (self._seen(one, batch)[1] for one in (picture, batch.truth))
            away += float((mine - theirs).norm(dim=1).sum())
        return {"held_error": 255 * error / len(held), "held_distance": away / len(held)}

    @torch.no_grad()
    def draw_grid(self) -> None:
        """Rows of held-out moment, drawn to begin with, drawn now."""
        held = self._deck.held
        held = held[np.linspace(0, len(held) - 1, _GRID_ROWS).round().astype(int)]
        batch = self._deck.pick(held)
        columns = [batch.truth[:, :3]]
        for tuning in (self._start, self.average):
            picture = self._draw(tuning.rows, tuning.vector, batch).clamp(0, 1)
            matte = picture[:, 3:]
            columns.append(picture[:, :3] * matte + batch.truth[:, :3] * (1 - matte))
        rows = torch.cat(columns, dim=3).permute(0, 2, 3, 1).cpu().numpy()
        picture_u8 = (rows * 255).round().astype(np.uint8)
        cv2.imwrite(str(self.out / f"grid{self.step:07d}.png"), np.concatenate(list(picture_u8)))

    def write_weights(self) -> None:
        """Writes rows and vector as they stand."""
        part = self.out / (TUNING + ".part")
        state = {
            name: value.cpu().contiguous() for name, value in self.average.state_dict().items()
        }
        save_file(state, part)
        part.replace(self.out / TUNING)

    def refresh(self) -> bool:
        """Footage does not grow."""
        return False

    def found(self) -> tuple[F32Array, F32Array]:
        """(layers, LATENT_SIZE) latents and the change of the layers, averaged."""
        rows = self.average.rows.detach().cpu().numpy()
        layers = self._weights.generator.config.num_ws
        spread = np.repeat(rows, [self._coarse, layers - self._coarse], axis=0)
        return np.ascontiguousarray(spread), self.average.vector.detach().cpu().numpy().copy()

    def _draw(
        self, rows: Tensor, vector: Tensor | None, batch: FootageBatch, noise: Tensor | None = None
    ) -> Tensor:
        """(N, 4, S, S) of one pair of latents, or (N, 2, LATENT_SIZE) of them."""
        network = self._drawer.network
        config = network.config
        told = network.encoder(batch.conditions, noise)[:, None] + rows
        w = network.generator.mapping(told.reshape(-1, told.shape[-1]))[:, 0]
        w = w.reshape(len(told), 2, -1)
        counts = torch.tensor([self._coarse, config.num_ws - self._coarse], device=w.device)
        ws = w.repeat_interleave(counts, dim=1)
        changed = {}
        if vector is not None:
            changed = {
                f"network.generator.{name}": tensor
                for name, tensor in tuned_tensors(config, self._base, vector, self.recipe.rank)
            }
        picture: Tensor = functional_call(self._drawer, changed, (ws, batch.grids))
        return picture

    def _seen(self, picture: Tensor, batch: FootageBatch) -> tuple[list[Tensor], Tensor]:
        return self._features.of(picture, batch.truth, batch.chips)

    def _apart(self, picture: Tensor, batch: FootageBatch) -> Tensor:
        recipe = self.recipe
        mine, who = self._seen(picture, batch)
        with torch.no_grad():
            theirs, wanted = self._seen(batch.truth, batch)
        apart = recipe.perceptual * feature_distance(mine, theirs)
        return apart + recipe.identity * (who - wanted).norm(dim=1).mean()

    def _changed(self, random: np.random.Generator, batch: FootageBatch, noise: Tensor) -> Tensor:
        """How differently the layers draw those who lie between the pivot and others."""
        who = self._others[random.integers(0, len(self._others), len(batch.truth))]
        share = torch.from_numpy(random.uniform(0.25, 1.0, (len(who), 1, 1)).astype(np.float32))
        pivot = self.network.rows.detach()
        rows = pivot + (who[:, None] - pivot) * share.to(who.device)
        with torch.no_grad():
            before = self._draw(rows, None, batch, noise)
        now = self._draw(rows, self.network.vector, batch, noise)
        return (now - before).abs().mean()

    def _noise(self, random: np.random.Generator) -> Tensor:
        """(batch, C) as the generator's own training adds."""
        recipe, parts = self.recipe, condition_parts()
        noise = random.standard_normal((recipe.batch, CONDITION_SIZE), np.float32)
        for name in ("expression", "eyes", "pose"):
            noise[:, parts[name]] *= np.float32(recipe.noise)
        for name in ("tone", "tiles", "light"):
            noise[:, parts[name]] *= np.float32(recipe.light_noise)
        return torch.from_numpy(noise).to(self.device)


def _lack(picture: Tensor, batch: FootageBatch) -> Tensor:
    """The face is covered, and what is far from it is not; between, hair decides."""
    matte = picture[:, 3:].clamp(0, 1)
    short = (batch.surely - matte).clamp(min=0) + (matte - batch.perhaps).clamp(min=0)
    return short.mean()
