"""A generated head through the whole pipeline, networks and all, on a GPU that is played."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.compositing import Compositor
from mien.config import GuardConfig, MarkConfig, PipelineConfig
from mien.guard import Guard
from mien.inference import cuda_driver
from mien.look import Blend
from mien.marking import Marker, draw_slate
from mien.pipeline import Outcome, Pipeline
from mien.swappers.stylegan3 import LiveFiles, StyleGAN3Swapper
from mien.swappers.stylegan3.wearing import morph
from mien.types import FaceTrack
from tests.gpu.conftest import Machine
from tests.gpu.emulation import LaunchError
from tests.inference.fakes import tensorrt as fake_tensorrt
from tests.pipeline.fakes import FakeTracker, make_persona
from tests.swappers.faces import face_track, frame_of
from tests.swappers.tiny_live import write_live

SIZE = (200, 260)
# The encoder and the tone are summed up in another order, and a matte that is cut off by the
# frame is softened a little otherwise.
TOLERANCE, SHARE = 3, 0.002


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> LiveFiles:
    return write_live(tmp_path_factory.mktemp("live"))


@pytest.fixture
def engines(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[fake_tensorrt._State]:
    """TensorRT beside the played GPU; engines are kept nowhere."""
    module = fake_tensorrt.make_module()
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    driver = cuda_driver.CudaDriver(machine.libcuda)
    for name in ("mien.inference.tensorrt", "mien.inference.cuda_driver"):
        monkeypatch.setattr(f"{name}.load_driver", lambda: driver)
    for name in ("choose", "tensorrt"):
        monkeypatch.setattr(f"mien.inference.{name}.cache_folder", lambda: tmp_path)
    monkeypatch.setattr("mien.swappers.stylegan3.on_gpu.cache_folder", lambda: tmp_path)
    yield fake_tensorrt.STATE
    assert not machine.cuda.live, "device memory was not freed"
    assert not machine.libcuda.executables
    assert not machine.libcuda.graphs


def swapper_of(live: LiveFiles, device: str) -> StyleGAN3Swapper:
    return StyleGAN3Swapper(PipelineConfig(device=device), live)


def tracks() -> list[list[FaceTrack]]:
    """Somebody who walks, comes nearer and turns, half out of the frame at last."""
    return [
        [
            replace(
                face_track(
                    scale=4.0 + n, roll_deg=7.0 * n, centre=(110.0 + 18 * n, 96.0), track_id=1
                ),
                age=n,
            )
        ]
        for n in range(6)
    ]


def open_pipeline(live: LiveFiles, device: str) -> Pipeline:
    config = PipelineConfig(
        device=device, guard=GuardConfig(mode="blur"), mark=MarkConfig(badge=False)
    )
    pipeline = Pipeline(
        config,
        tracker=FakeTracker(tracks()),
        swapper=StyleGAN3Swapper(config, live),
        compositor=Compositor(),
        guard=Guard(config.guard, draw_slate),
        marker=Marker(config.mark),
    )
    worn = make_persona("ada")
    worn = replace(worn, consent=replace(worn.consent, given_by="fictional"))
    pipeline.set_persona(worn, wait=True)
    return pipeline


def play(pipeline: Pipeline, frames: int = 6) -> list[Outcome]:
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 256, (*SIZE, 3), np.uint8) for _ in range(6)]
    return [pipeline.process(frame_of(pictures[n].copy(), n)) for n in range(frames)]


def work(machine: Machine) -> list[str]:
    """The last frame's calls, kernels by their names, without the driver's clock."""
    return [
        about["kernel"] if call == "launch" else call
        for call, about in machine.cuda.trace
        if call != "event"
    ]


def test_frames_are_the_cpus_to_a_rounding(live: LiveFiles, machine: Machine, engines: Any) -> None:
    with open_pipeline(live, "cpu") as on_cpu, open_pipeline(live, "cuda:0") as on_gpu:
        assert on_gpu.where[0].startswith("stylegan3: networks, placing and blending are one piece")
        for one, other in zip(play(on_cpu), play(on_gpu), strict=True):
            assert one.swapped == other.swapped == 1
            away = np.abs(one.frame.bgr.astype(int) - other.frame.bgr)
            assert (away > TOLERANCE).mean() <= SHARE
            assert away.mean() < 0.05
        assert on_gpu.gpu_ms > 0.0


def test_a_head_costs_one_graph_one_copy_each_way_and_one_wait(
    live: LiveFiles, machine: Machine, engines: Any
) -> None:
    with open_pipeline(live, "cuda:0") as pipeline:
        heads = pipeline._swapper._heads  # type: ignore[attr-defined]
        track = tracks()[1]
        pipeline._tracker = FakeTracker([track])
        kernels = ["mien_head_mix", "mien_head_tone", "mien_head_picture", "mien_head_composite"]
        assert work(machine)[-11:] == [  # recorded when the first picture was looked at
            "htod", "dtod", "dtod", "dtod", "dtod", *kernels, "dtoh", "wait",
        ]  # fmt: skip
        play(pipeline, 2)
        machine.cuda.trace.clear()
        before = (heads._path.allocations, heads._path.recordings, machine.libcuda.launches)
        passes = engines.computed
        play(pipeline, 5)
        # Nothing but the wait is asked of the driver beside the launch: no memory, no copy by
        # itself, no other wait.
        assert work(machine) == ["wait"] * 5
        assert heads._path.graphs == 1
        after = (heads._path.allocations, heads._path.recordings, machine.libcuda.launches)
        assert after == (before[0], before[1], before[2] + 5)
        assert engines.computed == passes + 2 * 5  # encoder and generator, in the graph


def test_a_network_that_may_not_be_recorded_is_queued_between_two_graphs(
    live: LiveFiles, machine: Machine, engines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_pipeline(live, "cuda:0") as pipeline:
        expected = [one.frame.bgr for one in play(pipeline)]
    monkeypatch.setattr(
        "mien.inference.tensorrt_stage.EngineStage._tried",
        lambda self: "it asks the host" if "ws" in self.inputs else "",
    )
    with open_pipeline(live, "cuda:0") as pipeline:
        for one, wanted in zip(play(pipeline), expected, strict=True):
            assert np.array_equal(one.frame.bgr, wanted)
        heads = pipeline._swapper._heads  # type: ignore[attr-defined]
        assert heads._path.graphs == 2
        machine.cuda.trace.clear()
        launches = machine.libcuda.launches
        pipeline._tracker = FakeTracker([tracks()[5]])
        play(pipeline, 1)
        assert work(machine) == ["wait"]
        assert machine.libcuda.launches == launches + 2


def test_a_mixture_is_mixed_on_the_card(live: LiveFiles, machine: Machine, engines: Any) -> None:
    frame, track = frame_of(np.full((*SIZE, 3), 70, np.uint8)), tracks()[2][0]
    shown = []
    for device in ("cpu", "cuda:0"):
        swapper = swapper_of(live, device)
        states = []
        for name in ("ada", "kai"):
            worn = make_persona(name)
            states.append(
                swapper.prepare(replace(worn, consent=replace(worn.consent, given_by="fictional")))
            )
        mixed = morph(states[0], states[1], 0.4)
        assert len(mixed.latents) == 2
        picture = frame.bgr.copy()
        Compositor().composite(picture, swapper.swap(frame, track, mixed), track)
        shown.append(picture.astype(int))
        blend = Blend(base="ada", top="kai", amount=0.4)
        assert swapper.mix(states[0], states[1], blend, track).opacity == 1.0
        swapper.close()
    assert np.abs(shown[0] - shown[1]).max() <= TOLERANCE
    assert np.abs(shown[1] - 70).max() > 25


@pytest.mark.parametrize("where", ["wait", "mien_head_composite", "engine"])
def test_a_lost_gpu_costs_one_guarded_frame_and_then_the_cpu_draws(
    live: LiveFiles, machine: Machine, engines: Any, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    with open_pipeline(live, "cpu") as on_cpu:
        expected = play(on_cpu)
    with open_pipeline(live, "cuda:0") as pipeline:
        rng = np.random.default_rng(1)
        pictures = [rng.integers(0, 256, (*SIZE, 3), np.uint8) for _ in range(6)]
        outcomes = []
        with caplog.at_level(logging.WARNING):
            for n, picture in enumerate(pictures):
                if n == 2 and where == "engine":
                    engines.refuse_execution = True  # and a graph has to be recorded anew
                    graphs = pipeline._swapper._heads._path._work.graphs  # type: ignore[attr-defined]
                    for graph in graphs.values():
                        graph.close()
                    graphs.clear()
                elif n == 2:
                    machine.cuda.fail[where] = LaunchError("launch failure")
                outcomes.append(pipeline.process(frame_of(picture.copy(), n)))
        assert [one.guarded for one in outcomes] == [False, False, True, False, False, False]
        assert outcomes[2].reason == "swapping failed"
        for n in (3, 4, 5):
            away = np.abs(outcomes[n].frame.bgr.astype(int) - expected[n].frame.bgr)
            assert (away > TOLERANCE).mean() <= SHARE
        assert caplog.text.count("heads are drawn on the CPU from now on") == 1
        assert pipeline.where[0].startswith("stylegan3: onnxruntime on cpu")
        machine.cuda.fail.clear()
        engines.refuse_execution = False


def test_a_generator_that_breaks_down_costs_its_frames_but_not_the_gpu(
    tmp_path: Path, machine: Machine, engines: Any
) -> None:
    broken = write_live(tmp_path / "broken", scale=float("nan"))
    swapper = swapper_of(broken, "cuda:0")
    assert swapper._heads is None  # the first picture was looked at
    assert "not finite" in swapper.where[0]
    swapper.close()


def test_a_gpu_that_draws_something_else_is_not_taken(
    live: LiveFiles, machine: Machine, engines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "mien.gpu.head_path.scaled_from_patch", lambda *given: [1.0, 0.0, 9.0, 0.0, 1.0, 9.0]
    )
    swapper = swapper_of(live, "cuda:0")
    assert swapper._heads is None
    assert "placing and blending on the CPU: its picture is another" in swapper.where[0]
    frame, track = frame_of(np.full((*SIZE, 3), 70, np.uint8)), tracks()[0][0]
    worn = make_persona("ada")
    worn = replace(worn, consent=replace(worn.consent, given_by="fictional"))
    assert not swapper.swap(frame, track, swapper.prepare(worn)).blended
    swapper.close()


def test_auto_builds_no_encoder_for_it(live: LiveFiles, machine: Machine, engines: Any) -> None:
    swapper = swapper_of(live, "auto")
    assert engines.builds == 0
    assert swapper.where == ["stylegan3: onnxruntime on cpu"]
    swapper.close()
