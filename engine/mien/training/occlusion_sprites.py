"""Occluders on disk: sprites that can be lit, all of a library in one file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from mien.errors import MediaError
from mien.types import U8Array

FORMAT = "mien-sprites-1"
KINDS = (
    "hand", "microphone", "boom", "mug", "phone", "paper", "stick", "lump", "cloth", "hair",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Sprite:
    """One thing that covers.

    Attributes:
        planes: (S, S, 8) uint8: colour BGR as 255 times the root of half the reflectance,
            cover, normal x (right), y (up), z (to the viewer) as 128 + 127 n, openness.
        kind: position in :data:`KINDS`.
        shine: 0..1, how glossy.
    """

    planes: U8Array
    kind: int
    shine: float


def write_sprites(path: Path, sprites: Sequence[Sprite]) -> None:
    """Writes a library; the file appears only once it is whole.

    Raises:
        ValueError: there is no sprite.
    """
    if not sprites:
        raise ValueError("expected at least one sprite")
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "planes": np.stack([sprite.planes for sprite in sprites]),
        "kinds": np.array([sprite.kind for sprite in sprites], np.int32),
        "shines": np.array([sprite.shine for sprite in sprites], np.float32),
    }
    part = path.with_suffix(".part")
    save_file(arrays, part, metadata={"format": FORMAT})
    os.replace(part, path)


def read_sprites(path: Path) -> list[Sprite]:
    """The sprites of a library.

    Raises:
        MediaError: the file is not a library of sprites.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            if (file.metadata() or {}).get("format") != FORMAT:
                raise MediaError(f"{path} is not {FORMAT}", "draw it anew")
            arrays = {name: file.get_tensor(name) for name in ("planes", "kinds", "shines")}
    except (OSError, SafetensorError) as error:
        raise MediaError(
            f"{path} cannot be read: {error}", "make it with mien train occluders"
        ) from error
    return [
        Sprite(planes=planes, kind=int(kind), shine=float(shine))
        for planes, kind, shine in zip(
            arrays["planes"], arrays["kinds"], arrays["shines"], strict=True
        )
    ]
