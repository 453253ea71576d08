"""What one persona changes about the generator: a low-rank delta of each layer, as one vector.

Pivotal tuning (Roich et al. 2021, *Pivotal Tuning for Latent-based Editing of Real Images*)
changes the generator itself where no latent can draw somebody. Here the change of every
layer's convolution and of the affine map of its style is a product of two thin matrices (Hu
et al. 2021, *LoRA*, section 4.1), and biases are free: a hundredth of what the whole
generator would take, and nothing that can run. Departure from both: the input layer stays as
it is, so that a picture sits on the head as exactly as before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from mien.errors import ModelError
from mien.networks.checkpoint import Checkpoint
from mien.networks.live_weights import LiveWeights
from mien.networks.stylegan3.config import GeneratorConfig
from mien.networks.stylegan3.layout import tensor_shapes
from mien.networks.stylegan3.schedule import design_schedule

if TYPE_CHECKING:
    from torch import Tensor

F32Array = npt.NDArray[np.float32]
Values = TypeVar("Values", F32Array, "Tensor")

_MOST_RANK = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Where the change of one tensor stands in the vector.

    Attributes:
        name: of the tensor, as in the generator's weight file.
        shape: of the tensor.
        start: of its numbers in the vector.
        rank: of the change; 0 where every number is free.
    """

    name: str
    shape: tuple[int, ...]
    start: int
    rank: int

    @property
    def size(self) -> int:
        """How many numbers it takes."""
        if not self.rank:
            return prod(self.shape)
        return self.rank * (self.shape[0] + prod(self.shape[1:]))

    def delta(self, vector: Values) -> Values:
        """The change itself, of the tensor's shape."""
        mine = vector[self.start : self.start + self.size]
        if not self.rank:
            return mine.reshape(self.shape)
        tall = self.rank * self.shape[0]
        left = mine[:tall].reshape((self.shape[0], self.rank))
        right = mine[tall:].reshape((self.rank, prod(self.shape[1:])))
        return (left @ right).reshape(self.shape)


def tuned_changes(config: GeneratorConfig, rank: int) -> tuple[Change, ...]:
    """What may change, in the vector's order."""
    shapes = tensor_shapes(config)
    changes: list[Change] = []
    start = 0
    for spec in design_schedule(config).layers:
        for part in ("weight", "bias", "affine.weight", "affine.bias"):
            name = f"synthesis.{spec.name}.{part}"
            change = Change(
                name=name,
                shape=shapes[name],
                start=start,
                rank=rank if part.endswith("weight") else 0,
            )
            changes.append(change)
            start += change.size
    return tuple(changes)


def tuning_size(config: GeneratorConfig, rank: int) -> int:
    """Numbers in a vector."""
    last = tuned_changes(config, rank)[-1]
    return last.start + last.size


def rank_of(config: GeneratorConfig, size: int) -> int:
    """The rank of which a vector of that size is.

    Raises:
        ModelError: of none; it was made for another generator.
    """
    for rank in range(1, _MOST_RANK + 1):
        if tuning_size(config, rank) == size:
            return rank
    raise ModelError(f"{size} numbers change no generator of this shape", "tune the persona again")


def first_tuning(config: GeneratorConfig, rank: int, seed: int) -> F32Array:
    """A vector that changes nothing yet and can be learned from: left factors are nought."""
    random = np.random.default_rng(seed)
    vector = np.zeros(tuning_size(config, rank), np.float32)
    for change in tuned_changes(config, rank):
        if change.rank:
            right = change.start + change.rank * change.shape[0]
            end = change.start + change.size
            vector[right:end] = random.normal(0.0, rank**-0.5, end - right)
    return vector


def tuned_tensors(
    config: GeneratorConfig, tensors: Mapping[str, Values], vector: Values, rank: int
) -> Iterator[tuple[str, Values]]:
    """Name and value of every tensor that differs."""
    for change in tuned_changes(config, rank):
        yield change.name, tensors[change.name] + change.delta(vector)


def tuned_weights(weights: LiveWeights, vector: F32Array) -> LiveWeights:
    """The weights with a persona's change folded in.

    Raises:
        ModelError: the vector is for another generator.
    """
    config = weights.generator.config
    rank = rank_of(config, len(vector))
    changed = dict(tuned_tensors(config, weights.generator.tensors, vector, rank))
    generator = Checkpoint(
        init_kwargs=weights.generator.init_kwargs,
        tensors={**weights.generator.tensors, **changed},
        class_name=weights.generator.class_name,
    )
    return replace(weights, generator=generator)
