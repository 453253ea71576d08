"""Descriptors of one person lie close, of two people apart."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mien.perception import SAME_PERSON, FaceDescriptor, FaceTracker, distance
from mien.types import F32Array
from tests.perception.stage import astronaut, clip


def test_one_person_stays_close_through_a_clip(
    finder: FaceTracker, describer: FaceDescriptor
) -> None:
    frames = clip("clip1")[::15]
    seen = [describer.describe(frame, finder.find(frame)[0].landmarks) for frame in frames]
    assert max(distance(seen[0], other) for other in seen) < 0.45


@pytest.mark.parametrize(
    "pair", [("a", "b"), ("b", "c"), ("b", "d"), ("d", "e"), ("astronaut", "b")]
)
def test_two_people_lie_apart(descriptors: dict[str, F32Array], pair: tuple[str, str]) -> None:
    assert distance(descriptors[pair[0]], descriptors[pair[1]]) > SAME_PERSON


@pytest.mark.parametrize("factor", [0.6, 2.0, 4.0])
def test_size_and_light_change_little(
    finder: FaceTracker, describer: FaceDescriptor, factor: float
) -> None:
    image = astronaut()
    first = describer.describe(image, finder.find(image)[0].landmarks)
    other = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    other = cv2.convertScaleAbs(other, alpha=0.7, beta=10)
    second = describer.describe(other, finder.find(other)[0].landmarks)
    assert distance(first, second) < 0.4


def test_a_descriptor_is_128_floats_of_its_own(describer: FaceDescriptor) -> None:
    landmarks = np.zeros((478, 3), np.float32)
    first = describer.describe(astronaut(), landmarks)
    kept = first.copy()
    describer.describe(np.zeros((64, 64, 3), np.uint8), landmarks)
    assert first.shape == (128,)
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, kept)


def test_landmarks_far_outside_the_picture_do_no_harm(describer: FaceDescriptor) -> None:
    rng = np.random.default_rng(0)
    for scale in (1e-3, 10.0, 1e5):
        landmarks = rng.normal(0, scale, (478, 3)).astype(np.float32)
        assert np.isfinite(describer.describe(astronaut(), landmarks)).all()
