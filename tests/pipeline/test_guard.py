"""What the guard shows: entering, leaving, holding, cuts."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mien.config import GuardConfig
from mien.guard import Guard, blur_head, blur_picture
from mien.marking import draw_slate
from mien.types import Frame
from tests.pipeline.fakes import SIZE, detail, make_frame, make_pipeline, make_track

FROSTED = 6.0


def test_a_short_loss_holds_the_last_good_frame_then_blurs() -> None:
    guard = GuardConfig(mode="hold", hold_s=0.2)
    pipeline = make_pipeline(script=[[make_track()], []], guard=guard)
    good = pipeline.process(make_frame(0)).frame.bgr.copy()
    for index in range(1, 6):  # 40 ms apart
        outcome = pipeline.process(make_frame(index))
        assert outcome.guarded
        np.testing.assert_array_equal(outcome.frame.bgr, good)
        assert outcome.frame.index == index
    outcome = pipeline.process(make_frame(6))
    assert not np.array_equal(outcome.frame.bgr, good)
    assert detail(outcome.frame.bgr, make_track()) < FROSTED


def test_the_held_picture_is_not_spoilt_by_whoever_paints_into_the_output() -> None:
    pipeline = make_pipeline(script=[[make_track()], []], guard=GuardConfig(mode="hold"))
    good = pipeline.process(make_frame(0)).frame.bgr.copy()
    pipeline.process(make_frame(1)).frame.bgr[:] = 0
    np.testing.assert_array_equal(pipeline.process(make_frame(2)).frame.bgr, good)


def test_a_clock_that_jumps_back_ends_the_hold() -> None:
    pipeline = make_pipeline(script=[[make_track()], []], guard=GuardConfig(mode="hold"))
    good = pipeline.process(make_frame(100)).frame.bgr.copy()
    assert not np.array_equal(pipeline.process(make_frame(3)).frame.bgr, good)


def test_a_change_of_size_ends_the_hold() -> None:
    pipeline = make_pipeline(script=[[make_track()], []], guard=GuardConfig(mode="hold"))
    pipeline.process(make_frame(0))
    outcome = pipeline.process(make_frame(1, (120, 160)))
    assert outcome.frame.size == (120, 160)
    assert detail(outcome.frame.bgr, make_track((80.0, 60.0), 30.0)) < FROSTED


def test_with_no_face_ever_seen_the_whole_picture_is_blurred() -> None:
    pipeline = make_pipeline(script=[[]], guard=GuardConfig(mode="hold"))
    outcome = pipeline.process(make_frame())
    assert outcome.reason == "no performer seen"
    for x in (40.0, 160.0, 280.0):
        assert detail(outcome.frame.bgr, make_track((x, 120.0))) < FROSTED


def test_long_after_the_performer_left_the_whole_picture_is_blurred() -> None:
    pipeline = make_pipeline(script=[[make_track((60.0, 80.0))], []])
    pipeline.process(make_frame(0))
    outcome = pipeline.process(make_frame(2))
    assert outcome.reason == "performer lost"
    assert detail(outcome.frame.bgr, make_track((60.0, 80.0))) < FROSTED
    assert detail(outcome.frame.bgr, make_track((270.0, 200.0))) > FROSTED
    outcome = pipeline.process(make_frame(30))
    assert detail(outcome.frame.bgr, make_track((270.0, 200.0))) < FROSTED


def test_while_the_performer_is_lost_every_face_found_is_blurred() -> None:
    other = make_track((270.0, 180.0), 40.0, performer=False)
    pipeline = make_pipeline(script=[[make_track((60.0, 80.0))], [other]])
    pipeline.process(make_frame(0))
    outcome = pipeline.process(make_frame(1))
    assert detail(outcome.frame.bgr, other) < FROSTED
    assert detail(outcome.frame.bgr, make_track((60.0, 80.0))) < FROSTED


def test_after_a_cut_nobody_trusts_where_the_face_was() -> None:
    pipeline = make_pipeline(script=[[make_track((60.0, 80.0))], []])
    pipeline.process(make_frame(0, seed=1))
    outcome = pipeline.process(make_frame(1, seed=2))
    assert detail(outcome.frame.bgr, make_track((270.0, 180.0))) < FROSTED


def smooth_scene(shift: int = 0, brightness: float = 1.0) -> Frame:
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]].astype(np.float32)
    grey = 128 + 60 * np.sin((x + shift) / 40) * np.cos(y / 50)
    bgr = np.repeat((grey * brightness).clip(0, 255)[..., None], 3, axis=2).astype(np.uint8)
    return Frame(index=0, bgr=np.ascontiguousarray(bgr), capture_ns=0, pts_ns=0)


def test_motion_and_exposure_are_no_cut_and_another_scene_is() -> None:
    guard = Guard(GuardConfig(), draw_slate)
    assert not guard.observe(smooth_scene())
    assert not guard.observe(smooth_scene(shift=4))
    assert not guard.observe(smooth_scene(shift=4, brightness=0.7))
    assert guard.observe(make_frame())


@pytest.mark.parametrize("face", [(-50.0, -50.0, 20.0, 20.0), (300.0, 200.0, 400.0, 300.0)])
def test_a_face_half_outside_is_blurred_where_it_shows(
    face: tuple[float, float, float, float],
) -> None:
    bgr = make_frame().bgr
    blur_head(bgr, face)
    inside = bgr[
        max(int(face[1]), 0) : min(int(face[3]), SIZE[0]),
        max(int(face[0]), 0) : min(int(face[2]), SIZE[1]),
    ].astype(np.float32)
    assert np.abs(np.diff(inside, axis=1)).mean() < FROSTED


def test_a_box_that_is_not_a_number_blurs_everything() -> None:
    bgr = make_frame().bgr
    blur_head(bgr, (float("nan"), 0.0, 10.0, 10.0))
    assert detail(bgr, make_track((270.0, 180.0))) < FROSTED


def test_a_huge_face_keeps_no_feature() -> None:
    """At most ten rows of cells are left of a picture, however large the face in it is."""
    bgr = make_frame().bgr
    blur_picture(bgr)
    small = cv2.resize(bgr, (13, 10), interpolation=cv2.INTER_AREA)
    again = cv2.resize(small, SIZE[::-1], interpolation=cv2.INTER_LINEAR)
    assert np.abs(again.astype(int) - bgr).mean() < 2.0


def test_the_slate_fits_any_size() -> None:
    for size in ((1, 1), (64, 64), (240, 320), (1280, 720), (3, 1000)):
        card = draw_slate(size)
        assert card.shape == (*size, 3)
        assert card.flags.writeable
    # The words are there: something much lighter than the card.
    assert draw_slate((240, 320)).max() > 180
