"""Trains the occlusion net."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from mien.errors import InputError
from mien.networks.occlusion import OcclusionConfig, OcclusionNet, folded
from mien.training.half_weights import write_half
from mien.training.occlusion_batches import CoveredBatch, CoveredDeck, gathered
from mien.training.occlusion_loss import occlusion_loss, overlap_counts
from mien.training.occlusion_recipe import LASTING, OcclusionRecipe
from mien.training.shards import find_shards
from mien.training.training_run import TrainingRun, existing_shards
from mien.types import U8Array

WEIGHTS = "occlusion.safetensors"
_COLUMNS = ("held_iou", "held_iou_known", "held_false_cut", "held_false_cut_worst")
_HELD_BATCH, _HELD_SEED = 16, 4_242
_GRID_ROWS, _GRID_COLUMNS = 8, 3


class OcclusionTrainer(TrainingRun):
    """See :class:`~mien.training.training_run.TrainingRun`.

    Args:
        faces: folder of the training faces.
        sprites: the library that covers them.
        held: folder of faces of people who are never trained on, and a library of sprites
            that are never trained on; or None to score on the training ones.
        out: folder of the run.
        recipe: how to train.
        device: where to train; CUDA if there is one.
        begin: checkpoint of another run whose weights are the first ones of a new run. Its
            network may have fewer input channels or blocks; what it lacks changes
            little at first.

    Raises:
        InputError: ``begin`` does not hold a network that fits.
    """

    network: OcclusionNet
    average: OcclusionNet

    def __init__(
        self,
        faces: Path,
        sprites: Path,
        held: tuple[Path, Path] | None,
        out: Path,
        recipe: OcclusionRecipe,
        device: str | None = None,
        begin: Path | None = None,
    ) -> None:
        self.recipe = recipe
        self._begin = begin
        self._folder, self._sprites, self._held_from = faces, sprites, held
        super().__init__(out, recipe, lasting=LASTING, columns=_COLUMNS, device=device)

    def set_up(self, shards: list[str] | None) -> None:
        """Opens the decks and makes the networks."""
        paths = (
            find_shards(self._folder) if shards is None else existing_shards(self._folder, shards)
        )
        recipe, held = self.recipe, self._held_from
        self._deck = CoveredDeck(paths, self._sprites)
        judged = CoveredDeck(find_shards(held[0]), held[1]) if held else self._deck
        self._held = [
            judged.sample([_HELD_SEED, index], bare=_is_bare(index), remembered=_is_known(index))
            for index in range(recipe.held_samples * 3 // 2)
        ]
        if judged is not self._deck:
            judged.close()
        config = OcclusionConfig(widths=recipe.widths, depths=recipe.depths)
        self.network = self._place(OcclusionNet(config))
        if self._begin is not None and shards is None:
            _begin_with(self.network, self._begin)
        self.average = self._place(OcclusionNet(config)).requires_grad_(False)
        self.average.load_state_dict(self.network.state_dict())
        self.average.eval()

    def close(self) -> None:
        """Frees the landmark network and lets others train in the folder."""
        deck: CoveredDeck | None = getattr(self, "_deck", None)
        if deck is not None:
            deck.close()
        super().close()

    def shards(self) -> list[str]:
        """Names of the files of faces in use, in order."""
        return [path.name for path in self._deck.paths]

    def loss(self, step: int) -> torch.Tensor:
        """The loss of a step, of this process's part of the batch."""
        recipe = self.recipe
        batch = self._deck.batch(step, recipe.batch, recipe.seed, (self.rank, self.processes))
        batch = batch.to(self.device)
        with self._autocast():
            logits = self.network(batch.inputs)
        return occlusion_loss(logits, batch.covered, batch.weights)

    def score(self) -> dict[str, float]:
        """Over the held-out samples: IoU of those without and with a moment from before, share
        of bare faces cut."""
        both, either = [0.0, 0.0], [0.0, 0.0]
        cuts: list[float] = []
        for first in range(0, len(self._held), _HELD_BATCH):
            batch = gathered(self._held[first : first + _HELD_BATCH]).to(self.device)
            counts = overlap_counts(self._find(batch), batch.covered, batch.weights)
            for index, (shared, joined, found, face) in enumerate(
                zip(*(count.tolist() for count in counts), strict=True), start=first
            ):
                if _is_bare(index):
                    cuts.append(found / max(face, 1))
                    continue
                both[_is_known(index)] += shared
                either[_is_known(index)] += joined
        return {
            "held_iou": both[0] / max(either[0], 1.0),
            "held_iou_known": both[1] / max(either[1], 1.0),
            "held_false_cut": float(np.mean(cuts)) if cuts else 0.0,
            "held_false_cut_worst": float(np.max(cuts)) if cuts else 0.0,
        }

    def draw_grid(self) -> None:
        """Crop, truth, and what was found; held-out people and things."""
        chosen = self._held[: _GRID_ROWS * _GRID_COLUMNS]
        found = self._find(gathered(chosen).to(self.device)).float().cpu().numpy()[:, 0]
        cells = []
        for sample, mask in zip(chosen, found, strict=True):
            area = sample.face.astype(np.float32) / 255
            truth = _tinted(sample.crop, sample.covered / 255 * area)
            cells.append(np.hstack([sample.crop, truth, _tinted(sample.crop, mask * area)]))
        cells += [np.zeros_like(cells[0])] * (-len(cells) % _GRID_COLUMNS)
        rows = [
            np.hstack(cells[first : first + _GRID_COLUMNS])
            for first in range(0, len(cells), _GRID_COLUMNS)
        ]
        cv2.imwrite(str(self.out / f"grid{self.step:07d}.png"), np.vstack(rows))

    def write_weights(self) -> None:
        """Writes the averaged weights, normalisations folded in, FP16."""
        weights = folded(self.average).state_dict()
        write_half(self.out / WEIGHTS, weights, {"step": str(self.step)})

    def refresh(self) -> bool:
        """Takes in faces that were added; whether there were any."""
        known = set(self.shards())
        fresh = [path for path in find_shards(self._folder) if path.name not in known]
        self._deck.add(fresh)
        return bool(fresh)

    def _place(self, network: OcclusionNet) -> OcclusionNet:
        return network.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.mixed_precision)

    def _find(self, batch: CoveredBatch) -> torch.Tensor:
        with torch.no_grad(), self._autocast():
            return torch.sigmoid(self.average(batch.inputs))


