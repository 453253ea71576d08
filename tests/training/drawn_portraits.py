"""Portraits that are drawn, not rendered: discs whose colour is the persona's."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from mien.live_view import CONDITION_SIZE, condition_parts
from mien.training.portrait_shards import PortraitTake, write_portraits

from .conftest import plain_landmarks

SIZE = 32
NAMES = {0: "ada", 1: "bram", 300: "stranger200"}
_COLOURS = {0: (40, 90, 200), 1: (190, 140, 70), 300: (120, 200, 120)}


def draw_take(seed: int, shots: int = 4) -> PortraitTake:
    """A take in which a condition's first number says how dark the lower half is."""
    random = np.random.default_rng(seed)
    conditions = np.zeros((shots, CONDITION_SIZE), np.float32)
    conditions[:, condition_parts()["pose"]] = [1, 0, 0, 0, 1, 0]
    conditions[:, 0] = random.normal(0, 0.2, shots)
    pictures, transforms, landmarks = [], [], []
    for shot in range(shots):
        for code in NAMES:
            shift = random.normal(0, 0.05, 2)
            picture = np.zeros((SIZE, SIZE, 4), np.uint8)
            middle = tuple(int(v) for v in np.round((SIZE - 1) / 2 - shift * SIZE))
            cv2.ellipse(picture, middle, (9, 12), 0, 0, 360, (*_COLOURS[code], 255), -1)
            lower = np.arange(SIZE)[:, None] > middle[1]
            dark = np.exp(min(conditions[shot, 0], 0.0))
            picture[..., :3] = np.where(lower[..., None], picture[..., :3] * dark, picture[..., :3])
            transform = np.eye(3, dtype=np.float32)
            transform[:2, 2] = shift
            pictures.append(picture)
            transforms.append(transform)
            landmarks.append(plain_landmarks(SIZE)[:, :2] - shift.astype(np.float32) * SIZE)
    count = len(NAMES)
    return PortraitTake(
        drivers=np.full((shots, SIZE, SIZE, 3), 128, np.uint8),
        conditions=conditions,
        shots=np.repeat(np.arange(shots), count).astype(np.int32),
        personas=np.tile(np.array(list(NAMES)), shots).astype(np.int32),
        pictures=np.stack(pictures),
        transforms=np.stack(transforms),
        landmarks=np.stack(landmarks).astype(np.float32),
    )


def draw_shards(folder: Path, takes: int = 2) -> Path:
    """A folder of takes."""
    folder.mkdir(parents=True, exist_ok=True)
    for take in range(takes):
        write_portraits(folder / f"take{take}.safetensors", draw_take(take))
    return folder
