"""Strands of hair that fall over a face, as sprites."""

from __future__ import annotations

import cv2
import numpy as np

from .figure.person import HAIR_COLOURS
from .occluder_drawing import SIDE, U8, pack

_SUPERSAMPLING = 3


def draw_hair(random: np.random.Generator) -> U8:
    """A lock or a fringe that hangs from the top of the sprite; see :func:`pack`."""
    samples = SIDE * _SUPERSAMPLING
    cover = np.zeros((samples, samples), np.uint8)
    across = np.zeros((samples, samples, 3), np.float32)
    colour = np.array(HAIR_COLOURS[str(random.choice(sorted(HAIR_COLOURS)))])
    count = int(np.exp(random.uniform(np.log(8), np.log(260))))
    spread = random.uniform(0.03, 0.34) * samples * (1.0 if count > 30 else 0.4)
    root = samples * random.uniform(0.35, 0.65)
    length = samples * random.uniform(0.3, 0.95)
    sweep = random.normal(0, 0.35) * samples
    curl, rate = random.uniform(0, 0.03) * samples, random.uniform(1, 4)
    down = np.linspace(0, 1, 24)
    for _ in range(count):
        start = root + random.normal(0, 0.5) * spread
        end = length * random.uniform(0.75, 1.05)
        # Locks taper: strands meet at the tip.
        gather = random.uniform(0.2, 1.0)
        x = start + (root - start) * (1 - gather) * down + sweep * down**1.6
        x = x + curl * np.sin(rate * 6.28 * down + random.normal(0, 0.4))
        points = np.stack([x, end * down], axis=1)
        shade = float(np.exp(random.normal(0, 0.35)))
        lean = float(np.clip((start - root) / max(spread, 1), -0.9, 0.9))
        thickness = int(random.integers(1, 4))
        line = [np.round(points * 8).astype(np.int32)]
        cv2.polylines(cover, line, False, (255,), thickness, cv2.LINE_AA, 3)
        cv2.polylines(across, line, False, (shade, lean, 1.0), thickness, cv2.LINE_8, 3)
    shades = np.where(across[..., 2:] > 0, across[..., :1], 1.0)
    leans = across[..., 1]
    out = np.sqrt(1 - np.clip(leans**2, 0, 0.9))
    normal = np.dstack([leans, 0.25 * np.ones_like(leans), out])
    openness = np.full((samples, samples), 0.85, np.float32)
    return pack(
        np.asarray(shades * colour, np.float32), cover.astype(np.float32) / 255,
        np.asarray(normal, np.float32), openness,
    )  # fmt: skip