def _begin_with(network: OcclusionNet, path: Path) -> None:
    """Takes over the weights of a checkpoint, as far as they go."""
    hint = "name the checkpoint.pt of a run of mien train occlusion"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)["network"]
        stem = torch.zeros_like(network.stem.conv.weight, device="cpu")
        stem[:, : state["stem.conv.weight"].shape[1]] = state["stem.conv.weight"]
        state["stem.conv.weight"] = stem
        missing, unexpected = network.load_state_dict(state, strict=False)
    except Exception as error:
        raise InputError(
            f"{path} does not hold an occlusion net that fits: {error}", hint
        ) from error
    # A block that is new adds next to nothing yet: its last normalisation starts at zero.
    lacking = [name for name in missing if not name.startswith("inward.")]
    if lacking or unexpected:
        odd = (lacking + unexpected)[0]
        raise InputError(f"{path} holds another occlusion net: {odd} does not fit", hint)


def _is_bare(index: int) -> bool:
    """Every third held-out sample shows an uncovered face."""
    return index % 3 == 2


def _is_known(index: int) -> bool:
    """Every second three of them have a moment from before to compare with."""
    return index // 3 % 2 == 1


def _tinted(crop: U8Array, mask: npt.NDArray[np.floating[Any]]) -> U8Array:
    share = mask[..., None] * 0.7
    colour = np.array([40, 40, 255])
    return np.round(crop * (1 - share) + colour * share).astype(np.uint8)
