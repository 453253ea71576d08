"""Letters to draw on pictures, from grey masks made by ``tools/render_marks.py``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import cv2
import numpy as np

from mien.types import U8Array


@dataclass(frozen=True, slots=True)
class _Letters:
    sheet: U8Array
    gap: int
    places: dict[str, tuple[int, int]]


@cache
def _letters() -> _Letters:
    assets = files("mien.marking").joinpath("assets")
    data = np.frombuffer(assets.joinpath("letters.png").read_bytes(), np.uint8)
    sheet = np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)
    index = json.loads(assets.joinpath("letters.json").read_text(encoding="ascii"))
    places = zip(index["starts"], index["advances"], strict=True)
    return _Letters(sheet, index["gap"], dict(zip(index["letters"], places, strict=True)))


def text_mask(text: str, height_px: int, *, tracking: float = 0.02) -> U8Array:
    """A line of text as a (height_px, w) uint8 mask, 255 inside the letters.

    Letters outside ASCII and the middle dot become question marks.

    Args:
        text: the line.
        height_px: from above the tallest letter to below the deepest.
        tracking: extra space between letters, in parts of the height.
    """
    letters = _letters()
    tall = letters.sheet.shape[0]
    space = tracking * tall
    places = [letters.places.get(letter, letters.places["?"]) for letter in text]
    length = sum(advance + space for _, advance in places)
    line = np.zeros((tall, max(round(length), 1) + 2 * letters.gap), np.uint8)
    x = float(letters.gap)
    for start, advance in places:
        # A letter may reach a little beyond its advance: copy it with its margins.
        width = advance + letters.gap
        first = start - letters.gap // 2
        at = round(x) - letters.gap // 2
        target = line[:, at : at + width]
        np.maximum(target, letters.sheet[:, first : first + target.shape[1]], out=target)
        x += advance + space
    width_px = max(round(line.shape[1] * height_px / tall), 1)
    scaled = cv2.resize(line, (width_px, height_px), interpolation=cv2.INTER_AREA)
    return np.asarray(scaled, np.uint8)
