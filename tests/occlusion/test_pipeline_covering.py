"""What covers a face stays before the persona; a fault never bares the performer."""

from __future__ import annotations

import numpy as np
import pytest

from mien.types import FaceTrack, Patch, U8Array
from tests.pipeline.fakes import PERSONA_BGR, make_frame, make_pipeline

HAND_BGR = (10, 20, 250)


class _Hand:
    """Says that a hand covers a corner of the face; raises when told to."""

    def __init__(self, *, fails: str = "", bare: bool = False) -> None:
        self.fails, self.bare = fails, bare
        self.saw: list[U8Array] = []

    def look(self, frame_bgr: U8Array, track: FaceTrack) -> object:
        del track
        if self.fails == "look":
            raise RuntimeError("blind")
        self.saw.append(frame_bgr.copy())
        return None if self.bare else "seen"

    def restore(self, frame_bgr: U8Array, patch: Patch, view: object) -> None:
        assert view == "seen"
        if self.fails == "restore":
            frame_bgr[:] = self.saw[-1]
            raise RuntimeError("clumsy")
        frame_bgr[115:120, 155:160] = HAND_BGR


def test_it_is_looked_at_bare_and_put_back_last() -> None:
    hand, frame = _Hand(), make_frame()
    bare = frame.bgr.copy()
    with make_pipeline(occlusion=hand) as pipeline:
        outcome = pipeline.process(frame)
    assert not outcome.guarded
    assert outcome.swapped == 1
    np.testing.assert_array_equal(hand.saw[0], bare)
    assert (outcome.frame.bgr[115:120, 155:160] == HAND_BGR).all()
    assert (outcome.frame.bgr[121:125, 161:165] == PERSONA_BGR).all()
    assert outcome.stage_ms["occlude"] > 0


@pytest.mark.parametrize("hand", [_Hand(fails="look"), _Hand(bare=True)])
def test_a_blind_look_leaves_the_persona_over_everything(hand: _Hand) -> None:
    with make_pipeline(occlusion=hand) as pipeline:
        for index in range(3):
            outcome = pipeline.process(make_frame(index))
            assert outcome.swapped == 1
            assert not outcome.guarded
            assert (outcome.frame.bgr[115:125, 155:165] == PERSONA_BGR).all()


def test_a_fault_while_uncovering_is_the_guard_s_to_hide() -> None:
    frame = make_frame()
    bare = frame.bgr.copy()
    with make_pipeline(occlusion=_Hand(fails="restore")) as pipeline:
        outcome = pipeline.process(frame)
    assert outcome.guarded
    assert outcome.reason == "uncovering failed"
    assert not np.array_equal(outcome.frame.bgr[115:125, 155:165], bare[115:125, 155:165])


def test_without_the_stage_nothing_is_timed() -> None:
    with make_pipeline() as pipeline:
        assert "occlude" not in pipeline.process(make_frame()).stage_ms
