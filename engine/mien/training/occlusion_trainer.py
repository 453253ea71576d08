"""Trains the occlusion net; may be stopped at any moment and goes on exactly where it was."""

from __future__ import annotations

import csv
import logging
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file

from mien.errors import InputError, MediaError, OutputError
from mien.networks.occlusion import OcclusionConfig, OcclusionNet
from mien.training.occlusion_batches import CoveredBatch, CoveredDeck, gathered
from mien.training.occlusion_loss import occlusion_loss, overlap_counts
from mien.training.occlusion_recipe import OcclusionRecipe, occlusion_recipe_from
from mien.training.run_lock import RunLock
from mien.training.shards import find_shards
from mien.types import U8Array

logger = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.pt"
WEIGHTS = "occlusion.safetensors"
CURVE = "curve.csv"
_CURVE_COLUMNS = (
    "step", "samples", "seconds", "loss", "learning_rate",
    "held_iou", "held_iou_mean", "held_false_cut", "held_false_cut_worst",
)  # fmt: skip
_FORMAT = 1
_HELD_BATCH, _HELD_SEED = 16, 4_242
_GRID_ROWS, _GRID_COLUMNS = 8, 3
# What a run that goes on must not change.
_FIXED = ("batch", "steps", "learning_rate", "seed", "widths", "depths")


