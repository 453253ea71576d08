"""The way through and its guard, on stages that misbehave on demand."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mien.complaints import Complaints
from mien.config import GuardConfig
from mien.errors import ModelError
from mien.marking import draw_slate
from mien.personas.persona import Persona
from mien.types import FaceTrack, Frame, Patch
from tests.pipeline.fakes import (
    PERSONA_BGR,
    FakeCompositor,
    FakeSwapper,
    detail,
    good_patch,
    make_frame,
    make_persona,
    make_pipeline,
    make_track,
)

FROSTED = 6.0
"""Greatest detail (see :func:`fakes.detail`) of a face that nobody can recognise."""


def raising(*_: object) -> Patch:
    raise RuntimeError("the model broke")


def with_change(**change: object) -> Callable[[Frame, FaceTrack, object], Patch]:
    def draw(frame: Frame, track: FaceTrack, state: object) -> Patch:
        return replace(good_patch(frame, track, state), **change)  # type: ignore[arg-type]

    return draw


def empty_matte(frame: Frame, track: FaceTrack, state: object) -> Patch:
    patch = good_patch(frame, track, state)
    return replace(patch, matte=np.zeros_like(patch.matte))


def whole_frame(frame: Frame, track: FaceTrack, state: object) -> Patch:
    del track, state
    return Patch(left=0, top=0, bgr=frame.bgr.copy(), matte=np.full(frame.size, 255, np.uint8))


def test_a_swapped_frame_shows_the_persona_and_says_so() -> None:
    pipeline = make_pipeline()
    outcome = pipeline.process(make_frame())
    assert outcome.swapped == 1
    assert not outcome.guarded
    assert outcome.reason == ""
    assert tuple(outcome.frame.bgr[120, 160]) == PERSONA_BGR
    assert set(outcome.stage_ms) == {"track", "swap", "composite", "mark", "guard"}


@pytest.mark.parametrize(
    ("draw", "reason"),
    [
        (raising, "swapping failed"),
        (empty_matte, "patch empty"),
        (whole_frame, "patch too large"),
        (with_change(left=-1), "patch outside the frame"),
        (with_change(left=300), "patch outside the frame"),
        (with_change(bgr=np.zeros((3, 3, 3), np.uint8)), "patch malformed"),
        (with_change(bgr=np.full((80, 80, 3), np.nan, np.float32)), "patch malformed"),
    ],
)
def test_a_bad_patch_is_never_shown_and_the_head_is_blurred(
    draw: Callable[[Frame, FaceTrack, object], Patch], reason: str
) -> None:
    pipeline = make_pipeline(swapper=FakeSwapper(draw))
    before = make_frame()
    outcome = pipeline.process(make_frame())
    assert outcome.guarded
    assert outcome.swapped == 0
    assert outcome.reason == reason
    assert detail(outcome.frame.bgr, make_track()) < FROSTED
    # Far from the head the picture is as it came.
    np.testing.assert_array_equal(outcome.frame.bgr[:, :40], before.bgr[:, :40])


def test_a_patch_that_is_no_patch_is_a_fault_not_a_crash() -> None:
    pipeline = make_pipeline(swapper=FakeSwapper(lambda *_: None))  # type: ignore[arg-type, return-value]
    assert pipeline.process(make_frame()).guarded


def test_a_compositor_that_fails_halfway_leaves_no_bare_face() -> None:
    class Broken(FakeCompositor):
        def composite(self, frame_bgr: object, patch: object, track: object) -> None:
            raise MemoryError("no buffer")

    outcome = make_pipeline(compositor=Broken()).process(make_frame())
    assert outcome.reason == "compositing failed"
    assert detail(outcome.frame.bgr, make_track()) < FROSTED


def test_a_tracker_that_fails_blurs_the_whole_picture() -> None:
    pipeline = make_pipeline(script=[RuntimeError("no session")])
    outcome = pipeline.process(make_frame())
    assert outcome.reason == "tracking failed"
    for x in (40.0, 160.0, 280.0):
        assert detail(outcome.frame.bgr, make_track((x, 120.0))) < FROSTED


def test_landmarks_that_are_not_numbers_count_as_no_face() -> None:
    broken = make_track()
    broken.landmarks[5] = np.nan
    outcome = make_pipeline(script=[[broken]]).process(make_frame())
    assert outcome.guarded
    assert outcome.tracks == []


def test_an_uncertain_face_is_not_swapped() -> None:
    outcome = make_pipeline(script=[[make_track(quality=0.3)]]).process(make_frame())
    assert outcome.reason == "face uncertain"
    assert detail(outcome.frame.bgr, make_track()) < FROSTED


def test_a_late_swap_counts_as_failed() -> None:
    def slow(frame: Frame, track: FaceTrack, state: object) -> Patch:
        threading.Event().wait(0.02)
        return good_patch(frame, track, state)

    guard = GuardConfig(mode="blur", deadline_ms=5.0)
    outcome = make_pipeline(swapper=FakeSwapper(slow), guard=guard).process(make_frame())
    assert outcome.reason == "deadline missed"
    assert outcome.guarded


def test_off_lets_the_frame_through_and_still_gives_the_reason() -> None:
    pipeline = make_pipeline(swapper=FakeSwapper(raising), guard=GuardConfig(mode="off"))
    outcome = pipeline.process(make_frame())
    np.testing.assert_array_equal(outcome.frame.bgr, make_frame().bgr)
    assert not outcome.guarded
    assert outcome.reason == "swapping failed"


def test_bystanders_are_shown_as_they_are() -> None:
    bystander = make_track((40.0, 60.0), 40.0, performer=False)
    outcome = make_pipeline(script=[[make_track(), bystander]]).process(make_frame())
    assert outcome.swapped == 1
    np.testing.assert_array_equal(outcome.frame.bgr[:100, :70], make_frame().bgr[:100, :70])


def test_before_the_persona_is_ready_nothing_bare_is_shown_and_afterwards_it_is_worn() -> None:
    ready = threading.Event()

    def prepare(persona: Persona) -> object:
        assert ready.wait(10.0)
        return persona.name

    pipeline = make_pipeline(swapper=FakeSwapper())
    pipeline.set_persona(None)
    pipeline._swapper._prepare = prepare  # type: ignore[attr-defined]
    pipeline.set_persona(make_persona("bo"))
    outcome = pipeline.process(make_frame())
    assert outcome.reason == "persona not ready"
    assert detail(outcome.frame.bgr, make_track()) < FROSTED
    ready.set()
    for _ in range(1000):
        if pipeline.persona is not None:
            break
        threading.Event().wait(0.01)
    assert pipeline.process(make_frame()).swapped == 1


def test_the_present_persona_stays_until_the_next_is_ready() -> None:
    ready = threading.Event()

    def prepare(persona: Persona) -> object:
        if persona.name == "bo":
            assert ready.wait(10.0)
        return persona.name

    pipeline = make_pipeline(swapper=FakeSwapper(prepare=prepare))
    pipeline.set_persona(make_persona("bo"))
    assert pipeline.process(make_frame()).swapped == 1
    assert pipeline.persona is not None
    assert pipeline.persona.name == "ada"
    ready.set()
    pipeline.close()
    assert pipeline.persona.name in ("ada", "bo")


def test_of_several_requests_the_latest_wins() -> None:
    pipeline = make_pipeline()
    for name in ("bo", "cleo", "dan"):
        pipeline.set_persona(make_persona(name))
    pipeline.set_persona(make_persona("eve"), wait=True)
    assert pipeline.persona is not None
    assert pipeline.persona.name == "eve"


def test_a_persona_that_cannot_be_prepared_raises_when_waited_for() -> None:
    def prepare(persona: Persona) -> object:
        if persona.name == "bad":
            raise ModelError("the texture is broken")
        return persona.name

    pipeline = make_pipeline(swapper=FakeSwapper(prepare=prepare))
    with pytest.raises(ModelError):
        pipeline.set_persona(make_persona("bad"), wait=True)
    assert isinstance(pipeline.persona_error, ModelError)
    # The one on stage stays.
    assert pipeline.process(make_frame()).swapped == 1


def test_pass_through_is_exact_and_unmarked() -> None:
    pipeline = make_pipeline(badge=True)
    pipeline.set_persona(None)
    outcome = pipeline.process(make_frame())
    np.testing.assert_array_equal(outcome.frame.bgr, make_frame().bgr)
    assert outcome.reason == "pass-through"
    assert not outcome.guarded


def test_panic_shows_the_slate_whatever_the_mode() -> None:
    pipeline = make_pipeline(guard=GuardConfig(mode="off"))
    pipeline.panic(True)
    outcome = pipeline.process(make_frame())
    np.testing.assert_array_equal(outcome.frame.bgr, draw_slate((240, 320)))
    assert outcome.reason == "panic"
    pipeline.panic(False)
    assert pipeline.process(make_frame()).swapped == 1


def test_read_only_pixels_are_left_alone() -> None:
    frame = make_frame()
    frame.bgr.flags.writeable = False
    outcome = make_pipeline().process(frame)
    assert outcome.swapped == 1
    np.testing.assert_array_equal(frame.bgr, make_frame().bgr)


def test_likeness_reaches_the_swapper_and_is_checked() -> None:
    swapper = FakeSwapper()
    pipeline = make_pipeline(swapper=swapper)
    pipeline.set_likeness(0.25)
    assert swapper.likeness == 0.25
    with pytest.raises(ValueError):
        pipeline.set_likeness(1.5)


def test_closing_closes_the_stages() -> None:
    swapper = FakeSwapper()
    with make_pipeline(swapper=swapper) as pipeline:
        pipeline.process(make_frame())
    assert swapper.closed


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (719, 1279), (1280, 720), (5, 4000)])
@pytest.mark.parametrize("mode", ["hold", "blur", "slate", "off"])
def test_no_size_and_no_fault_breaks_the_loop(
    size: tuple[int, int], mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    guard = GuardConfig(mode=mode)  # type: ignore[arg-type]
    script: list[list[FaceTrack] | Exception] = [[make_track()], [], RuntimeError("x")]
    pipeline = make_pipeline(script=script, guard=guard, badge=True)
    for index in range(4):
        outcome = pipeline.process(make_frame(index, size))
        assert outcome.frame.bgr.shape == (*size, 3)
        assert outcome.frame.index == index


def test_equal_complaints_are_logged_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    now_s = [0.0]
    complaints = Complaints(logging.getLogger("test"), lambda: now_s[0])
    for index in range(60):
        now_s[0] = index / 30
        complaints.add("swapping failed")
    assert [record.getMessage() for record in caplog.records] == [
        "swapping failed (1 times in the last second)",
        "swapping failed (30 times in the last second)",
    ]
