"""A training run in a folder: may be stopped at any moment, goes on exactly where it was.

What every network's training shares: the loop, checkpoints that appear whole or not at
all, averaged weights, the curve, the schedule of the learning rate, and several processes
(one a GPU) that ``torchrun`` started.
"""

from __future__ import annotations

import csv
import logging
import math
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn

from mien.closing import Closing
from mien.errors import InputError, MediaError, OutputError
from mien.training.run_lock import RunLock
from mien.training.run_recipe import RunRecipe

logger = logging.getLogger(__name__)

CHECKPOINT, CURVE = "checkpoint.pt", "curve.csv"
_FORMAT = 1
_FIRST_COLUMNS = ("step", "samples", "seconds", "loss", "learning_rate")


class TrainingRun(Closing, ABC):
    """One run: data in, a folder of checkpoints, curves and grids out.

    Belongs to one thread; the first of its processes has the folder to itself until it is
    closed. ``train`` may be called again to go on.

    Args:
        out: folder of the run; goes on from the checkpoint in it, if there is one.
        recipe: how to train.
        lasting: names of the recipe's fields that a run that goes on must have the same.
        columns: of the curve, beside step, samples, seconds, loss and rate.
        device: where to train; CUDA if there is one.

    Raises:
        InputError: the checkpoint belongs to another recipe.
        MediaError: shards are missing or broken.
        OutputError: another process trains in the folder, or it cannot be made.
    """

    network: nn.Module
    average: nn.Module

    def __init__(
        self,
        out: Path,
        recipe: RunRecipe,
        *,
        lasting: tuple[str, ...],
        columns: tuple[str, ...],
        device: str | None = None,
    ) -> None:
        self.out = out
        self._recipe, self._lasting = recipe, lasting
        self._columns = (*_FIRST_COLUMNS, *columns)
        self.rank, self.processes = _join()
        self.device = torch.device(device or _best_device())
        torch.set_num_threads(recipe.threads)
        self.step = 0
        self.seconds = 0.0
        self._loss = 0.0
        self._since_row = 0
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{out} cannot be made: {error}", "choose another folder") from error
        self._lock = RunLock(out) if self.rank == 0 else None
        try:
            state = self._read_checkpoint()
            torch.manual_seed(recipe.seed)
            self.set_up(state["shards"] if state else None)
            self._optimiser = self.optimiser()
            if state:
                self._restore(state)
        except BaseException:
            self.close()
            raise

    @abstractmethod
    def set_up(self, shards: list[str] | None) -> None:
        """Opens the data and makes ``network`` and ``average``.

        Args:
            shards: names of those that the run was trained with; None: all there are.
        """

    @abstractmethod
    def shards(self) -> list[str]:
        """Names of the shards in use, in order."""

    @abstractmethod
    def loss(self, step: int) -> Tensor:
        """The loss of a step, of this process's part of the batch."""

    @abstractmethod
    def score(self) -> dict[str, float]:
        """The curve's own columns."""

    @abstractmethod
    def draw_grid(self) -> None:
        """Writes a picture of where the run stands."""

    @abstractmethod
    def write_weights(self) -> None:
        """Writes the averaged weights."""

    @abstractmethod
    def refresh(self) -> bool:
        """Takes in what data was added; whether there was any."""

    def optimiser(self) -> torch.optim.Optimizer:
        """What moves the network's weights; asked for once, after ``set_up``.

        A group of parameters may say ``share``: of the learning rate, what it gets.
        """
        return torch.optim.Adam(
            self.network.parameters(), lr=self._recipe.learning_rate, betas=(0.9, 0.99)
        )

    def after_step(self) -> None:
        """What else learns in a step, once the network's weights moved; nothing here."""

    def further_state(self) -> dict[str, Any]:
        """What a checkpoint must hold beside network, averages and optimiser."""
        return {}

    def restore_further(self, state: dict[str, Any]) -> None:
        """Goes on from what :meth:`further_state` gave."""

    def told(self, scores: Mapping[str, float]) -> str:
        """Scores as the log tells them."""
        return ", ".join(f"{name} {value:.4g}" for name, value in scores.items())

    def close(self) -> None:
        """Lets others train in the folder."""
        if self._lock is not None:
            self._lock.close()

    def train(
        self, until: int | None = None, should_stop: Callable[[], bool] = lambda: False
    ) -> dict[str, float]:
        """Trains up to a step (the recipe's last by default), saves, and returns the scores.

        Args:
            until: stop after this step.
            should_stop: asked after every step.
        """
        recipe = self._recipe
        last = min(until or recipe.steps, recipe.steps)
        scores: dict[str, float] = {}
        start = time.monotonic()
        while self.step < last:
            self._advance()
            stopping = self._any(should_stop()) or self.step == last
            self.seconds, start = self.seconds + time.monotonic() - start, time.monotonic()
            if self.rank == 0:
                if self.step % recipe.score_every == 0 or stopping:
                    scores = self.score()
                    self._add_row(scores)
                if self.step % recipe.grid_every == 0 or stopping:
                    self.draw_grid()
                if self.step % recipe.save_every == 0 or stopping:
                    self.save()
            # The list of shards is part of where a run stands. With several processes it
            # stays what it was: they might not see the same files.
            may_grow = recipe.refresh_every and self.processes == 1 and not stopping
            if may_grow and self.step % recipe.refresh_every == 0 and self.refresh():
                self.save()
            if stopping:
                break
        return scores

    def save(self) -> None:
        """Writes the checkpoint and the averaged weights; each appears whole or not at all.

        Raises:
            OutputError: the folder cannot be written to; what was there stays.
        """
        state = {
            "format": _FORMAT,
            "recipe": self._recipe.to_json(),
            "step": self.step,
            "seconds": self.seconds,
            "loss": self._loss,
            "since_row": self._since_row,
            "shards": self.shards(),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "further": self.further_state(),
        }
        part = self.out / (CHECKPOINT + ".part")
        try:
            torch.save(state, part)
            os.replace(part, self.out / CHECKPOINT)
        except (OSError, RuntimeError) as error:  # a full disk is a RuntimeError to torch
            raise OutputError(
                f"{self.out / CHECKPOINT} cannot be written: {error}",
                "free space on its disk; the run goes on from the last checkpoint",
            ) from error
        self.write_weights()

    def _advance(self) -> None:
        recipe = self._recipe
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate(recipe, self.step) * group.get("share", 1.0)
        loss = self.loss(self.step)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        shared = [p.grad for p in self.network.parameters() if p.grad is not None]
        self.agree(shared + [b for b in self.network.buffers() if b.is_floating_point()])
        nn.utils.clip_grad_norm_(self.network.parameters(), recipe.clip)
        self._optimiser.step()
        # A short memory at first: the first weights are worth little.
        keep = min(recipe.ema, (1 + self.step) / (10 + self.step))
        follow(self.average, self.network, keep)
        self.after_step()
        self.step += 1
        self._loss += float(loss.detach())
        self._since_row += 1

    def agree(self, shared: list[Tensor]) -> None:
        """Gives all processes the mean of these: gradients, running averages."""
        if self.processes == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in shared])
        distributed.all_reduce(flat)
        flat /= self.processes
        start = 0
        for tensor in shared:
            tensor.copy_(flat[start : start + tensor.numel()].view_as(tensor))
            start += tensor.numel()

    def _any(self, stop: bool) -> bool:
        if self.processes == 1:
            return stop
        vote = torch.tensor(float(stop), device=self.device)
        distributed.all_reduce(vote)
        return bool(vote.item() > 0)

    def _add_row(self, scores: Mapping[str, float]) -> None:
        row: dict[str, float] = {
            "step": self.step,
            "samples": self.step * self._recipe.batch,
            "seconds": self.seconds,
            "loss": self._loss / max(self._since_row, 1),
            "learning_rate": learning_rate(self._recipe, self.step - 1),
            **scores,
        }
        self._loss, self._since_row = 0.0, 0
        path = self.out / CURVE
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, self._columns)
            if fresh:
                writer.writeheader()
            writer.writerow(
                {
                    name: f"{value:.6g}" if isinstance(value, float) else value
                    for name, value in row.items()
                }
            )
        logger.info("step %d: loss %.4f, %s", self.step, row["loss"], self.told(scores))

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
        mine = self._recipe.to_json()
        # A field that the run did not know yet had no effect, as its default has none.
        theirs = {**type(self._recipe)().to_json(), **state["recipe"]}
        for name in self._lasting:
            if mine[name] != theirs[name]:
                raise InputError(
                    f"{path} was trained with {name} = {theirs[name]}, "
                    f"the recipe says {mine[name]}",
                    "use the same recipe, or another folder",
                )
        return state

    def _restore(self, state: dict[str, Any]) -> None:
        try:
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self._optimiser.load_state_dict(state["optimiser"])
            self.restore_further(state.get("further", {}))
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"the checkpoint in {self.out} holds another network", "choose another folder"
            ) from error
        self.step, self.seconds = state["step"], state["seconds"]
        self._loss, self._since_row = state["loss"], state["since_row"]
        if self.rank == 0:
            _cut_curve(self.out / CURVE, self._columns, self.step)
            logger.info("going on from step %d", self.step)


