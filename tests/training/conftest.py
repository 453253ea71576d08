"""A face that is drawn, not photographed, in shards small enough for a test."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.face_mesh import VERTEX_COUNT, face_mesh
from mien.training.shards import Sample, write_shard
from mien.types import LANDMARK_COUNT, F32Array

SIZE = 64


def plain_landmarks(size: float = SIZE, roll_deg: float = 0.0) -> F32Array:
    """The canonical face in the middle of a picture, rolled clockwise."""
    vertices = face_mesh().vertices
    points = np.zeros((LANDMARK_COUNT, 3), np.float32)
    scale = size * 0.75 / np.ptp(vertices[:, 1])
    points[:VERTEX_COUNT] = (vertices - vertices.mean(axis=0)) * scale * [1, -1, -1]
    for iris, (outer, inner) in ((468, (33, 133)), (473, (263, 362))):
        middle = (points[outer] + points[inner]) / 2
        radius = np.linalg.norm(points[outer] - points[inner]) * 0.2
        points[iris : iris + 5] = middle
        points[iris + 1 : iris + 5, :2] += radius * np.array([[1, 0], [0, -1], [-1, 0], [0, 1]])
    angle = np.radians(roll_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points[:, :2] = points[:, :2] @ turn.T + (size - 1) / 2
    return points.astype(np.float32)


def draw_sample(seed: int) -> Sample:
    """A grey face whose true swap is one shade warmer than the composite, and lit from above."""
    random = np.random.default_rng(seed)
    landmarks = plain_landmarks()
    face = np.zeros((SIZE, SIZE), np.uint8)
    cv2.ellipse(face, (SIZE // 2, SIZE // 2), (20, 25), 0, 0, 360, (255,), -1)
    performer = np.full((SIZE, SIZE, 3), random.integers(60, 120), np.uint8)
    performer += random.integers(0, 12, performer.shape, np.uint8)
    composite, truth = performer.copy(), performer.copy()
    composite[face > 0] = np.clip(composite[face > 0].astype(int) + 40, 0, 255)
    light = np.linspace(1.3, 0.7, SIZE)[:, None, None]
    warm = (composite + np.array([-20, 0, 25])) * light
    truth[face > 0] = np.clip(warm, 0, 255)[face > 0].astype(np.uint8)
    return Sample(
        performer=performer,
        composite=composite,
        truth=truth,
        matte=face,
        swapped=face,
        landmarks=landmarks,
        tags=np.array([1, 2, seed, 0], np.int32),
    )


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """A folder of two takes of three samples."""
    folder = tmp_path / "shards"
    folder.mkdir()
    for take in range(2):
        write_shard(
            folder / f"take{take}.safetensors", [draw_sample(10 * take + k) for k in range(3)]
        )
    return folder
