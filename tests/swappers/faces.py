"""Faces whose geometry and light are known exactly."""

from __future__ import annotations

import numpy as np

from mien.face_light import harmonics
from mien.face_mesh import LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS, VERTEX_COUNT, face_mesh
from mien.face_regions import vertex_normals
from mien.types import F32Array, FaceTrack, Frame, HeadPose, U8Array

SIZE = (360, 480)
SCALE = 14.0


def turn(yaw_deg: float = 0.0, roll_deg: float = 0.0) -> F32Array:
    """(3, 3) float32 rotation: yaw about y, then roll about z."""
    yaw, roll = np.radians([yaw_deg, roll_deg])
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    about_z = np.array(
        [[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    )
    return (about_z @ about_y).astype(np.float32)


def face_track(
    shape: F32Array | None = None,
    *,
    yaw_deg: float = 0.0,
    roll_deg: float = 0.0,
    scale: float = SCALE,
    centre: tuple[float, float] = (240.0, 180.0),
    track_id: int = 1,
) -> FaceTrack:
    """A track whose landmarks are ``shape`` (canonical face by default) under a known pose."""
    shape = face_mesh().vertices if shape is None else shape
    pose = HeadPose(
        rotation=turn(yaw_deg, roll_deg),
        scale=scale,
        translation=np.array([centre[0], -centre[1], 0.0], np.float32),
    )
    view = scale * shape @ pose.rotation.T + pose.translation
    landmarks = np.zeros((478, 3), np.float32)
    landmarks[:VERTEX_COUNT] = view * (1, -1, -1)
    for iris, ring in ((RIGHT_IRIS, RIGHT_EYE), (LEFT_IRIS, LEFT_EYE)):
        corners = landmarks[[ring[0], ring[8]]]
        middle, radius = corners.mean(axis=0), np.linalg.norm(np.ptp(corners, axis=0)) * 0.21
        landmarks[list(iris)] = middle
        landmarks[list(iris[1:]), :2] += radius * np.array([[1, 0], [0, -1], [-1, 0], [0, 1]])
    return FaceTrack(
        track_id=track_id,
        landmarks=landmarks,
        pose=pose,
        quality=1.0,
        age=0,
        is_performer=True,
    )


def frame_of(bgr: U8Array, index: int = 0) -> Frame:
    return Frame(index=index, bgr=bgr, capture_ns=index * 33_000_000, pts_ns=index * 33_000_000)


def plain_picture(colour: tuple[int, int, int] = (120, 150, 190)) -> U8Array:
    return np.full((*SIZE, 3), colour, np.uint8)


def lit_colours(light: F32Array, rotation: F32Array) -> F32Array:
    """(468, 3): what a plain face shows under the given harmonics."""
    normals = vertex_normals(face_mesh().vertices) @ rotation.T
    return (harmonics(normals) @ light).astype(np.float32)
