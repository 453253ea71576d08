"""The networks that ship, on the bundled clip, through the whole pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import pytest

from mien.compositing import Compositor
from mien.config import GuardConfig, MarkConfig, PipelineConfig
from mien.errors import PersonaError
from mien.guard import Guard
from mien.marking import Marker, draw_slate
from mien.perception import FaceTracker
from mien.personas import cast_names
from mien.pipeline import Outcome, Pipeline
from mien.swappers import Ensemble
from mien.swappers.stylegan3 import LiveFiles, StyleGAN3Swapper
from mien.swappers.stylegan3.networks import shipped_folder
from mien.types import Frame
from mien_streamer.cli.setup import find_persona
from mien_streamer.sources import open_source
from tests.swappers.tiny_live import write_live

CLEAR = PipelineConfig(guard=GuardConfig(mode="off"), mark=MarkConfig(badge=False))
FRAMES = 4


def clip() -> list[Frame]:
    with (
        as_file(files("mien_streamer").joinpath("demo", "driver.mp4")) as path,
        open_source(str(path)) as source,
    ):
        frames: Iterator[Frame] = iter(source.frames())
        return [next(frames) for _ in range(FRAMES)]


def run(name: str) -> tuple[list[Frame], list[Outcome]]:
    frames = clip()
    with Pipeline.create(CLEAR, "stylegan3") as pipeline:
        pipeline.set_persona(find_persona(name), wait=True)
        return clip(), [pipeline.process(frame) for frame in frames]


def test_the_whole_cast_has_a_latent() -> None:
    latents = LiveFiles(folder=shipped_folder()).latents()
    assert set(cast_names()) <= set(latents)


def test_a_persona_is_drawn_on_every_frame_and_nothing_else_changes() -> None:
    before, after = run("tunde")
    assert [outcome.swapped for outcome in after] == [1] * FRAMES
    assert [outcome.reason for outcome in after] == [""] * FRAMES
    left, top, right, bottom = (int(edge) for edge in after[-1].tracks[0].box)
    one, other = before[-1].bgr, after[-1].frame.bgr
    inner = (slice(top + 40, bottom - 40), slice(left + 30, right - 30))
    # Tunde's skin is dark, the performer's is not.
    assert other[inner].mean() < one[inner].mean() - 15
    reach = (right - left) // 2
    outside = np.ones(one.shape[:2], bool)
    outside[max(top - reach, 0) : bottom + reach, max(left - reach, 0) : right + reach] = False
    assert (other[outside] == one[outside]).all()


def test_the_same_clip_gives_the_same_pictures() -> None:
    (_, one), (_, other) = run("ada"), run("ada")
    for first, second in zip(one, other, strict=True):
        assert (first.frame.bgr == second.frame.bgr).all()


def test_somebody_without_a_latent_is_told_how_to_get_one(tmp_path: Path) -> None:
    from dataclasses import replace

    stranger = find_persona("ada")
    stranger = replace(stranger, consent=replace(stranger.consent, given_by="Ada Lind"))
    with (
        Pipeline.create(CLEAR, "stylegan3") as pipeline,
        pytest.raises(PersonaError, match="has no latent") as caught,
    ):
        pipeline.set_persona(stranger, wait=True)
    assert "mien persona latent" in caught.value.hint


def test_the_guard_covers_a_generator_that_fails(tmp_path: Path) -> None:
    broken = write_live(tmp_path, scale=float("nan"))
    config = PipelineConfig(guard=GuardConfig(mode="slate"))
    pipeline = Pipeline(
        config,
        tracker=FaceTracker(config.tracker),
        swapper=Ensemble(
            "stylegan3", config, make=lambda name, wanted: StyleGAN3Swapper(wanted, broken)
        ),
        compositor=Compositor(),
        guard=Guard(config.guard, draw_slate),
        marker=Marker(config.mark),
    )
    frames = clip()
    untouched = frames[1].bgr.copy()
    with pipeline:
        pipeline.set_persona(find_persona("ada"), wait=True)
        for frame in frames[:2]:
            outcome = pipeline.process(frame)
            assert outcome.guarded
            assert outcome.reason == "swapping failed"
            assert (outcome.frame.bgr != untouched).any(axis=2).mean() > 0.9
        pipeline.panic(True)
        assert pipeline.process(frames[2]).reason == "panic"