class OcclusionTrainer:
    """One run: a folder of bare faces and a library of sprites in, a folder of weights out.

    Belongs to one thread, and has the folder to itself until it is closed. ``train`` may
    be called again to go on.

    Args:
        faces: folder of the training faces.
        sprites: the library that covers them.
        held: folder of faces of people who are never trained on, and a library of sprites
            that are never trained on; or None to score on the training ones.
        out: folder of the run; goes on from the checkpoint in it, if there is one.
        recipe: how to train; a run that goes on must have the same but for the counts
            of what is saved when.
        device: where to train; CUDA if there is one.

    Raises:
        InputError: the checkpoint belongs to another recipe.
        MediaError: faces or sprites are missing or broken.
        OutputError: another process trains in the folder, or it cannot be made.
    """

    def __init__(
        self,
        faces: Path,
        sprites: Path,
        held: tuple[Path, Path] | None,
        out: Path,
        recipe: OcclusionRecipe,
        device: str | None = None,
    ) -> None:
        self.recipe = recipe
        self.out = out
        self._faces, self._sprites = faces, sprites
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.set_num_threads(recipe.threads)
        self.step = 0
        self.seconds = 0.0
        self._loss = 0.0
        self._since_row = 0
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{out} cannot be made: {error}", "choose another folder") from error
        self._lock = RunLock(out)
        try:
            self._set_up(held)
        except BaseException:
            self._lock.close()
            raise

    def _set_up(self, held: tuple[Path, Path] | None) -> None:
        recipe = self.recipe
        state = self._read_checkpoint()
        names = state["faces"] if state else [path.name for path in find_shards(self._faces)]
        for name in names:
            if Path(name).name != name or not (self._faces / name).is_file():
                raise MediaError(
                    f"the run was trained with {name}, which {self._faces} lacks",
                    "render those faces again; the number says all",
                )
        self._deck = CoveredDeck([self._faces / name for name in names], self._sprites)
        judged = CoveredDeck(find_shards(held[0]), held[1]) if held else self._deck
        self._held = [
            judged.sample([_HELD_SEED, index], bare=index % 3 == 2)
            for index in range(recipe.held_samples * 3 // 2)
        ]
        if judged is not self._deck:
            judged.close()
        torch.manual_seed(recipe.seed)
        config = OcclusionConfig(widths=recipe.widths, depths=recipe.depths)
        self.network = self._place(OcclusionNet(config))
        self.average = self._place(OcclusionNet(config)).requires_grad_(False)
        self.average.load_state_dict(self.network.state_dict())
        self._optimiser = torch.optim.AdamW(
            self.network.parameters(),
            lr=recipe.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=recipe.weight_decay,
        )
        if state:
            self._restore(state)

    def close(self) -> None:
        """Lets others train in the folder."""
        self._deck.close()
        self._lock.close()

    def __enter__(self) -> OcclusionTrainer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def train(
        self, until: int | None = None, should_stop: Callable[[], bool] = lambda: False
    ) -> dict[str, float]:
        """Trains up to a step (the recipe's last by default), saves, and returns the scores.

        Args:
            until: stop after this step.
            should_stop: asked after every step.
        """
        last = min(until or self.recipe.steps, self.recipe.steps)
        scores: dict[str, float] = {}
        start = time.monotonic()
        while self.step < last:
            self._advance()
            recipe = self.recipe
            stopping = should_stop() or self.step == last
            self.seconds, start = self.seconds + time.monotonic() - start, time.monotonic()
            if self.step % recipe.score_every == 0 or stopping:
                scores = self.score()
                self._add_row(scores)
            if self.step % recipe.grid_every == 0 or stopping:
                self._draw_grid()
            if self.step % recipe.save_every == 0 or stopping:
                self.save()
            if recipe.refresh_every and self.step % recipe.refresh_every == 0:
                self._refresh()
            if stopping:
                break
        return scores

    def score(self) -> dict[str, float]:
        """Over the held-out samples: IoU of all pixels, mean IoU, share of bare faces cut."""
        both = either = 0.0
        overlaps: list[float] = []
        cuts: list[float] = []
        for first in range(0, len(self._held), _HELD_BATCH):
            batch = gathered(self._held[first : first + _HELD_BATCH]).to(self.device)
            counts = overlap_counts(self._find(batch), batch.covered, batch.weights)
            for offset, (shared, joined, found, face) in enumerate(
                zip(*(count.tolist() for count in counts), strict=True)
            ):
                if (first + offset) % 3 == 2:
                    cuts.append(found / max(face, 1))
                    continue
                both, either = both + shared, either + joined
                # A sliver at the edge of a face says nothing.
                if joined > 0.01 * face:
                    overlaps.append(shared / joined)
        return {
            "held_iou": both / max(either, 1.0),
            "held_iou_mean": float(np.mean(overlaps)) if overlaps else 1.0,
            "held_false_cut": float(np.mean(cuts)) if cuts else 0.0,
            "held_false_cut_worst": float(np.max(cuts)) if cuts else 0.0,
        }

    def save(self) -> None:
        """Writes the checkpoint and the averaged weights; each appears whole or not at all."""
        state = {
            "format": _FORMAT,
            "recipe": self.recipe.to_json(),
            "step": self.step,
            "seconds": self.seconds,
            "loss": self._loss,
            "since_row": self._since_row,
            "faces": [path.name for path in self._deck.paths],
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }
        part = self.out / (CHECKPOINT + ".part")
        torch.save(state, part)
        os.replace(part, self.out / CHECKPOINT)
        weights = {
            name: tensor.to(device="cpu", dtype=torch.float16).contiguous()
            for name, tensor in self.average.state_dict().items()
        }
        part = self.out / (WEIGHTS + ".part")
        save_file(weights, part, metadata={"step": str(self.step)})
        os.replace(part, self.out / WEIGHTS)

    def _place(self, network: OcclusionNet) -> OcclusionNet:
        return network.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.mixed_precision)

    def _advance(self) -> None:
        recipe = self.recipe
        batch = self._deck.batch(self.step, recipe.batch, recipe.seed).to(self.device)
        for group in self._optimiser.param_groups:
            group["lr"] = _learning_rate(recipe, self.step)
        with self._autocast():
            logits = self.network(batch.inputs)
        loss = occlusion_loss(logits, batch.covered, batch.weights)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), recipe.clip)
        self._optimiser.step()
        # A short memory at first: the first weights are worth little.
        keep = min(recipe.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for mean, value in zip(
                self.average.parameters(), self.network.parameters(), strict=True
            ):
                mean.lerp_(value, 1 - keep)
        self.step += 1
        self._loss += float(loss.detach())
        self._since_row += 1

    def _find(self, batch: CoveredBatch) -> torch.Tensor:
        with torch.no_grad(), self._autocast():
            return torch.sigmoid(self.average(batch.inputs))

    def _add_row(self, scores: dict[str, float]) -> None:
        row: dict[str, Any] = {
            "step": self.step,
            "samples": self.step * self.recipe.batch,
            "seconds": self.seconds,
            "loss": self._loss / max(self._since_row, 1),
            "learning_rate": _learning_rate(self.recipe, self.step - 1),
            **scores,
        }
        self._loss, self._since_row = 0.0, 0
        path = self.out / CURVE
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, _CURVE_COLUMNS)
            if fresh:
                writer.writeheader()
            writer.writerow(
                {
                    name: f"{value:.6g}" if isinstance(value, float) else value
                    for name, value in row.items()
                }
            )
        logger.info(
            "step %d: loss %.4f; held out: IoU %.3f (mean %.3f), bare faces cut %.4f (worst %.3f)",
            self.step, row["loss"], scores["held_iou"], scores["held_iou_mean"],
            scores["held_false_cut"], scores["held_false_cut_worst"],
        )  # fmt: skip

    def _draw_grid(self) -> None:
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

    def _refresh(self) -> None:
        paths = find_shards(self._faces)
        if len(paths) != len(self._deck.paths):
            self._deck.close()
            self._deck = CoveredDeck(paths, self._sprites)
            # The list of files is part of where a run stands.
            self.save()

    def _read_checkpoint(self) -> dict[str, Any] | None:
        path = self.out / CHECKPOINT
        if not path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise InputError(
                f"{path} cannot be read: {error}", "delete it to begin anew"
            ) from error
        if state.get("format") != _FORMAT:
            raise InputError(f"{path} has another format", "delete it to begin anew")
        before = occlusion_recipe_from(state["recipe"])
        for name in _FIXED:
            mine, theirs = getattr(self.recipe, name), getattr(before, name)
            if mine != theirs:
                raise InputError(
                    f"{path} was trained with {name} = {theirs}, the recipe says {mine}",
                    "use the same recipe, or another folder",
                )
        return state

    def _restore(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds = state["step"], state["seconds"]
        self._loss, self._since_row = state["loss"], state["since_row"]
        _cut_curve(self.out / CURVE, self.step)
        logger.info("going on from step %d", self.step)


def _tinted(crop: U8Array, mask: npt.NDArray[np.floating[Any]]) -> U8Array:
    share = mask[..., None] * 0.7
    colour = np.array([40, 40, 255])
    return np.round(crop * (1 - share) + colour * share).astype(np.uint8)


def _cut_curve(path: Path, step: int) -> None:
    """Drops rows of steps that were not saved; they will be written again."""
    if not path.exists():
        return
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if int(row["step"]) <= step]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, _CURVE_COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def _learning_rate(recipe: OcclusionRecipe, step: int) -> float:
    if step < recipe.warm_up:
        return recipe.learning_rate * (step + 1) / recipe.warm_up
    done = (step - recipe.warm_up) / max(recipe.steps - recipe.warm_up, 1)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
