"""Samples of true swaps on disk: uint8 crops in shards that are mapped, not loaded.

A folder of shards holds ``NAME.safetensors`` files. Each is one take (one performer, one
persona) and is written in one move, so that a folder whose making was cut short holds
whole takes only and the maker goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien.errors import MediaError
from mien.training.record_files import read_records, write_records
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


def write_shard(path: Path, samples: Sequence[Sample]) -> None:
    """Writes a take; the file appears under its name only once it is whole.

    Raises:
        ValueError: there is no sample.
    """
    write_records(path, samples, FORMAT, "sample")


def read_shard(path: Path) -> list[Sample]:
    """The samples of a take.

    Raises:
        MediaError: the file is not a shard.
    """
    return read_records(path, Sample, FORMAT, "render the shards anew")


def find_shards(folder: Path) -> list[Path]:
    """All shards of a folder, sorted by name.

    Raises:
        MediaError: there is none.
    """
    found = sorted(folder.glob("*.safetensors"))
    if not found:
        raise MediaError(f"no shard in {folder}", "make some with mien train takes --help")
    return found
