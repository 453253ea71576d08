"""The slate: a quiet dark card that asks for a moment's patience."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from mien.marking.lettering import text_mask
from mien.types import U8Array

# A dim blue-grey, lighter in the middle (BGR, 0..255), chosen by eye.
_MIDDLE = (46.0, 36.0, 30.0)
_EDGE = (20.0, 15.0, 12.0)
_TEXT = (232.0, 228.0, 224.0)
_WORDS = "one moment"
_TRACKING = 0.06
_TEXT_HEIGHT = 0.085
_WIDEST_TEXT = 0.7
_LEAST_TEXT_PX = 7


def draw_slate(size: tuple[int, int]) -> U8Array:
    """(H, W, 3) uint8 card for a frame of (height, width); the caller owns the pixels."""
    return _card(size).copy()


@lru_cache(maxsize=2)
def _card(size: tuple[int, int]) -> U8Array:
    height, width = size
    y = np.linspace(-1.0, 1.0, height, dtype=np.float32)[:, None]
    x = np.linspace(-1.0, 1.0, width, dtype=np.float32)[None, :]
    edge = np.clip(np.sqrt(x * x + y * y) / 1.3, 0.0, 1.0)[..., None]
    card = np.asarray(_MIDDLE, np.float32) * (1.0 - edge) + np.asarray(_EDGE, np.float32) * edge
    # A dim gradient shows bands; half a code value of fixed noise dissolves them.
    card += np.random.default_rng(0).uniform(-0.5, 0.5, (height, width, 1)).astype(np.float32)
    text_height = round(_TEXT_HEIGHT * min(size) + 4)
    text = text_mask(_WORDS, text_height, tracking=_TRACKING)
    if text.shape[1] > _WIDEST_TEXT * width:
        text_height = max(int(text_height * _WIDEST_TEXT * width / text.shape[1]), 1)
        text = text_mask(_WORDS, text_height, tracking=_TRACKING)
    if text.shape[0] >= _LEAST_TEXT_PX and text.shape[0] < height:
        top, left = (height - text.shape[0]) // 2, (width - text.shape[1]) // 2
        region = card[top : top + text.shape[0], left : left + text.shape[1]]
        alpha = text.astype(np.float32)[..., None] / 255.0
        region += (np.asarray(_TEXT, np.float32) - region) * alpha
    return np.asarray(np.clip(np.round(card), 0, 255), np.uint8)
