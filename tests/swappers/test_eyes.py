"""Iris colours: measured, changed, and left alone when the eye is closed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mien.eyes import iris_colour, iris_colour_or_grey, recolour_irises
from mien.face_mesh import (
    LEFT_EYE,
    LEFT_IRIS,
    LEFT_LID_PAIRS,
    RIGHT_EYE,
    RIGHT_IRIS,
    RIGHT_LID_PAIRS,
)
from mien.types import F32Array, U8Array
from tests.swappers.faces import face_track, plain_picture

BLUE = (170, 120, 60)


def _eyes(iris_bgr: tuple[int, int, int] = BLUE) -> tuple[U8Array, F32Array]:
    """A picture with white eyes, coloured irises and a highlight, and its landmarks."""
    landmarks = face_track(scale=26.0, centre=(240.0, 240.0)).landmarks
    picture = plain_picture()
    for iris, ring in ((RIGHT_IRIS, RIGHT_EYE), (LEFT_IRIS, LEFT_EYE)):
        contour = np.round(landmarks[list(ring), :2]).astype(np.int32)
        inside = np.zeros(picture.shape[:2], np.uint8)
        cv2.fillPoly(inside, [contour], 255)
        eye = np.full_like(picture, (220, 225, 230))
        centre = np.round(landmarks[iris[0], :2]).astype(int)
        radius = np.linalg.norm(landmarks[iris[1], :2] - landmarks[iris[0], :2])
        cv2.circle(eye, centre.tolist(), round(float(radius)), iris_bgr, -1)
        cv2.circle(eye, (centre - (2, 2)).tolist(), 1, (255, 255, 255), -1)
        picture[inside > 0] = eye[inside > 0]
    return picture, landmarks


def _closed(landmarks: F32Array) -> F32Array:
    closed = landmarks.copy()
    for upper, lower in RIGHT_LID_PAIRS + LEFT_LID_PAIRS:
        closed[[upper, lower]] = (landmarks[upper] + landmarks[lower]) / 2
    return closed


def test_the_colour_of_the_irises_is_measured() -> None:
    picture, landmarks = _eyes()
    np.testing.assert_allclose(iris_colour(picture, landmarks), BLUE, atol=2)


def test_closed_eyes_tell_no_colour() -> None:
    picture, landmarks = _eyes()
    assert iris_colour(picture, _closed(landmarks)) is None
    assert np.ptp(iris_colour_or_grey(picture, _closed(landmarks))) == 0


def test_irises_take_the_wanted_colour_and_nothing_else_does() -> None:
    picture, landmarks = _eyes()
    before = picture.copy()
    wanted = np.array((30, 50, 90), np.float32)
    recolour_irises(picture, landmarks, np.array(BLUE, np.float32), wanted)
    np.testing.assert_allclose(iris_colour(picture, landmarks), wanted, atol=3)
    changed = np.any(picture != before, axis=2)
    for iris in (RIGHT_IRIS, LEFT_IRIS):
        radius = np.linalg.norm(landmarks[iris[1], :2] - landmarks[iris[0], :2])
        rows, columns = np.indices(changed.shape)
        near = (
            np.hypot(columns - landmarks[iris[0], 0], rows - landmarks[iris[0], 1]) < 1.4 * radius
        )
        changed &= ~near
    assert not changed.any()


def test_highlights_stay() -> None:
    picture, landmarks = _eyes()
    centre = np.round(landmarks[RIGHT_IRIS[0], :2]).astype(int) - (2, 2)
    recolour_irises(picture, landmarks, np.array(BLUE, np.float32), np.zeros(3, np.float32))
    assert picture[centre[1], centre[0]].min() > 200


@pytest.mark.parametrize("shift", [(-2000.0, 0.0), (0.0, 1e6)])
def test_eyes_outside_the_picture_are_left_alone(shift: tuple[float, float]) -> None:
    picture, landmarks = _eyes()
    before = picture.copy()
    landmarks[:, :2] += shift
    recolour_irises(picture, landmarks, np.array(BLUE, np.float32), np.zeros(3, np.float32))
    np.testing.assert_array_equal(picture, before)


def test_closed_eyes_are_left_alone() -> None:
    picture, landmarks = _eyes()
    before = picture.copy()
    recolour_irises(
        picture, _closed(landmarks), np.array(BLUE, np.float32), np.zeros(3, np.float32)
    )
    np.testing.assert_array_equal(picture, before)