def follow(average: nn.Module, network: nn.Module, keep: float) -> None:
    """Moves the averaged weights towards the network's; buffers are taken over."""
    with torch.no_grad():
        for mean, value in zip(average.parameters(), network.parameters(), strict=True):
            mean.lerp_(value, 1 - keep)
        for mine, theirs in zip(average.buffers(), network.buffers(), strict=True):
            mine.copy_(theirs)


def learning_rate(recipe: RunRecipe, step: int) -> float:
    """Rises over the warm-up, then falls to zero by half a cosine."""
    if step < recipe.warm_up:
        return recipe.learning_rate * (step + 1) / recipe.warm_up
    done = (step - recipe.warm_up) / max(recipe.steps - recipe.warm_up, 1)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def existing_shards(folder: Path, names: list[str]) -> list[Path]:
    """The shards of those names.

    Raises:
        MediaError: one is not there.
    """
    for name in names:
        if Path(name).name != name or not (folder / name).is_file():
            raise MediaError(
                f"the run was trained with {name}, which {folder} lacks",
                "render that take again; its number says all",
            )
    return [folder / name for name in names]


def _join() -> tuple[int, int]:
    """(rank, processes); joins the others if torchrun started this process."""
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes == 1:
        return 0, 1
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return distributed.get_rank(), processes


def _best_device() -> str:
    if not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"


def _cut_curve(path: Path, columns: tuple[str, ...], step: int) -> None:
    """Drops rows of steps that were not saved; they will be written again."""
    if not path.exists():
        return
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if int(row["step"]) <= step]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
