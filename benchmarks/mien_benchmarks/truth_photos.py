"""Real photographs as performers: does the swapped face do what the photographed one does?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mien.errors import MediaError
from mien.perception import FaceDescriptor
from mien.personas.persona import Persona
from mien.pipeline import Pipeline
from mien.types import Frame, U8Array
from mien_benchmarks.truth_bench import rounded
from mien_benchmarks.truth_faces import FaceReader
from mien_benchmarks.truth_motion import landmark_distance
from mien_benchmarks.truth_rows import base_config
from mien_streamer.sources import read_image
from mien_streamer.sources.images import images_in

WANTED_SHARE = 0.06
"""Landmarks of the swapped face may lie this far from the performer's, eye distances."""

_FRAME_NS = 33_333_333
# Frames of one photograph until estimates of light have settled.
_SETTLE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoPair:
    """A photograph and what became of it."""

    name: str
    before: U8Array
    after: U8Array


def measure_photos(
    folder: Path, personas: list[Persona], *, swapper: str = "mesh"
) -> tuple[dict[str, Any], list[PhotoPair]]:
    """Landmark agreement and identity of every photograph with every persona.

    Args:
        folder: photographs with one face each.
        personas: who is worn.
        swapper: what draws.

    Returns:
        Figures by photograph and persona, JSON-ready, and the pictures.

    Raises:
        MediaError: the folder holds no photograph, or one shows no face.
    """
    photos = images_in(folder) if folder.is_dir() else []
    if not photos:
        raise MediaError(f"no photographs in {folder}", "name a folder of JPEGs or PNGs")
    figures: dict[str, Any] = {}
    pairs: list[PhotoPair] = []
    describer = FaceDescriptor()
    try:
        with FaceReader() as reader:
            for path in photos:
                picture = read_image(path)
                face = reader.read(picture, None)
                if face is None:
                    raise MediaError(f"no face was found in {path}", "leave it out")
                before = describer.describe(picture, face.landmarks)
                for persona in personas:
                    after = _swapped(picture, persona, swapper)
                    seen = reader.read(after, face.landmarks)
                    name = f"{path.stem} as {persona.name}"
                    pairs.append(PhotoPair(name=name, before=picture, after=after))
                    figures[name] = {
                        "landmarks": None
                        if seen is None
                        else landmark_distance(seen.landmarks, face.landmarks),
                        "descriptor_before": float(np.linalg.norm(before - persona.descriptor)),
                        "descriptor_after": None
                        if seen is None
                        else float(
                            np.linalg.norm(
                                describer.describe(after, seen.landmarks) - persona.descriptor
                            )
                        ),
                    }
    finally:
        describer.close()
    return rounded(figures), pairs


def draw_pairs(pairs: list[PhotoPair], height_px: int = 320) -> U8Array:
    """Each photograph beside its swap, one pair above the other."""
    rows = []
    for pair in pairs:
        width = max(1, round(pair.before.shape[1] * height_px / pair.before.shape[0]))
        halves = [
            cv2.resize(part, (width, height_px), interpolation=cv2.INTER_AREA)
            for part in (pair.before, pair.after)
        ]
        rows.append(np.hstack(halves))
    widest = max(row.shape[1] for row in rows)
    padded = [
        cv2.copyMakeBorder(
            row, 0, 4, 0, widest - row.shape[1], cv2.BORDER_CONSTANT, value=(24, 19, 16)
        )
        for row in rows
    ]
    return np.asarray(np.vstack(padded), np.uint8)


def _swapped(picture: U8Array, persona: Persona, swapper: str) -> U8Array:
    with Pipeline.create(base_config(), swapper) as pipeline:
        pipeline.set_persona(persona, wait=True)
        shown = picture
        for index in range(_SETTLE):
            time_ns = index * _FRAME_NS
            frame = Frame(index=index, bgr=picture.copy(), capture_ns=time_ns, pts_ns=time_ns)
            shown = pipeline.process(frame).frame.bgr
        return shown
