"""Batches for the refiner: which samples a step sees, and how they are varied.

A step's batch depends on the step's number, the seed and the list of shards alone, so a
run that was cut short goes on with the very batches that it would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from mien.errors import MediaError
from mien.face_mesh import INNER_LIPS, LEFT_BROW, LEFT_EYE, OUTER_LIPS, RIGHT_BROW, RIGHT_EYE
from mien.refiner_view import INPUT_CHANNELS, VIEW_SIZE, shrunk, stack_view
from mien.training.shards import Sample, read_shard
from mien.types import F32Array, U8Array

_HARD_PARTS = (LEFT_EYE, RIGHT_EYE, LEFT_BROW, RIGHT_BROW, OUTER_LIPS, INNER_LIPS)
_BACKGROUND_WEIGHT, _FACE_WEIGHT, _PART_WEIGHT = 0.3, 1.0, 3.0
# Reach of a part's weight beyond its points, share of the crop's side.
_PART_RADIUS = 0.045
# Spread of the random changes of colour: log gain of a channel, log gamma.
_GAIN_SPREAD, _GAMMA_SPREAD = 0.12, 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a step learns from; all float32.

    Attributes:
        inputs: (N, 13, S, S), 0..1, see :mod:`mien.networks.refiner`.
        truth: (N, 3, S, S), 0..1 BGR.
        weights: (N, 1, S, S), what an error costs.
        swapped: (N, 1, S, S), 0..1, where the true swap differs from the frame.
    """

    inputs: torch.Tensor
    truth: torch.Tensor
    weights: torch.Tensor
    swapped: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        return Batch(
            inputs=self.inputs.to(device),
            truth=self.truth.to(device),
            weights=self.weights.to(device),
            swapped=self.swapped.to(device),
        )


class Deck:
    """All samples of some shards, kept in memory.

    Args:
        paths: the shards; their order counts.
        tone_match: 0..1, how far the truth takes the mean colour of the composite's face.
        persona_tone: spread of random log gains of the persona's skin in the composite
            alone, a channel and all channels: what a portrait in bad light does.

    Raises:
        MediaError: a shard cannot be read.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        tone_match: float = 0.0,
        persona_tone: float = 0.0,
    ) -> None:
        self._persona_tone = persona_tone
        self.paths = list(paths)
        self._stacks: list[U8Array] = []
        self._weights: list[U8Array] = []
        for path in self.paths:
            for sample in read_shard(path):
                stack, weights = _stack(sample, tone_match)
                self._stacks.append(stack)
                self._weights.append(weights)
        if not self._stacks:
            raise MediaError("the shards hold no sample", "render more takes")

    def __len__(self) -> int:
        return len(self._stacks)

    def batch(self, step: int, size: int, seed: int, part: tuple[int, int] = (0, 1)) -> Batch:
        """The batch of a training step, varied; or of ``part``: every n-th from the k-th on."""
        random = np.random.default_rng([seed, step])
        batch = self.pick(random.integers(0, len(self), size))
        batch = _vary(batch, random, self._persona_tone)
        mine = slice(part[0], None, part[1])
        return Batch(
            inputs=batch.inputs[mine],
            truth=batch.truth[mine],
            weights=batch.weights[mine],
            swapped=batch.swapped[mine],
        )

    def pick(self, indices: Sequence[int] | npt.NDArray[np.int64]) -> Batch:
        """Samples as they are."""
        stack = np.stack([self._stacks[int(i)] for i in indices])
        planes = torch.from_numpy(stack).permute(0, 3, 1, 2).float().div_(255)
        weights = np.stack([self._weights[int(i)] for i in indices])
        return Batch(
            inputs=planes[:, :INPUT_CHANNELS].contiguous(memory_format=torch.channels_last),
            truth=planes[:, INPUT_CHANNELS : INPUT_CHANNELS + 3].contiguous(),
            swapped=planes[:, INPUT_CHANNELS + 3 :].contiguous(),
            weights=torch.from_numpy(weights)[:, None].float().div_(255 / _most_weight()),
        )


def _most_weight() -> float:
    return _FACE_WEIGHT + _PART_WEIGHT


def _stack(sample: Sample, tone_match: float) -> tuple[U8Array, U8Array]:
    """(S, S, 17) uint8: inputs, truth, swapped; and (S, S) uint8 weights."""
    truth = _matched(sample, tone_match) if tone_match > 0 else sample.truth
    view = stack_view(sample.composite, sample.performer, sample.matte, sample.landmarks)
    swapped = shrunk(sample.swapped)
    stack = np.dstack([view, shrunk(truth), swapped])
    face = np.maximum(swapped, shrunk(sample.matte)).astype(np.float32) / 255
    weights = _BACKGROUND_WEIGHT + (_FACE_WEIGHT - _BACKGROUND_WEIGHT) * face
    near = _near_parts(sample.landmarks * np.float32(VIEW_SIZE / len(sample.matte)), VIEW_SIZE)
    weights += _PART_WEIGHT * near
    return stack, np.round(weights * (255 / _most_weight())).astype(np.uint8)


def _matched(sample: Sample, share: float) -> U8Array:
    """The truth with a share of the composite's mean colour over the face."""
    face = (sample.matte > 250) & (sample.swapped > 250)
    if np.count_nonzero(face) < 100:
        return sample.truth
    goal = np.maximum(sample.composite[face].mean(axis=0), 1.0)
    gain = (goal / np.maximum(sample.truth[face].mean(axis=0), 1.0)) ** share
    factor = 1 + (gain - 1) * (sample.swapped[..., None].astype(np.float32) / 255)
    matched: U8Array = np.clip(np.round(sample.truth * factor), 0, 255).astype(np.uint8)
    return matched


