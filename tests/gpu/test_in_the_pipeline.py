"""``--device cuda`` in a whole pipeline: the CPU's frames, and what becomes of a lost GPU."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest

from mien import _kernels
from mien.compositing import Compositor
from mien.config import GuardConfig, MarkConfig, PipelineConfig
from mien.face_mesh import face_mesh
from mien.gpu import Gpu
from mien.guard import Guard
from mien.look import Blend
from mien.marking import Marker, draw_slate
from mien.personas.persona import Consent, Persona
from mien.pipeline import Outcome, Pipeline
from mien.swappers.dissolve import dissolve
from mien.swappers.mesh import MeshSwapper
from mien.types import FaceTrack, Patch
from tests.gpu.conftest import Machine
from tests.gpu.emulation import LaunchError
from tests.pipeline.fakes import FakeTracker
from tests.swappers.faces import face_track, frame_of

SIZE = (200, 260)


def tracks() -> list[list[FaceTrack]]:
    """Two people, who move; one is partly outside."""
    return [
        [
            face_track(scale=6.0, yaw_deg=4.0 * n, centre=(90.0 + 3 * n, 90.0), track_id=1),
            face_track(scale=5.0, yaw_deg=-9.0 * n, centre=(235.0, 120.0 + n), track_id=2),
        ]
        for n in range(6)
    ]


def persona() -> Persona:
    rng = np.random.default_rng(3)
    return Persona(
        name="test",
        created="2026-01-01T00:00:00Z",
        consent=Consent(statement="made by a test", given_by="nobody"),
        texture=rng.integers(60, 220, (256, 256, 3), np.uint8),
        coverage=rng.integers(128, 256, (256, 256), np.uint8),
        shape=face_mesh().vertices * np.float32(1.04),
        iris_bgr=np.array((90, 60, 40), np.float32),
        skin_bgr=np.array((120, 150, 190), np.float32),
        descriptor=np.zeros(128, np.float32),
        latents={},
        preview_jpeg=b"",
    )


def open_pipeline(device: str) -> Pipeline:
    config = PipelineConfig(
        device=device, guard=GuardConfig(mode="blur"), mark=MarkConfig(badge=False)
    )
    pipeline = Pipeline(
        config,
        tracker=FakeTracker(tracks()),
        swapper=MeshSwapper(config),
        compositor=Compositor(),
        guard=Guard(config.guard, draw_slate),
        marker=Marker(config.mark),
    )
    pipeline.set_persona(persona(), wait=True)
    return pipeline


def play(pipeline: Pipeline, frames: int = 6) -> list[Outcome]:
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 256, (*SIZE, 3), np.uint8) for _ in range(6)]
    return [pipeline.process(frame_of(pictures[n].copy(), n)) for n in range(frames)]


@pytest.fixture(params=[pytest.param("cuda", marks=pytest.mark.gpu), "cuda sources on the host"])
def device(request: pytest.FixtureRequest) -> str:
    if request.param == "cuda":
        Gpu().close()
    else:
        request.getfixturevalue("machine")
    return "cuda:0"


def test_frames_are_the_cpus_bit_for_bit(device: str) -> None:
    with open_pipeline("cpu") as on_cpu, open_pipeline(device) as on_gpu:
        for one, other in zip(play(on_cpu), play(on_gpu), strict=True):
            assert one.swapped == other.swapped == 2
            assert np.array_equal(one.frame.bgr, other.frame.bgr)


def test_a_face_is_drawn_and_blended_on_the_card(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_pipeline("cuda:0") as pipeline:
        play(pipeline, 2)
        machine.cuda.trace.clear()

        def nobody(*arguments: Any) -> None:
            raise AssertionError("the CPU was asked")

        for kernel in ("raster_face", "blur_matte", "blend"):
            monkeypatch.setattr(_kernels, kernel, nobody)
        [*_, last] = play(pipeline, 3)
        assert last.swapped == 2
        assert [call for call, _ in machine.cuda.trace] == ["event", "event", "wait"] * 6


def test_a_lost_gpu_costs_one_guarded_frame_and_then_the_cpu_draws(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    with open_pipeline("cpu") as on_cpu:
        expected = play(on_cpu)
    with open_pipeline("cuda:0") as pipeline:
        rng = np.random.default_rng(1)
        pictures = [rng.integers(0, 256, (*SIZE, 3), np.uint8) for _ in range(6)]
        outcomes = []
        with caplog.at_level(logging.WARNING):
            for n, picture in enumerate(pictures):
                if n == 2:
                    machine.cuda.fail["wait"] = LaunchError("launch failure")
                outcomes.append(pipeline.process(frame_of(picture.copy(), n)))
        assert [one.guarded for one in outcomes] == [False, False, True, False, False, False]
        assert outcomes[2].reason == "swapping failed"
        for n in (0, 1):
            assert np.array_equal(outcomes[n].frame.bgr, expected[n].frame.bgr)
        assert all(one.swapped == 2 for one in outcomes[3:])
        assert caplog.text.count("drawn on the CPU from now on") == 1


def test_a_blended_patch_is_put_in_its_place() -> None:
    frame = np.zeros((20, 30, 3), np.uint8)
    bgr = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    matte = np.full((5, 7), 99, np.uint8)
    patch = Patch(left=4, top=3, bgr=bgr, matte=matte, blended=True)
    Compositor().composite(frame, patch, face_track())
    assert np.array_equal(frame[3:8, 4:11], bgr)
    assert np.count_nonzero(frame) == np.count_nonzero(bgr)
    assert (matte == 99).all()


@pytest.mark.parametrize(
    "blend",
    [
        Blend(base="a", top="b", amount=0.3),
        Blend(base="a", top="b", amount=0.5, how="wipe"),
    ],
)
def test_a_face_that_was_blended_dissolves_like_one_that_is_yet_to_be(blend: Blend) -> None:
    rng = np.random.default_rng(2)
    track, bgr = face_track(), rng.integers(0, 256, (30, 40, 3), np.uint8)
    frame = frame_of(rng.integers(0, 256, (360, 480, 3), np.uint8))
    matte = np.zeros((30, 40), np.uint8)
    matte[8:22, 9:33] = 255
    over = frame.bgr[150:180, 200:240].copy()
    _kernels.blend(over, 0, 0, bgr, matte)

    def drawn(blended: bool) -> Patch:
        return Patch(
            left=200, top=150, bgr=over if blended else bgr, matte=matte.copy(), blended=blended
        )

    for other in (None, lambda: drawn(False)):
        pictures = []
        for blended in (False, True):
            patch = dissolve(frame, track, blend, lambda b=blended: drawn(b), other)
            shown = frame.bgr.copy()
            Compositor().composite(shown, patch, track)
            pictures.append(shown)
        # The silhouette is softened once or twice; elsewhere one is rounded once more.
        difference = np.abs(pictures[0].astype(int) - pictures[1]).max(axis=2)
        edge = np.ones(difference.shape, bool)
        edge[160:170, 211:231] = False
        edge[:156] = edge[174:] = edge[:, :207] = edge[:, 235:] = False
        assert difference[~edge].max() <= 2
        assert np.abs(pictures[1].astype(int) - frame.bgr)[~edge].max() > 50
