"""Blending a patch into a frame."""

from __future__ import annotations

import numpy as np

from mien.compositing import Compositor
from mien.types import Patch
from tests.swappers.faces import face_track


def _patch(matte: int) -> Patch:
    return Patch(
        left=20,
        top=10,
        bgr=np.full((40, 60, 3), 200, np.uint8),
        matte=np.full((40, 60), matte, np.uint8),
    )


def test_a_full_matte_shows_the_patch_and_an_empty_one_the_frame() -> None:
    for matte, expected in ((255, 200), (0, 50)):
        frame = np.full((90, 120, 3), 50, np.uint8)
        Compositor().composite(frame, _patch(matte), face_track())
        assert (frame[15:45, 30:70] == expected).all()
        assert (frame[60:] == 50).all()


def test_stair_steps_of_the_matte_are_softened() -> None:
    patch = _patch(0)
    patch.matte[:, 30:] = 255
    frame = np.full((90, 120, 3), 50, np.uint8)
    Compositor().composite(frame, patch, face_track())
    steps = np.abs(np.diff(frame[30, :, 0].astype(int)))[25:70]
    assert 0 < steps.max() < 120


def test_an_empty_patch_changes_nothing() -> None:
    frame = np.full((9, 12, 3), 50, np.uint8)
    empty = Patch(
        left=0, top=0, bgr=np.zeros((0, 0, 3), np.uint8), matte=np.zeros((0, 0), np.uint8)
    )
    Compositor().composite(frame, empty, face_track())
    assert (frame == 50).all()
