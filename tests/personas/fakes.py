"""Personas, faces and finders made up for tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from mien.personas import Consent, Persona
from mien.personas.enrolment import EnrolledFace
from mien.types import F32Array, FaceTrack, HeadPose, U8Array

CONSENT = Consent(statement="I agree to the use of my face in this show.", given_by="Kim Lee")


def preview_jpeg(size: int = 256, shade: int = 90) -> bytes:
    done, data = cv2.imencode(".jpg", np.full((size, size, 3), shade, np.uint8))
    assert done
    return bytes(data.tobytes())


def make_persona(**changes: Any) -> Persona:
    random = np.random.default_rng(7)
    persona = Persona(
        name="kim",
        created="2024-05-06T07:08:09+00:00",
        consent=CONSENT,
        texture=random.integers(0, 256, (32, 32, 3), dtype=np.uint8),
        coverage=random.integers(0, 256, (32, 32), dtype=np.uint8),
        shape=random.normal(size=(468, 3)).astype(np.float32),
        iris_bgr=np.array([40, 60, 80], np.float32),
        skin_bgr=np.array([120, 150, 200], np.float32),
        descriptor=random.normal(size=128).astype(np.float32),
        latents={"t-256": random.normal(size=(14, 8)).astype(np.float32)},
        tunings={"live-0": random.normal(size=90).astype(np.float32)},
        preview_jpeg=preview_jpeg(),
    )
    return replace(persona, **changes)


def assert_same(one: Persona, other: Persona) -> None:
    for field in ("name", "created", "consent", "preview_jpeg"):
        assert getattr(one, field) == getattr(other, field)
    for field in ("texture", "coverage", "shape", "iris_bgr", "skin_bgr", "descriptor"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
        assert getattr(one, field).dtype == getattr(other, field).dtype
    for mine, theirs in ((one.latents, other.latents), (one.tunings, other.tunings)):
        assert mine.keys() == theirs.keys()
        for key, values in mine.items():
            np.testing.assert_array_equal(values, theirs[key])


def make_face(
    left: float, top: float, width: float, *, yaw_deg: float = 0.0, track_id: int = 0
) -> FaceTrack:
    landmarks = np.zeros((478, 3), np.float32)
    landmarks[:, 0] = np.linspace(left, left + width, 478)
    landmarks[:, 1] = np.linspace(top, top + 1.3 * width, 478)
    angle = np.radians(yaw_deg)
    rotation = np.array(
        [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]],
        np.float32,
    )
    pose = HeadPose(rotation=rotation, scale=width / 15, translation=np.zeros(3, np.float32))
    return FaceTrack(
        track_id=track_id, landmarks=landmarks, pose=pose, quality=1.0, age=0, is_performer=False
    )


class FakeFinder:
    """Finds the faces it was given, picture after picture."""

    def __init__(self, *faces_by_picture: Sequence[FaceTrack]) -> None:
        self._faces = list(faces_by_picture)

    def find(self, image_bgr: U8Array) -> list[FaceTrack]:
        return list(self._faces.pop(0))


class FakeDescriber:
    """Describes every face by the blue of the photo's first pixel: same colour, same person."""

    def describe(self, image_bgr: U8Array, landmarks: F32Array) -> F32Array:
        return np.full(128, image_bgr[0, 0, 0] / 255, np.float32)


class FakeEnroller:
    """Keeps what it was called with."""

    def __init__(self) -> None:
        self.faces: list[FaceTrack] = []

    def __call__(self, photos: Sequence[U8Array], faces: Sequence[FaceTrack]) -> EnrolledFace:
        assert len(photos) == len(faces)
        self.faces = list(faces)
        model = make_persona()
        return EnrolledFace(
            texture=model.texture,
            coverage=model.coverage,
            shape=model.shape,
            iris_bgr=model.iris_bgr,
            skin_bgr=model.skin_bgr,
        )
