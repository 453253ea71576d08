"""Bare faces on disk, to be covered while training: pictures, landmarks and the light."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mien.training.record_files import read_records, write_records
from mien.types import F32Array, U8Array

FORMAT = "mien-faces-2"
SIDE = 256
"""Side of a picture in pixels; the face fills about half of it."""

_FIRST_SHOT = np.int32(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class BareFace:
    """One uncovered face, upright in the middle of its picture.

    Attributes:
        picture: (SIDE, SIDE, 3) uint8 BGR, without noise or compression.
        landmarks: (478, 3) float32, pixels of the picture, as tracked.
        light: (9,) float32: direction to the key light in the picture's axes (x right, y
            up, z to the viewer), linear RGB of the key, linear RGB of what comes from all
            sides.
        shot: faces of one file with the same number are moments of one shot: the same
            person, camera, light and place.
    """

    picture: U8Array
    landmarks: F32Array
    light: F32Array
    shot: np.int32 = _FIRST_SHOT


def write_faces(path: Path, faces: Sequence[BareFace]) -> None:
    """Writes the faces of a person; the file appears under its name only once it is whole.

    Raises:
        ValueError: there is no face.
    """
    write_records(path, faces, FORMAT, "face")


def read_faces(path: Path) -> list[BareFace]:
    """The faces of a file.

    Raises:
        MediaError: the file does not hold faces.
    """
    return read_records(path, BareFace, FORMAT, "render the faces anew")
