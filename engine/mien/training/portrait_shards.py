"""Samples for the live generator on disk: faces of personas, and what the driver did.

A shard is one take: one performer, whose every shot was drawn with several personas. It
is written in one move, so a folder whose making was cut short holds whole takes only.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from mien.errors import MediaError
from mien.live_view import CONDITION_SIZE
from mien.types import F32Array, U8Array

FORMAT = "mien-portraits-1"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PortraitTake:
    """K shots of one performer, N pictures of personas, S = the crop's side.

    Attributes:
        drivers: (K, S, S, 3) uint8 BGR, the performer; to look at.
        conditions: (K, C) float32, see :func:`mien.live_view.observe_driver`.
        shots: (N,) int32, which shot a picture belongs to.
        personas: (N,) int32, who is in it: places in the cast, or 100 + a stranger's number.
        pictures: (N, S, S, 4) uint8, BGR of the true swap and how much of it is the persona;
            black where nothing is.
        transforms: (N, 3, 3) float32, see :func:`mien.live_view.input_transform`.
        landmarks: (N, 478, 2) float32, the performer's, crop pixels.
    """

    drivers: U8Array
    conditions: F32Array
    shots: npt.NDArray[np.int32]
    personas: npt.NDArray[np.int32]
    pictures: U8Array
    transforms: F32Array
    landmarks: F32Array


_NAMES = tuple(field.name for field in fields(PortraitTake))


def write_portraits(path: Path, take: PortraitTake) -> None:
    """Writes a take; the file appears under its name only once it is whole."""
    arrays = {name: np.ascontiguousarray(getattr(take, name)) for name in _NAMES}
    part = path.with_suffix(".part")
    save_file(arrays, part, metadata={"format": FORMAT})
    os.replace(part, path)


def read_portraits(path: Path) -> PortraitTake:
    """The take in a shard.

    Raises:
        MediaError: the file is not a shard of portraits, or from another version.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            if (file.metadata() or {}).get("format") != FORMAT:
                raise MediaError(f"{path} is not a shard of {FORMAT}", "render the shards anew")
            take = PortraitTake(**{name: file.get_tensor(name) for name in _NAMES})
    except (OSError, SafetensorError) as error:
        raise MediaError(f"{path} cannot be read: {error}", "render the shards anew") from error
    if take.conditions.shape[1:] != (CONDITION_SIZE,):
        raise MediaError(
            f"{path} holds conditions of {take.conditions.shape[1]} numbers, "
            f"expected {CONDITION_SIZE}",
            "render the shards anew with this version",
        )
    return take