def _near_parts(landmarks: F32Array, size: int) -> F32Array:
    """(S, S) float32, 1 near lids, brows and lips, falling off smoothly."""
    points = landmarks[np.concatenate([np.array(part) for part in _HARD_PARTS]), :2]
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    away = (columns[..., None] - points[:, 0]) ** 2 + (rows[..., None] - points[:, 1]) ** 2
    near: F32Array = np.exp(-away.min(axis=2) / (2 * (_PART_RADIUS * size / 2) ** 2))
    return near.astype(np.float32)


def _vary(batch: Batch, random: np.random.Generator, persona_tone: float) -> Batch:
    """Mirrors half of the samples and changes the colours of all, alike in all pictures.

    Then the persona's tone is taken off in half of the composites.
    """
    count = len(batch.inputs)
    inputs, truth = batch.inputs.clone(), batch.truth.clone()
    weights, swapped = batch.weights.clone(), batch.swapped.clone()
    mirrored = torch.from_numpy(random.random(count) < 0.5)
    for planes in (inputs, truth, weights, swapped):
        planes[mirrored] = planes[mirrored].flip(3)
    # Canonical x runs the other way in a mirror; where there is no face it stays 0.
    on_face = inputs[mirrored, 7:10].amax(dim=1) > 0
    inputs[mirrored, 7] = torch.where(on_face, 1 - inputs[mirrored, 7], 0.0)
    gain = np.exp(random.normal(0, _GAIN_SPREAD, (count, 3, 1, 1)))
    gain *= np.exp(random.normal(0, _GAIN_SPREAD, (count, 1, 1, 1)))
    gamma = np.exp(random.normal(0, _GAMMA_SPREAD, (count, 1, 1, 1)))
    factor, power = (torch.from_numpy(v.astype(np.float32)) for v in (gain, gamma))
    for planes in (inputs[:, :3], inputs[:, 3:6], truth):
        planes.mul_(factor).clamp_(0, 1).pow_(power)
    if persona_tone > 0:
        shift = random.normal(0, persona_tone, (count, 3, 1, 1))
        shift += random.normal(0, persona_tone, (count, 1, 1, 1))
        shift *= random.random((count, 1, 1, 1)) < 0.5
        off = torch.from_numpy(shift.astype(np.float32))
        inputs[:, :3].mul_(torch.exp(off * inputs[:, 6:7])).clamp_(0, 1)
    return Batch(inputs=inputs, truth=truth, weights=weights, swapped=swapped)
