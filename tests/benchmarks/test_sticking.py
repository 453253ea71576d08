"""Slices through space and time, of pictures that are known to stick and not to."""

from __future__ import annotations

import cv2
import numpy as np
from tests.swappers.faces import SIZE, face_track, frame_of

from mien.types import FaceTrack, Frame, U8Array
from mien_benchmarks.sticking import STEPS, draw, moved, slice_of, sticking


def textured() -> Frame:
    rng = np.random.default_rng(2)
    noise = rng.uniform(0, 255, (*SIZE, 3)).astype(np.float32)
    return frame_of(
        np.clip(cv2.GaussianBlur(noise, (0, 0), 2.5) * 3 - 255, 0, 255).astype(np.uint8)
    )


def test_the_track_moves_with_the_picture() -> None:
    frame, track = textured(), face_track()
    there, follows = moved(frame, track, 0.3, 5)
    assert there.index == 5
    for point in (1, 33, 263, 152):
        before, after = track.landmarks[point, :2], follows.landmarks[point, :2]
        assert np.linalg.norm(after - before) > 1.0
        one = cv2.getRectSubPix(frame.bgr, (1, 1), tuple(map(float, before)))
        other = cv2.getRectSubPix(there.bgr, (1, 1), tuple(map(float, after)))
        assert np.abs(one.astype(int) - other).max() < 25
    assert follows.pose.roll_deg != track.pose.roll_deg


def test_texture_that_moves_along_scores_far_below_texture_that_stays() -> None:
    frame, track = textured(), face_track()

    def stays(there: Frame, follows: FaceTrack) -> U8Array:
        return frame.bgr

    along = slice_of("along", frame, track, lambda there, _: there.bgr)
    stuck = slice_of("stuck", frame, track, stays)
    assert along.lines.shape[0] == STEPS
    assert along.sticking < 0.15
    assert stuck.sticking > 4 * along.sticking
    picture = draw([along, stuck])
    assert picture.shape[1] > 2 * along.lines.shape[1]


def test_what_never_changes_does_not_stick() -> None:
    row = np.random.default_rng(1).uniform(0, 255, (1, 40, 3))
    assert sticking(np.repeat(row, 10, axis=0)) < 1e-6
