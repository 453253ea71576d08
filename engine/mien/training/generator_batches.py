"""Batches for the live generator: evenly over the personas, the same for a step's number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mien.errors import MediaError
from mien.face_mesh import INNER_LIPS, LEFT_BROW, LEFT_EYE, OUTER_LIPS, RIGHT_BROW, RIGHT_EYE
from mien.live_view import condition_parts
from mien.live_warp import input_grid
from mien.perception.descriptor import chip_from_points
from mien.training.portrait_shards import read_portraits
from mien.types import F32Array, U8Array

FIRST_STRANGER = 100
"""Codes of personas from here on are strangers, below it the cast."""

# (points, further weight): what is small, moves, and is looked at.
_PARTS = (
    ((*LEFT_EYE, *RIGHT_EYE), 9.0),
    ((*OUTER_LIPS, *INNER_LIPS), 5.0),
    ((*LEFT_BROW, *RIGHT_BROW), 2.0),
)
_MOST_WEIGHT = 10.0
# Reach of a part's weight beyond its points, share of the picture's side.
_REACH = 0.022
# Spread of the random exposure and white balance, log gain.
_EXPOSURE, _BALANCE = 0.20, 0.06


@dataclass(frozen=True, slots=True, kw_only=True)
class PortraitBatch:
    """What a step learns from; float32 but for the codes.

    Attributes:
        personas: (N,) int64 codes, see :class:`~mien.training.portrait_shards.PortraitTake`.
        conditions: (N, C).
        grids: (N, GRID_SIZE, GRID_SIZE, 2), see :func:`mien.live_warp.input_grid`.
        truth: (N, 4, S, S), BGR and matte, 0..1.
        weights: (N, 1, S, S), what an error of colour costs; 0 off the face.
        chips: (N, 2, 3), where the identity network looks, chip-from-picture.
    """

    personas: npt.NDArray[np.int64]
    conditions: Tensor
    grids: Tensor
    truth: Tensor
    weights: Tensor
    chips: Tensor

    def to(self, device: torch.device) -> PortraitBatch:
        """The same on a device."""
        return PortraitBatch(
            personas=self.personas,
            conditions=self.conditions.to(device),
            grids=self.grids.to(device),
            truth=self.truth.to(device),
            weights=self.weights.to(device),
            chips=self.chips.to(device),
        )


class PortraitDeck:
    """All pictures of some shards, kept in memory.

    Args:
        paths: the shards; their order counts.
        with_drivers: keep the performers' pictures as well, to look at.

    Raises:
        MediaError: a shard cannot be read.
    """

    def __init__(self, paths: Sequence[Path], *, with_drivers: bool = False) -> None:
        self.paths: list[Path] = []
        self._with_drivers = with_drivers
        self._pictures: list[U8Array] = []
        self._weights: list[U8Array] = []
        self._conditions: list[F32Array] = []
        self._transforms: list[F32Array] = []
        self._chips: list[F32Array] = []
        self._codes: list[int] = []
        self._drivers: list[U8Array] = []
        self._of: dict[int, list[int]] = {}
        self.add(paths)
        if not self._pictures:
            raise MediaError("the shards hold no picture", "render more takes")

    def add(self, paths: Sequence[Path]) -> None:
        """Takes in more shards."""
        for path in paths:
            take = read_portraits(path)
            self.paths.append(path)
            for index, code in enumerate(take.personas.tolist()):
                self._of.setdefault(code, []).append(len(self._codes))
                self._codes.append(code)
                self._pictures.append(take.pictures[index])
                self._weights.append(
                    feature_weights(take.pictures[index, ..., 3], take.landmarks[index])
                )
                self._conditions.append(take.conditions[take.shots[index]])
                self._transforms.append(take.transforms[index])
                self._chips.append(np.asarray(chip_from_points(take.landmarks[index]), np.float32))
                if self._with_drivers:
                    self._drivers.append(take.drivers[take.shots[index]])

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def size(self) -> int:
        """Side of the pictures."""
        return len(self._pictures[0])

    def codes(self) -> list[int]:
        """The code of every picture's persona."""
        return list(self._codes)

    def conditions(self) -> Tensor:
        """(len, C) of all pictures."""
        return torch.from_numpy(np.stack(self._conditions))

    def drivers(self, indices: Sequence[int]) -> Tensor:
        """(N, 3, S, S), 0..1 BGR; the deck must have been told to keep them."""
        stack = np.stack([self._drivers[index] for index in indices])
        return torch.from_numpy(stack).permute(0, 3, 1, 2).float() / 255

    def batch(
        self, step: int, size: int, seed: int, cast_share: float, part: tuple[int, int] = (0, 1)
    ) -> PortraitBatch:
        """The batch of a training step, varied.

        Args:
            step: its number.
            size: pictures.
            seed: of the run.
            cast_share: how many of them are of the cast, on average.
            part: (rank, processes); each takes every ``processes``-th picture.
        """
        random = np.random.default_rng([seed, step])
        groups = [
            [code for code in sorted(self._of) if (code < FIRST_STRANGER) == is_cast]
            for is_cast in (True, False)
        ]
        indices = []
        for from_cast, who, which in random.random((size, 3)):
            mine, others = groups if from_cast < cast_share else groups[::-1]
            codes = mine or others
            pictures = self._of[codes[int(who * len(codes))]]
            indices.append(pictures[int(which * len(pictures))])
        gains = random.normal(0, _EXPOSURE, (size, 1)) + random.normal(0, _BALANCE, (size, 3))
        mine_only = slice(part[0], None, part[1])
        return _exposed(self.pick(indices[mine_only]), gains[mine_only].astype(np.float32))

    def pick(self, indices: Sequence[int]) -> PortraitBatch:
        """Pictures as they are."""

        def stacked(rows: list[F32Array] | list[U8Array]) -> Tensor:
            return torch.from_numpy(np.stack([rows[index] for index in indices]))

        grids = [input_grid(self._conditions[at], self._transforms[at]) for at in indices]
        pictures = stacked(self._pictures).permute(0, 3, 1, 2).float() / 255
        return PortraitBatch(
            personas=np.array([self._codes[index] for index in indices], np.int64),
            conditions=stacked(self._conditions),
            grids=torch.from_numpy(np.stack(grids)),
            truth=pictures.contiguous(),
            weights=stacked(self._weights)[:, None].float() * (_MOST_WEIGHT / 255),
            chips=stacked(self._chips),
        )


