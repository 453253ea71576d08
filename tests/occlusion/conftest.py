"""Drawn faces and sprites, small enough for a test."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.face_mesh import VERTEX_COUNT, face_mesh
from mien.training.occlusion_shards import SIDE, BareFace, write_faces
from mien.training.occlusion_sprites import KINDS, Sprite, write_sprites
from mien.types import LANDMARK_COUNT, F32Array


def plain_landmarks(size: float, share: float = 0.5) -> F32Array:
    """The canonical face in the middle of a picture, ``share`` of it tall."""
    vertices = face_mesh().vertices
    points = np.zeros((LANDMARK_COUNT, 3), np.float32)
    scale = size * share / np.ptp(vertices[:, 1])
    points[:VERTEX_COUNT] = (vertices - vertices.mean(axis=0)) * scale * [1, -1, -1]
    for iris, (outer, inner) in ((468, (33, 133)), (473, (263, 362))):
        middle = (points[outer] + points[inner]) / 2
        points[iris : iris + 5] = middle
        points[iris + 1 : iris + 5, 0] += [3, 0, -3, 0]
        points[iris + 1 : iris + 5, 1] += [0, -3, 0, 3]
    points[:, :2] += (size - 1) / 2
    return points.astype(np.float32)


def draw_face(seed: int) -> BareFace:
    """A pale oval before a dark wall."""
    random = np.random.default_rng(seed)
    picture = np.full((SIDE, SIDE, 3), 40, np.uint8)
    tone = tuple(int(v) for v in random.integers(130, 200, 3))
    cv2.ellipse(picture, (SIDE // 2, SIDE // 2), (56, 74), 0, 0, 360, tone, -1)
    return BareFace(
        picture=picture,
        landmarks=plain_landmarks(SIDE),
        light=np.array([0.2, 0.4, 0.9, 0.8, 0.8, 0.8, 0.5, 0.5, 0.5], np.float32),
    )


def draw_disc(kind: str = "lump", radius: int = 55, colour: int = 20) -> Sprite:
    """A dark disc."""
    planes = np.zeros((224, 224, 8), np.uint8)
    planes[..., :3] = colour
    planes[..., 4:6], planes[..., 6], planes[..., 7] = 128, 255, 255
    alpha = np.zeros((224, 224), np.uint8)
    cv2.circle(alpha, (112, 112), radius, (255,), -1, cv2.LINE_AA)
    planes[..., 3] = alpha
    return Sprite(planes=planes, kind=KINDS.index(kind), shine=0.1)


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """A folder of two people with two faces each."""
    folder = tmp_path / "faces"
    folder.mkdir()
    for number in range(2):
        write_faces(
            folder / f"face{number:05d}.safetensors",
            [draw_face(number * 2), draw_face(number * 2 + 1)],
        )
    return folder


@pytest.fixture
def sprites(tmp_path: Path) -> Path:
    """A library of three discs."""
    path = tmp_path / "sprites.safetensors"
    write_sprites(path, [draw_disc(), draw_disc(radius=30, colour=70), draw_disc("hand", 45, 180)])
    return path
