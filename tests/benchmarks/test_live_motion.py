"""The live generator's benchmark: whether drawn faces move as true ones do."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.live_view import LIVE_SIZE, live_crop
from mien.perception import FaceTracker
from mien.refiner_view import crop_landmarks, cut_crop
from mien.types import F32Array, Frame, U8Array
from mien_benchmarks.live_motion import motion_agreement

CLIP = Path(__file__).parents[2] / "benchmarks/truth_set/clips/05-kai/driver.mp4"
FRAMES = 24

Faces = list[tuple[U8Array, F32Array]]


@pytest.fixture(scope="module")
def talking() -> Faces:
    """Crops of somebody who talks, and the landmarks in them."""
    film = cv2.VideoCapture(str(CLIP))
    faces: Faces = []
    with FaceTracker() as tracker:
        for index in range(FRAMES):
            _, picture = film.read()
            frame = Frame(index=index, bgr=picture, capture_ns=index * 33, pts_ns=index * 33)
            landmarks = tracker.track(frame)[0].landmarks
            crop = live_crop(landmarks)
            faces.append(
                (cut_crop(picture, crop, LIVE_SIZE), crop_landmarks(landmarks, crop)[:, :2])
            )
    return faces


def test_who_moves_alike_agrees_in_everything(talking: Faces) -> None:
    found = motion_agreement(("kai", face, face, at) for face, at in talking)
    assert found == pytest.approx(dict.fromkeys(("jaw", "gaze", "blink", "expression"), 1.0))


def test_softer_faces_agree_nearly_and_still_ones_do_not(talking: Faces) -> None:
    soft = motion_agreement(
        ("kai", cv2.GaussianBlur(face, (0, 0), 1.0), face, at) for face, at in talking
    )
    assert soft["jaw"] > 0.9
    first, first_at = talking[0]
    still = motion_agreement(("kai", first, face, first_at) for face, _ in talking)
    assert abs(still["jaw"]) < 0.3


def test_each_persona_counts_about_its_own_means(talking: Faces) -> None:
    # Two people who never move agree in nothing, however alike their shapes are.
    places = (0, len(talking) // 2)
    found = motion_agreement(
        (name, *(2 * [talking[place][0]]), talking[place][1])
        for name, place in zip(("ada", "kai"), places, strict=True)
        for _ in range(3)
    )
    assert np.isclose(list(found.values()), 0.0).all()
