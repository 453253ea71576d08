"""Trains the refiner; may be stopped at any moment and goes on exactly where it was."""

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
import torch
from safetensors.torch import save_file

from mien.errors import InputError, MediaError, OutputError
from mien.networks.refiner import Refiner, RefinerConfig, compose
from mien.training.recipe import RefinerRecipe, recipe_from
from mien.training.refiner_batches import Batch, Deck
from mien.training.refiner_loss import (
    refiner_loss,
    region_error,
    region_error_less_tone,
)
from mien.training.run_lock import RunLock
from mien.training.shards import find_shards

logger = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.pt"
WEIGHTS = "refiner.safetensors"
CURVE = "curve.csv"
_CURVE_COLUMNS = (
    "step", "samples", "seconds", "loss", "learning_rate",
    "held_unswapped", "held_mesh", "held_refined", "relative_mesh", "relative_refined",
    "toneless_unswapped", "toneless_mesh", "toneless_refined",
)  # fmt: skip
_FORMAT = 3
_HELD_BATCH = 16
_GRID_ROWS = 6


class RefinerTrainer:
    """One run: a folder of shards in, a folder of checkpoints, curves and grids out.

    Belongs to one thread, and has the folder to itself until it is closed. ``train`` may
    be called again to go on.

    Args:
        shards: folder of the training takes.
        held: folder of takes of people who are never trained on, or None.
        out: folder of the run; goes on from the checkpoint in it, if there is one.
        recipe: how to train; a run that goes on must have the same but for the counts
            of what is saved when.
        device: where to train; CUDA if there is one.

    Raises:
        InputError: the checkpoint belongs to another recipe.
        MediaError: shards are missing or broken.
        OutputError: another process trains in the folder, or it cannot be made.
    """

    def __init__(
        self,
        shards: Path,
        held: Path | None,
        out: Path,
        recipe: RefinerRecipe,
        device: str | None = None,
    ) -> None:
        self.recipe = recipe
        self.out = out
        self._shards = shards
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
            self._set_up(shards, held)
        except BaseException:
            self._lock.close()
            raise

    def _set_up(self, shards: Path, held: Path | None) -> None:
        recipe = self.recipe
        state = self._read_checkpoint()
        names = state["shards"] if state else [path.name for path in find_shards(shards)]
        self._deck = self._open_deck(_existing(shards, names))
        self._held = Deck(find_shards(held)) if held else None
        torch.manual_seed(recipe.seed)
        config = RefinerConfig(
            widths=recipe.widths,
            depths=recipe.depths,
        )
        self.network = self._place(Refiner(config))
        self.average = self._place(Refiner(config)).requires_grad_(False)
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
        self._lock.close()

    def __enter__(self) -> RefinerTrainer:
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

    def save(self) -> None:
        """Writes the checkpoint and the averaged weights; each appears whole or not at all."""
        state = {
            "format": _FORMAT,
            "recipe": self.recipe.to_json(),
            "step": self.step,
            "seconds": self.seconds,
            "loss": self._loss,
            "since_row": self._since_row,
            "shards": [path.name for path in self._deck.paths],
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "random": torch.get_rng_state(),
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

    def _open_deck(self, paths: list[Path]) -> Deck:
        recipe = self.recipe
        return Deck(
            paths,
            tone_match=recipe.tone_match,
            persona_tone=recipe.persona_tone,
        )

    def _place(self, network: Refiner) -> Refiner:
        return network.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.mixed_precision)

    def _advance(self) -> None:
        recipe = self.recipe
        batch = self._deck.batch(self.step, recipe.batch, recipe.seed).to(self.device)
        rate = _learning_rate(recipe, self.step)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        with self._autocast():
            log_gain = self.network(batch.inputs)
        picture = compose(batch.inputs, log_gain)
        loss = refiner_loss(picture, batch.truth, batch.weights)
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

    def _refine(self, batch: Batch) -> torch.Tensor:
        with torch.no_grad(), self._autocast():
            log_gain = self.average(batch.inputs)
        return compose(batch.inputs, log_gain)

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
            "step %d: loss %.4f; held-out people: error %.2f (mesh %.2f), less tone %.2f (%.2f)",
            self.step, row["loss"], scores["held_refined"], scores["held_mesh"],
            scores["toneless_refined"], scores["toneless_mesh"],
        )  # fmt: skip

    def _draw_grid(self) -> None:
        """Rows of performer, mesh, refined, truth; of people never trained on."""
        deck = self._held or self._deck
        indices = np.linspace(0, len(deck) - 1, _GRID_ROWS).round().astype(int)
        batch = deck.pick(indices).to(self.device)
        columns = (batch.inputs[:, 3:6], batch.inputs[:, :3], self._refine(batch), batch.truth)
        picture = torch.cat([column.clamp(0, 1).cpu() for column in columns], dim=3)
        rows = (picture.permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)
        cv2.imwrite(str(self.out / f"grid{self.step:07d}.png"), np.concatenate(list(rows)))

    def _refresh(self) -> None:
        paths = find_shards(self._shards)
        if len(paths) != len(self._deck.paths):
            self._deck = self._open_deck(paths)
            # The list of shards is part of where a run stands.
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
        before = recipe_from(state["recipe"])
        for name in (
            "batch",
            "steps",
            "learning_rate",
            "seed",
            "widths",
            "depths",
            "tone_match",
            "persona_tone",
        ):
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
        torch.set_rng_state(state["random"])
        self.step, self.seconds = state["step"], state["seconds"]
        self._loss, self._since_row = state["loss"], state["since_row"]
        _cut_curve(self.out / CURVE, self.step)
        logger.info("going on from step %d", self.step)


def _existing(folder: Path, names: list[str]) -> list[Path]:
    for name in names:
        if Path(name).name != name or not (folder / name).is_file():
            raise MediaError(
                f"the run was trained with {name}, which {folder} lacks",
                "render that take again; its number says all",
            )
    return [folder / name for name in names]


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


def _learning_rate(recipe: RefinerRecipe, step: int) -> float:
    if step < recipe.warm_up:
        return recipe.learning_rate * (step + 1) / recipe.warm_up
    done = (step - recipe.warm_up) / max(recipe.steps - recipe.warm_up, 1)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
