"""Bare faces on disk, to be covered while training: pictures, landmarks and the light.

Written like the takes of :mod:`mien.training.shards`: one file a person, each in one move.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from mien.errors import MediaError
from mien.types import F32Array, U8Array

FORMAT = "mien-faces-1"
SIDE = 256
"""Side of a picture in pixels; the face fills about half of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BareFace:
    """One uncovered face, upright in the middle of its picture.

    Attributes:
        picture: (SIDE, SIDE, 3) uint8 BGR, without noise or compression.
        landmarks: (478, 3) float32, pixels of the picture, as tracked.
        light: (9,) float32: direction to the key light in the picture's axes (x right, y
            up, z to the viewer), linear RGB of the key, linear RGB of what comes from all
            sides.
    """

    picture: U8Array
    landmarks: F32Array
    light: F32Array


_NAMES = tuple(field.name for field in fields(BareFace))


def write_faces(path: Path, faces: Sequence[BareFace]) -> None:
    """Writes the faces of a person; the file appears under its name only once it is whole.

    Raises:
        ValueError: there is no face.
    """
    if not faces:
        raise ValueError("expected at least one face")
    arrays = {
        name: np.ascontiguousarray(np.stack([getattr(face, name) for face in faces]))
        for name in _NAMES
    }
    part = path.with_suffix(".part")
    save_file(arrays, part, metadata={"format": FORMAT})
    os.replace(part, path)


def read_faces(path: Path) -> list[BareFace]:
    """The faces of a file.

    Raises:
        MediaError: the file does not hold faces.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            if (file.metadata() or {}).get("format") != FORMAT:
                raise MediaError(f"{path} does not hold {FORMAT}", "render the faces anew")
            arrays = {name: file.get_tensor(name) for name in _NAMES}
    except (OSError, SafetensorError) as error:
        raise MediaError(f"{path} cannot be read: {error}", "render the faces anew") from error
    return [
        BareFace(**{name: array[index] for name, array in arrays.items()})
        for index in range(len(arrays["light"]))
    ]
