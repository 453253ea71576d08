"""Samples of true swaps on disk: uint8 crops in shards that are mapped, not loaded.

A folder of shards holds ``NAME.safetensors`` files. Each is one take (one performer, one
persona) and is written in one move, so that a folder whose making was cut short holds
whole takes only and the maker goes on where it stopped.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from mien.errors import MediaError
from mien.types import F32Array, U8Array

FORMAT = "mien-refiner-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One frame of a take, cut to the refiner's crop (S = its side).

    Attributes:
        performer: (S, S, 3) uint8 BGR, the frame as it came.
        composite: (S, S, 3) uint8 BGR, the frame with the mesh swapper's patch in it.
        truth: (S, S, 3) uint8 BGR, the true swap.
        matte: (S, S) uint8, how much of ``composite`` is the patch.
        swapped: (S, S) uint8, how much of ``truth`` is the persona.
        landmarks: (478, 3) float32, crop pixels, as tracked.
        tags: (4,) int32: performer, persona, seed of the take, number of the shot.
    """

    performer: U8Array
    composite: U8Array
    truth: U8Array
    matte: U8Array
    swapped: U8Array
    landmarks: F32Array
    tags: npt.NDArray[np.int32]


_NAMES = tuple(field.name for field in fields(Sample))


def write_shard(path: Path, samples: Sequence[Sample]) -> None:
    """Writes a take; the file appears under its name only once it is whole.

    Raises:
        ValueError: there is no sample.
    """
    if not samples:
        raise ValueError("expected at least one sample")
    arrays = {
        name: np.ascontiguousarray(np.stack([getattr(sample, name) for sample in samples]))
        for name in _NAMES
    }
    part = path.with_suffix(".part")
    save_file(arrays, part, metadata={"format": FORMAT})
    os.replace(part, path)


def read_shard(path: Path) -> list[Sample]:
    """The samples of a take.

    Raises:
        MediaError: the file is not a shard.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            if (file.metadata() or {}).get("format") != FORMAT:
                raise MediaError(f"{path} is not a shard of {FORMAT}", "render the shards anew")
            arrays = {name: file.get_tensor(name) for name in _NAMES}
    except (OSError, SafetensorError) as error:
        raise MediaError(f"{path} cannot be read: {error}", "render the shards anew") from error
    return [
        Sample(**{name: array[index] for name, array in arrays.items()})
        for index in range(len(arrays["tags"]))
    ]


def find_shards(folder: Path) -> list[Path]:
    """All shards of a folder, sorted by name.

    Raises:
        MediaError: there is none.
    """
    found = sorted(folder.glob("*.safetensors"))
    if not found:
        raise MediaError(f"no shard in {folder}", "make some with mien train takes --help")
    return found
