"""The pipeline under a director: who wears what, and what the guard does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from mien.errors import PersonaError
from mien.look import EVERYONE, Blend, Look, dominant, face_names, opacity
from mien.marking import draw_slate
from mien.pipeline import Pipeline
from mien.shows import ShowDirector, ShowPlayer
from mien.types import FaceTrack, Frame, Patch
from mien.wings import Wings
from tests.pipeline.fakes import (
    FakeSwapper,
    good_patch,
    make_frame,
    make_persona,
    make_pipeline,
    make_track,
)
from tests.shows.shows import cue, show_of


class Fixed:
    """A director who wants the same all the time."""

    def __init__(self, looks: Mapping[str, Look]) -> None:
        self.wanted = looks

    def looks(self, frame: Frame) -> Mapping[str, Look]:
        del frame
        return self.wanted


def painting() -> FakeSwapper:
    """Paints each persona in a grey of its own: the length of its name times ten."""

    def draw(frame: Frame, track: FaceTrack, state: object) -> Patch:
        patch = good_patch(frame, track, state)
        return replace(patch, bgr=np.full_like(patch.bgr, len(str(state)) * 10))

    return FakeSwapper(draw=draw)


def staged(looks: Mapping[str, Look], tracks: list[FaceTrack] | None = None) -> Pipeline:
    pipeline = make_pipeline(swapper=painting(), script=[tracks or [make_track()]])
    pipeline.wings.call({"ada": lambda: make_persona("ada")}, wait=True)
    pipeline.wings.call({"tunde": lambda: make_persona("tunde")}, wait=True)
    pipeline.direct(Fixed(looks))
    return pipeline


def grey(pipeline: Pipeline, at: tuple[int, int] = (120, 160)) -> int:
    return int(pipeline.process(make_frame()).frame.bgr[at][0])


def test_the_director_says_who_is_worn() -> None:
    pipeline = staged({EVERYONE: Look(face="ada")})
    assert grey(pipeline) == 30
    pipeline.direct(Fixed({EVERYONE: Look(face="tunde")}))
    assert grey(pipeline) == 50
    pipeline.direct(None)
    assert tuple(pipeline.process(make_frame()).frame.bgr[120, 160]) == (30, 30, 30)


def test_a_swapper_that_cannot_mix_cuts_halfway() -> None:
    for amount, wanted in ((0.4, 30), (0.6, 50)):
        pipeline = staged({EVERYONE: Look(face=Blend(base="ada", top="tunde", amount=amount))})
        assert grey(pipeline) == wanted


def test_a_bare_look_lets_the_frame_through_unmarked() -> None:
    pipeline = staged({EVERYONE: Look(face=None)})
    frame = make_frame()
    before = frame.bgr.copy()
    outcome = pipeline.process(frame)
    assert np.array_equal(outcome.frame.bgr, before)
    assert outcome.reason == "pass-through"


def test_the_slate_covers_everything() -> None:
    outcome = staged({EVERYONE: Look(face=None, slate=True)}).process(make_frame())
    assert np.array_equal(outcome.frame.bgr, draw_slate((240, 320)))
    assert (outcome.guarded, outcome.reason) == (True, "slate")


def test_a_persona_that_is_not_ready_shows_nobody_bare() -> None:
    outcome = staged({EVERYONE: Look(face="greta")}).process(make_frame())
    assert outcome.guarded
    assert outcome.reason == "persona not ready"


def test_each_role_wears_its_own_and_a_bare_one_is_left_alone() -> None:
    tracks = [
        replace(make_track((80, 120)), role="alice"),
        replace(make_track((240, 120)), role="bob", track_id=1),
    ]
    pipeline = staged({"alice": Look(face="ada"), "bob": Look(face="tunde")}, tracks)
    assert (grey(pipeline, (120, 80)), grey(pipeline, (120, 240))) == (30, 50)
    pipeline.direct(Fixed({"alice": Look(face="ada"), "bob": Look(face=None)}))
    frame = make_frame()
    before = frame.bgr.copy()
    outcome = pipeline.process(frame)
    assert outcome.swapped == 1
    assert np.array_equal(outcome.frame.bgr[90:150, 210:270], before[90:150, 210:270])


def test_a_bare_performer_alone_on_stage_is_let_through_unmarked() -> None:
    alice = replace(make_track((80, 120)), role="alice")
    pipeline = make_pipeline(swapper=painting(), script=[[alice]], badge=True)
    pipeline.wings.call({"ada": lambda: make_persona("ada")}, wait=True)
    pipeline.direct(Fixed({"alice": Look(face=None), "bob": Look(face="ada")}))
    frame = make_frame()
    before = frame.bgr.copy()
    outcome = pipeline.process(frame)
    assert (outcome.reason, outcome.swapped, outcome.guarded) == ("pass-through", 0, False)
    assert np.array_equal(outcome.frame.bgr, before)


def test_one_of_several_who_is_lost_is_guarded_for_a_moment() -> None:
    both = [
        replace(make_track((80, 120)), role="alice"),
        replace(make_track((240, 120)), role="bob", track_id=1),
    ]
    pipeline = make_pipeline(swapper=painting(), script=[both, both[:1]])
    pipeline.wings.call({"ada": lambda: make_persona("ada")}, wait=True)
    pipeline.direct(Fixed({"alice": Look(face="ada"), "bob": Look(face="ada")}))
    assert pipeline.process(make_frame(0)).swapped == 2
    outcome = pipeline.process(make_frame(1))
    assert (outcome.guarded, outcome.reason) == (True, "bob lost")
    outcome = pipeline.process(make_frame(40))
    assert (outcome.guarded, outcome.swapped) == (False, 1)


def test_a_director_who_fails_leaves_all_as_it_was() -> None:
    pipeline = staged({EVERYONE: Look(face="ada")})
    assert grey(pipeline) == 30

    class Broken:
        def looks(self, frame: Frame) -> Mapping[str, Look]:
            raise RuntimeError("lost the script")

    pipeline.direct(Broken())
    assert grey(pipeline) == 30


def test_the_bare_key_wins_over_the_director() -> None:
    pipeline = staged({EVERYONE: Look(face="ada")})
    pipeline.set_bare(True)
    assert pipeline.process(make_frame()).reason == "pass-through"
    pipeline.set_bare(False)
    assert grey(pipeline) == 30


def test_a_slow_persona_never_stops_the_frames_and_its_cue_waits() -> None:
    gate = threading.Event()
    pipeline = make_pipeline(swapper=painting())
    pipeline.wings.call({"ada": lambda: make_persona("ada")}, wait=True)

    def slow() -> object:
        assert gate.wait(10.0)
        return make_persona("kai")

    pipeline.wings.call({"kai": slow})  # type: ignore[dict-item]
    show = show_of(cue("one", at="0.1s", transition="cut"))
    player = ShowPlayer(show, ready=pipeline.wings.is_ready)
    pipeline.direct(ShowDirector(player))
    for index in range(10):
        outcome = pipeline.process(make_frame(index))
        assert (outcome.swapped, outcome.frame.bgr[120, 160, 0]) == (1, 30)
    assert player.state().waiting == ("one",)
    gate.set()
    wait_for(lambda: pipeline.wings.is_ready("kai"))
    assert player.state().wears[EVERYONE] == "ada"
    pipeline.process(make_frame(11))
    assert player.state().wears[EVERYONE] == "kai"
    pipeline.close()


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not happen")


def test_a_persona_that_cannot_be_prepared_is_remembered_with_its_reason() -> None:
    def broken() -> object:
        raise PersonaError("the file is torn", "make it anew")

    wings = Wings(FakeSwapper())
    with pytest.raises(PersonaError):
        wings.call({"ada": broken}, wait=True)  # type: ignore[dict-item]
    assert isinstance(wings.problem("ada"), PersonaError)
    assert not wings.is_ready("ada")
    with pytest.raises(ValueError):
        wings.dress(Look(face=None), make_track())


def test_what_a_face_is_made_of() -> None:
    half = Blend(base="ada", top=None, amount=0.5)
    face = Blend(base=half, top="kai", amount=0.25)
    assert face_names(face) == {"ada", "kai"}
    assert opacity(face) == pytest.approx(0.625)
    assert dominant(face) is None
    assert dominant(Blend(base="ada", top="kai", amount=0.75)) == "kai"
    assert dominant(Blend(base="ada", top="kai", amount=1.0, skin=0.25)) == "ada"
