"""Personas of a show that say how they are drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien.compositing import Compositor
from mien.config import GuardConfig, PipelineConfig
from mien.errors import PersonaError, UsageError
from mien.guard import Guard
from mien.marking import Marker, draw_slate
from mien.personas.persona import Persona
from mien.pipeline import Pipeline
from mien.shows import Show, parse_show
from mien.swappers import Ensemble
from mien.swappers.registry import Swapper, make_swapper
from mien.swappers.stylegan3 import StyleGAN3Swapper
from mien_streamer.cli.setup import find_persona
from mien_streamer.show_session import ShowSession
from tests.pipeline.fakes import FakeTracker
from tests.shows.shows import cue
from tests.swappers.faces import face_track, frame_of, plain_picture
from tests.swappers.tiny_live import COLOURS, write_live

HEAD = """\
[show]
start = "ada"
[personas]
ada = "ada"
drawn = { persona = "kai", swapper = "stylegan3" }
mixed = { persona = "kai", swapper = "stylegan3", fine = "ada" }
"""


def read(text: str) -> Show:
    show, problems = parse_show(text, resolve=find_persona)
    assert show is not None, problems
    return show


def test_a_persona_may_say_who_draws_it_and_whose_skin_it_takes() -> None:
    show = read(HEAD)
    assert show.personas == {"ada": "ada", "drawn": "kai", "mixed": "kai"}
    assert set(show.drawings) == {"drawn", "mixed"}
    assert (show.drawings["mixed"].swapper, show.drawings["mixed"].fine) == ("stylegan3", "ada")
    short = read('[personas.kai]\nswapper = "stylegan3"\n')
    assert short.personas == {"kai": "kai"}


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        ("{ persona = 3 }", "no persona"),
        ('{ persona = "ada", swaper = "mesh" }', "swaper"),
        ('{ persona = "ada", swapper = 3 }', "swapper"),
        ('{ persona = "ada", fine = "nobody-here" }', "nobody-here"),
    ],
)
def test_a_wrong_entry_is_named_with_its_line(entry: str, what: str) -> None:
    _, problems = parse_show(f"[personas]\nx = {entry}\n", resolve=find_persona)
    fatal = [problem for problem in problems if problem.fatal]
    assert len(fatal) == 1
    assert what in fatal[0].what
    assert fatal[0].line == 2


def stage(folder: Path) -> Pipeline:
    live = write_live(folder)

    def make(name: str, config: PipelineConfig) -> Swapper:
        return StyleGAN3Swapper(config, live) if name == "stylegan3" else make_swapper(name, config)

    config = PipelineConfig()
    return Pipeline(
        config,
        tracker=FakeTracker([[face_track()]] * 40),
        swapper=Ensemble("mesh", config, make=make),
        compositor=Compositor(),
        guard=Guard(GuardConfig(mode="slate"), draw_slate),
        marker=Marker(config.mark),
    )


def play(pipeline: Pipeline, head: str, *cues: str, frames: int = 31) -> list[np.ndarray]:
    """The face's middle in every frame, at 10 frames a second."""
    show = read(head + "".join(cues))
    ShowSession(show, pipeline, find_persona, live=False)
    at = face_track().landmarks[4, :2].astype(int)
    seen = []
    for index in range(frames):
        frame = frame_of(plain_picture(), index)
        frame = type(frame)(index=index, bgr=frame.bgr, capture_ns=0, pts_ns=index * 100_000_000)
        outcome = pipeline.process(frame)
        assert (outcome.swapped, outcome.reason) == (1, "")
        x, y = int(at[0]), int(at[1])
        seen.append(outcome.frame.bgr[y - 3 : y + 4, x - 3 : x + 4].mean(axis=(0, 1)))
    return seen


@pytest.mark.parametrize("transition", ["morph", "wipe"])
def test_a_mesh_persona_goes_over_into_a_drawn_one(tmp_path: Path, transition: str) -> None:
    pipeline = stage(tmp_path)
    change = cue("over", to="drawn", at="1s", duration="1s", transition=transition)
    seen = np.array(play(pipeline, HEAD, change))
    drawn = play_alone(tmp_path)
    assert np.abs(seen[12 if transition == "wipe" else 9] - seen[0]).max() < 12
    assert np.abs(seen[-1] - drawn).max() < 2
    away = np.abs(seen - seen[-1]).sum(axis=1)[10:21]
    assert (np.diff(away) < 2.0).all()
    if transition == "morph":
        assert -np.diff(away).min() < 0.35 * away[0]
    pipeline.close()


def play_alone(folder: Path) -> np.ndarray:
    pipeline = stage(folder)
    seen = play(pipeline, HEAD.replace('start = "ada"', 'start = "drawn"'))
    pipeline.close()
    return seen[-1]


def test_the_skin_of_another_is_worn(tmp_path: Path) -> None:
    pipeline = stage(tmp_path)
    seen = play(pipeline, HEAD.replace('start = "ada"', 'start = "mixed"'), frames=3)
    alone = play_alone(tmp_path)
    # All layers count alike in these networks, so the mixture lies halfway to ada.
    towards = np.array(COLOURS["ada"]) - np.array(COLOURS["kai"])
    assert (np.sign(seen[-1] - alone) == np.sign(towards)).all()
    pipeline.close()


def test_whoever_cannot_be_drawn_is_said_before_the_first_frame(tmp_path: Path) -> None:
    for entry, error, what in (
        ('{ persona = "mei", swapper = "stylegan3" }', PersonaError, "no latent"),
        ('{ persona = "mei", swapper = "mush" }', UsageError, "mush"),
        ('{ persona = "mei", swapper = "mesh", fine = "ada" }', UsageError, "skin"),
    ):
        pipeline = stage(tmp_path)
        show = read(f'[show]\nstart = "x"\n[personas]\nx = {entry}\n')
        with pytest.raises(error, match=what):
            ShowSession(show, pipeline, find_persona, live=False)
        pipeline.close()


def test_everybody_worn_stands_in_the_statement(tmp_path: Path) -> None:
    pipeline = stage(tmp_path)
    show = read(HEAD + cue("over", to="mixed"))
    session = ShowSession(show, pipeline, find_persona, live=False)

    def only_known(name: str) -> Persona:
        raise AssertionError(f"{name} was loaded already")

    assert session.statement(only_known).persona == "ada, kai"
    pipeline.close()
