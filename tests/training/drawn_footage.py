"""A film that is drawn: a disc in somebody's colour, darker below when the mouth opens."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from safetensors.numpy import save_file

from mien.live_view import CONDITION_SIZE, condition_parts
from mien.networks.live import LiveNetwork, live_config
from mien.networks.live_weights import LiveWeights, live_metadata, read_live_weights
from mien.training.persona_footage import Footage

from .conftest import plain_landmarks

SIZE = 32
NAMES = ("ada", "bram", "stranger200")


def draw_footage(moments: int = 40, bgr: tuple[int, int, int] = (60, 110, 180)) -> Footage:
    """Moments of one person."""
    random = np.random.default_rng(3)
    conditions = np.zeros((moments, CONDITION_SIZE), np.float32)
    conditions[:, condition_parts()["pose"]] = [1, 0, 0, 0, 1, 0]
    conditions[:, 0] = random.normal(0, 0.2, moments)
    pictures, transforms, landmarks = [], [], []
    for condition in conditions:
        shift = random.normal(0, 0.04, 2)
        middle = tuple(int(v) for v in np.round((SIZE - 1) / 2 - shift * SIZE))
        picture = np.full((SIZE, SIZE, 3), 90, np.uint8)
        cv2.ellipse(picture, middle, (10, 13), 0, 0, 360, bgr, -1)
        dark = np.exp(min(float(condition[0]), 0.0))
        picture[middle[1] :] = (picture[middle[1] :] * dark).astype(np.uint8)
        transform = np.eye(3, dtype=np.float32)
        transform[:2, 2] = shift
        pictures.append(picture)
        transforms.append(transform)
        landmarks.append(plain_landmarks(SIZE)[:, :2] - shift.astype(np.float32) * SIZE)
    return Footage(
        pictures=np.stack(pictures),
        conditions=conditions,
        transforms=np.stack(transforms),
        landmarks=np.stack(landmarks).astype(np.float32),
    )


def write_weights(path: Path) -> LiveWeights:
    """A tiny generator with random weights, as training writes it."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        config = live_config(SIZE, channel_base=256, channel_max=16, num_layers=4)
        network = LiveNetwork(config, len(NAMES))
    state = network.state_dict().items()
    tensors = {name: value.numpy().astype(np.float16) for name, value in state}
    save_file(tensors, path, metadata=live_metadata(config, NAMES, 1))
    return read_live_weights(path)
