"""The refiner as it ships: what it mends, what it leaves, and that it needs no PyTorch."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from mien.config import RefineConfig
from mien.refining import open_refinement
from mien.types import FaceTrack, Patch, U8Array
from tests.pipeline.fakes import make_track


def _scene(size: float = 150.0, *, mendable: bool = True) -> tuple[U8Array, FaceTrack, Patch]:
    """A bright performer under a patch whose left half is too dark."""
    track = make_track((160.0, 120.0), size)
    frame = np.full((240, 320, 3), 150, np.uint8)
    left, top, right, bottom = (round(edge) for edge in track.box)
    shape = bottom - top, right - left
    bgr = np.full((*shape, 3), 140, np.uint8)
    bgr[:, : shape[1] // 2] = 90
    patch = Patch(
        left=left, top=top, bgr=bgr, matte=np.full(shape, 255, np.uint8), mendable=mendable
    )
    return frame, track, patch


def _change(config: RefineConfig, scene: tuple[U8Array, FaceTrack, Patch]) -> U8Array:
    """(H, W, 3) uint8: how much the refinement changed the painted frame."""
    frame, track, patch = scene
    refinement = open_refinement(config)
    assert refinement is not None
    view = refinement.look(frame, track)
    painted = frame.copy()
    rows, columns = patch.matte.shape
    painted[patch.top : patch.top + rows, patch.left : patch.left + columns] = patch.bgr
    mended = painted.copy()
    refinement.refine(mended, patch, track, view)
    return np.asarray(cv2.absdiff(mended, painted), np.uint8)


def test_the_shipped_weights_change_a_face_that_is_lit_wrongly() -> None:
    scene = _scene()
    change = _change(RefineConfig(), scene)
    assert change.max() >= 5
    patch = scene[2]
    rows, columns = patch.matte.shape
    outside = np.ones(change.shape[:2], bool)
    # A pixel that the network sees is some pixels wide.
    outside[patch.top - 8 : patch.top + rows + 8, patch.left - 8 : patch.left + columns + 8] = False
    assert change[outside].max() <= 1


def test_strength_scales_it() -> None:
    full, half = (_change(RefineConfig(strength=share), _scene()) for share in (1.0, 0.5))
    assert half.mean() == pytest.approx(full.mean() / 2, rel=0.2)


def test_what_other_swappers_draw_is_left_alone() -> None:
    assert _change(RefineConfig(mode="on"), _scene(mendable=False)).max() == 0


def test_faces_too_small_to_see_are_left_alone() -> None:
    assert _change(RefineConfig(mode="on"), _scene(40.0)).max() == 0


def test_it_can_be_switched_off() -> None:
    assert open_refinement(RefineConfig(mode="off")) is None


@pytest.mark.parametrize(("mode", "mends"), [("auto", False), ("on", True)])
def test_auto_gives_way_when_frames_are_late_and_on_does_not(mode: str, mends: bool) -> None:
    refinement = open_refinement(RefineConfig(mode=mode, budget_ms=30.0))  # type: ignore[arg-type]
    assert refinement is not None
    frame, track, _ = _scene()
    for _ in range(60):
        refinement.settle({"track": 30.0, "swap": 10.0, "refine": 6.0})
    assert (refinement.look(frame, track) is not None) == mends


def test_several_faces_do_not_share_their_light() -> None:
    """The gain is damped over time for each face on its own."""
    refinement = open_refinement(RefineConfig())
    assert refinement is not None
    frame, track, patch = _scene()
    old = replace(track, age=9)
    first = frame.copy()
    refinement.refine(first, patch, old, refinement.look(frame, old))
    other = replace(track, track_id=77, age=9)
    second = frame.copy()
    refinement.refine(second, patch, other, refinement.look(frame, other))
    np.testing.assert_array_equal(first, second)
