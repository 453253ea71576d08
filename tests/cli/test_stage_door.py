"""What the keys do to the pipeline."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from mien.errors import PersonaError
from mien.personas.persona import Persona
from mien.pipeline import Pipeline
from mien_streamer.cli.stage_door import StageDoor
from mien_streamer.controls.hotkeys import Action
from tests.pipeline.fakes import FakeSwapper, make_frame, make_persona, make_pipeline

NAMES = ["ada", "bo", "cleo"]


def find(name: str) -> Persona:
    if name == "bo":
        raise PersonaError("bo is damaged", "make it anew")
    return make_persona(name)


def wait_for(pipeline: Pipeline, name: str) -> None:
    for _ in range(500):
        if pipeline.persona is not None and pipeline.persona.name == name:
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"{name} did not come on stage")


@pytest.fixture
def stage() -> tuple[Pipeline, FakeSwapper, threading.Event, StageDoor]:
    swapper, stop = FakeSwapper(), threading.Event()
    pipeline = make_pipeline(swapper=swapper)
    door = StageDoor(
        pipeline, make_persona("ada"), stop, likeness=0.5, names=lambda: NAMES, find=find
    )
    return pipeline, swapper, stop, door


Stage = tuple[Pipeline, FakeSwapper, threading.Event, StageDoor]


def test_personas_go_round_and_damaged_ones_are_left_out(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline, _, _, door = stage
    door.act(Action.NEXT_PERSONA)
    wait_for(pipeline, "cleo")
    door.act(Action.NEXT_PERSONA)
    wait_for(pipeline, "ada")
    door.act(Action.PREVIOUS_PERSONA)
    wait_for(pipeline, "cleo")
    assert "bo is damaged" in caplog.text


def test_likeness_turns_within_its_range(stage: Stage) -> None:
    _, swapper, _, door = stage
    door.act(Action.LIKENESS_UP)
    assert swapper.likeness == pytest.approx(0.6)
    for _ in range(20):
        door.act(Action.LIKENESS_DOWN)
    assert swapper.likeness == 0.0


def test_panic_goes_on_and_off(stage: Stage) -> None:
    pipeline, _, _, door = stage
    door.act(Action.PANIC)
    assert pipeline.process(make_frame()).reason == "panic"
    door.act(Action.PANIC)
    assert pipeline.process(make_frame()).swapped == 1


def test_the_bare_face_is_shown_only_once_confirmed(stage: Stage) -> None:
    pipeline, _, _, door = stage
    door.act(Action.CONFIRM_BARE)
    assert pipeline.process(make_frame()).swapped == 1
    door.act(Action.BARE_ON)
    np.testing.assert_array_equal(pipeline.process(make_frame()).frame.bgr, make_frame().bgr)
    door.act(Action.BARE_OFF)
    wait_for(pipeline, "ada")
    assert pipeline.process(make_frame()).swapped == 1


def test_quit_stops(stage: Stage) -> None:
    _, _, stop, door = stage
    door.act(Action.HELP)
    assert not stop.is_set()
    door.act(Action.QUIT)
    assert stop.is_set()
