"""The letters that are drawn on pictures, as grey masks made by ``tools/render_marks.py``."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import cv2
import numpy as np

from mien.types import U8Array


@cache
def lettering(name: str) -> U8Array:
    """(h, w) uint8 mask of the words called ``badge`` or ``slate``."""
    data = files("mien.marking").joinpath("assets", f"{name}.png").read_bytes()
    mask = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise RuntimeError(f"the lettering {name}.png of this installation is damaged")
    mask.flags.writeable = False
    return np.asarray(mask, dtype=np.uint8)


def scaled_lettering(name: str, height: int) -> U8Array:
    """The mask at a height in pixels, its own proportions kept."""
    mask = lettering(name)
    width = max(round(mask.shape[1] * height / mask.shape[0]), 1)
    scaled: U8Array = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)
    return scaled
