"""The refiner mends what was painted, costs no frame, and gives way when time is short."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from mien.config import RefineConfig
from mien.refining import Allowance
from mien.types import FaceTrack, Frame, Patch, U8Array

from .fakes import PERSONA_BGR, FakeSwapper, good_patch, make_frame, make_pipeline, make_track


class _Brightening:
    """Adds 20 where it looked; raises when told to."""

    def __init__(self, *, looks: bool = True, fails: str = "") -> None:
        self.looks, self.fails = looks, fails
        self.seen: list[U8Array] = []
        self.times: list[dict[str, float]] = []

    def look(self, frame_bgr: U8Array, track: FaceTrack) -> object:
        del track
        if self.fails == "look":
            raise RuntimeError("blind")
        self.seen.append(frame_bgr.copy())
        return "seen" if self.looks else None

    def refine(self, frame_bgr: U8Array, patch: Patch, track: FaceTrack, view: object) -> None:
        del track
        assert view == "seen"
        if self.fails == "refine":
            raise RuntimeError("clumsy")
        rows, columns = patch.matte.shape
        frame_bgr[patch.top : patch.top + rows, patch.left : patch.left + columns] += 20

    def settle(self, stage_ms: Mapping[str, float]) -> None:
        self.times.append(dict(stage_ms))


def _face(frame: Frame) -> U8Array:
    return frame.bgr[115:125, 155:165]


def test_a_painted_face_is_mended_after_it_was_seen_bare() -> None:
    refinement, frame = _Brightening(), make_frame()
    bare = frame.bgr.copy()
    with make_pipeline(refinement=refinement) as pipeline:
        outcome = pipeline.process(frame)
    assert not outcome.guarded
    assert (_face(outcome.frame) == np.array(PERSONA_BGR) + 20).all()
    np.testing.assert_array_equal(refinement.seen[0], bare)
    (times,) = refinement.times
    assert times["refine"] > 0
    assert times == outcome.stage_ms


@pytest.mark.parametrize(
    "refinement",
    [_Brightening(fails="look"), _Brightening(fails="refine"), _Brightening(looks=False)],
)
def test_a_fault_leaves_the_persona_as_it_was_painted(refinement: _Brightening) -> None:
    """Never the bare face, and never the guard."""
    with make_pipeline(refinement=refinement) as pipeline:
        for index in range(3):
            outcome = pipeline.process(make_frame(index))
            assert not outcome.guarded
            assert outcome.swapped == 1
            assert (_face(outcome.frame) == PERSONA_BGR).all()


def test_nobody_is_looked_at_who_is_not_swapped() -> None:
    refinement = _Brightening()
    bystander = make_track(performer=False)
    with make_pipeline(script=[[bystander]], refinement=refinement) as pipeline:
        pipeline.process(make_frame())
    assert refinement.seen == []


class _Particular(FakeSwapper):
    """Of its faces none is to be mended."""

    def is_refined(self, state: object) -> bool:
        del state
        return False


def test_nobody_is_looked_at_whose_face_is_not_to_be_mended() -> None:
    refinement = _Brightening()
    with make_pipeline(swapper=_Particular(), refinement=refinement) as pipeline:
        outcome = pipeline.process(make_frame())
    assert outcome.swapped == 1
    assert refinement.seen == []
    assert "refine" not in outcome.stage_ms


def test_a_patch_that_was_refused_is_not_mended() -> None:
    def draw(frame: Frame, track: FaceTrack, state: object) -> Patch:
        return replace(good_patch(frame, track, state), left=-9)

    refinement = _Brightening(fails="refine")
    with make_pipeline(swapper=FakeSwapper(draw), refinement=refinement) as pipeline:
        outcome = pipeline.process(make_frame())
    assert outcome.guarded
    assert refinement.times == []


def test_without_a_budget_there_is_always_time() -> None:
    allowance = Allowance()
    for _ in range(50):
        allowance.spent(1000.0, 1000.0)
    assert allowance.mends


def test_mending_stops_when_frames_are_late_and_returns_when_there_is_time_to_spare() -> None:
    allowance = Allowance(30.0)
    for _ in range(40):
        allowance.spent(15.0, 8.0)
    assert allowance.mends
    for _ in range(40):
        allowance.spent(40.0, 8.0)
    assert not allowance.mends
    # 21 + 8 ms would fit, but not with 15% to spare: it stays away.
    for _ in range(200):
        allowance.spent(21.0, 0.0)
    assert not allowance.mends
    for _ in range(200):
        allowance.spent(15.0, 0.0)
    assert allowance.mends


def test_the_first_frames_do_not_count() -> None:
    allowance = Allowance(30.0)
    for _ in range(5):
        allowance.spent(500.0, 500.0)
    for _ in range(30):
        allowance.spent(10.0, 5.0)
        assert allowance.mends


@pytest.mark.parametrize("settings", [{"mode": "always"}, {"strength": 1.5}, {"budget_ms": -1.0}])
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        RefineConfig(**settings)  # type: ignore[arg-type]


def test_a_negative_budget_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        Allowance(-1.0)