def feature_weights(matte: U8Array, landmarks: F32Array) -> U8Array:
    """(S, S) uint8 of what an error costs, 255 the most: on small parts that are looked at.

    Args:
        matte: (S, S) uint8, where the face is.
        landmarks: (478, 2) float32, pixels.
    """
    size = len(matte)
    rows, columns = np.mgrid[0:size:2, 0:size:2].astype(np.float32) + 0.5
    weight = np.ones_like(rows)
    for points, further in _PARTS:
        x, y = landmarks[list(points)].T
        away = (columns[..., None] - x) ** 2 + (rows[..., None] - y) ** 2
        near = np.exp(-away.min(axis=2) / (2 * (_REACH * size) ** 2))
        weight = np.maximum(weight, 1 + further * near)
    whole = np.repeat(np.repeat(weight, 2, axis=0), 2, axis=1)[:size, :size]
    scaled = whole * matte.astype(np.float32) / _MOST_WEIGHT
    return np.asarray(np.clip(np.round(scaled), 0, 255), np.uint8)


def _exposed(batch: PortraitBatch, gains: F32Array) -> PortraitBatch:
    """The batch under another exposure and white balance; the conditions tell of it."""
    factors = torch.from_numpy(np.exp(gains))
    truth, conditions = batch.truth.clone(), batch.conditions.clone()
    truth[:, :3] = (truth[:, :3] * factors[:, :, None, None]).clamp(0, 1)
    conditions[:, condition_parts()["tone"]] += torch.from_numpy(np.tile(gains, 2))
    return PortraitBatch(
        personas=batch.personas,
        conditions=conditions,
        grids=batch.grids,
        truth=truth,
        weights=batch.weights,
        chips=batch.chips,
    )
