"""Crop and landmark network as one graph on a GPU that is played, and one upload for all."""

from __future__ import annotations

import ctypes
import logging
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mien.compositing import Compositor
from mien.config import GuardConfig, MarkConfig, PipelineConfig
from mien.guard import Guard
from mien.inference import cuda_driver
from mien.marking import Marker, draw_slate
from mien.perception import _engines
from mien.perception._engines import networks_for
from mien.perception.landmarks import Landmarker, plan_crop
from mien.perception.roi import Roi, roi_from_landmarks
from mien.pipeline import Outcome, Pipeline
from mien.swappers.mesh import MeshSwapper
from mien.types import FaceTrack, Frame
from tests.gpu.conftest import Machine
from tests.gpu.emulation import LaunchError
from tests.gpu.test_in_the_pipeline import persona
from tests.inference.fakes import tensorrt as fake_tensorrt
from tests.swappers.faces import face_track, frame_of

SIZE = (360, 480)


@pytest.fixture
def engines(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[fake_tensorrt._State]:
    """TensorRT beside the played GPU, with engines for the landmark network alone."""
    module = fake_tensorrt.make_module()
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    driver = cuda_driver.CudaDriver(machine.libcuda)
    for name in ("mien.inference.tensorrt", "mien.inference.cuda_driver"):
        monkeypatch.setattr(f"{name}.load_driver", lambda: driver)
    monkeypatch.setattr(_engines, "cache_folder", lambda: tmp_path)
    yield fake_tensorrt.STATE
    assert not machine.cuda.live, "device memory was not freed"
    assert not machine.libcuda.executables
    assert not machine.libcuda.graphs


@pytest.fixture
def landmarker(engines: Any) -> Iterator[Landmarker]:
    made = Landmarker(1, networks_for("cuda:0"))
    assert made.on_gpu is not None
    yield made
    made.close()


def picture(seed: int = 0) -> Any:
    noise = np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 1.5)


@pytest.mark.parametrize(
    "roi",
    [
        Roi(x=240.3, y=180.7, side=120.0, angle_rad=0.0),
        Roi(x=200.0, y=150.0, side=230.0, angle_rad=0.4),
        Roi(x=240.0, y=180.0, side=391.0, angle_rad=-0.2),
        Roi(x=230.0, y=170.0, side=600.0, angle_rad=1.1),
        Roi(x=470.0, y=20.0, side=200.0, angle_rad=0.3),
        Roi(x=10.0, y=350.0, side=420.0, angle_rad=2.9),
        Roi(x=700.0, y=-90.0, side=100.0, angle_rad=0.0),
    ],
)
def test_the_crop_is_opencvs(landmarker: Landmarker, roi: Roi) -> None:
    frame = picture()
    plan = plan_crop(SIZE, roi)
    assert landmarker.on_gpu is not None
    landmarker.on_gpu.run(frame, plan)
    path: Any = landmarker.on_gpu._path
    about = path._input

    count = int(np.prod(about.shape))
    cut = np.frombuffer((ctypes.c_float * count).from_address(about.pointer), np.float32)
    landmarker._on_cpu(frame, plan)
    wanted = landmarker._crop.bgr[..., ::-1].transpose(2, 0, 1).ravel()
    assert np.abs(cut * 255.0 - wanted).max() <= 1.001  # a rounding
    assert (np.abs(cut * 255.0 - wanted) > 0.5).mean() < 0.01


def test_landmarks_are_the_cpus(landmarker: Landmarker) -> None:
    cpu = Landmarker()
    for n in range(4):
        roi = Roi(x=200.0 + 9 * n, y=180.0, side=170.0 + 60 * n, angle_rad=0.1 * n)
        one, quality = landmarker.locate(picture(n), roi)
        other, wanted = cpu.locate(picture(n), roi)
        # Noise is no face: where it hardly says anything the network follows every rounding.
        assert np.abs(one - other).max() < 0.02 * roi.side
        assert abs(quality - wanted) < 0.02
    cpu.close()


def test_landmarks_cost_one_graph_one_copy_each_way_and_one_wait(
    landmarker: Landmarker, machine: Machine
) -> None:
    roi = Roi(x=240.0, y=180.0, side=180.0, angle_rad=0.2)
    landmarker.locate(picture(), roi)
    path: Any = landmarker.on_gpu._path  # type: ignore[union-attr]
    before = path.allocations, path.recordings, machine.libcuda.launches
    machine.cuda.trace.clear()
    for n in range(5):
        landmarker.locate(picture(n), replace(roi, x=230.0 + n))
    assert [call for call, _ in machine.cuda.trace if call != "event"] == ["wait"] * 5
    assert (path.allocations, path.recordings) == before[:2]
    assert machine.libcuda.launches == before[2] + 5
    up, down = path.bytes_moved
    assert down < 8192
    assert up < 1 << 21  # as long as the largest crop that was cut before, for a while


def test_what_a_recording_holds(landmarker: Landmarker, machine: Machine) -> None:
    path: Any = landmarker.on_gpu._path  # type: ignore[union-attr]
    plan = plan_crop(SIZE, Roi(x=240.0, y=180.0, side=180.0, angle_rad=0.2))
    machine.cuda.trace.clear()
    steps: list[str] = []
    path.run(picture(), plan.window, plan.block_from_crop, plan.shrink, steps.append)
    assert steps == ["upload", "crop", "network", "download"]
    work = [about["kernel"] if call == "launch" else call for call, about in machine.cuda.trace]
    assert [one for one in work if one != "event"] == [
        "htod", "mien_face_crop", "dtod", "dtod", "dtoh", "wait",
    ]  # fmt: skip


def test_a_failure_is_repeated_on_the_cpu_within_the_frame(
    landmarker: Landmarker, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    cpu, frame = Landmarker(), picture()
    roi = Roi(x=240.0, y=180.0, side=180.0, angle_rad=0.2)
    machine.cuda.fail["wait"] = LaunchError("launch failure")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            one, quality = landmarker.locate(frame, roi)
            other, wanted = cpu.locate(frame, roi)
            assert np.array_equal(one, other)
            assert quality == wanted
    assert caplog.text.count("runs on the CPU from now on") == 1
    machine.cuda.fail.clear()
    cpu.close()


def test_without_its_kernels_crops_are_cut_on_the_cpu(engines: Any, machine: Machine) -> None:
    machine.cuda.refused.add(b"fatbin networks")
    made = Landmarker(1, networks_for("cuda:0"))
    assert made.on_gpu is None
    made.locate(picture(), Roi(x=240.0, y=180.0, side=180.0, angle_rad=0.2))
    made.close()


class LookingTracker:
    """Looks for landmarks where they will be, and gives those that are known."""

    def __init__(self, landmarker: Landmarker, tracks: list[list[FaceTrack]]) -> None:
        self._landmarker, self._tracks, self._n = landmarker, tracks, 0
        self.frame_on_gpu = landmarker.on_gpu.shared if landmarker.on_gpu is not None else None

    def track(self, frame: Frame) -> list[FaceTrack]:
        tracks = self._tracks[min(self._n, len(self._tracks) - 1)]
        self._n += 1
        for track in tracks:
            self._landmarker.locate(frame.bgr, roi_from_landmarks(track.landmarks))
        return tracks

    def reset(self) -> None: ...
    def enrol_performer(self, descriptor: Any) -> None: ...
    def enrol_cast(self, descriptors: Any) -> None: ...
    def close(self) -> None: ...


def open_pipeline(landmarker: Landmarker | None, faces: int) -> Pipeline:
    config = PipelineConfig(
        device="cpu" if landmarker is None else "cuda:0",
        guard=GuardConfig(mode="blur"),
        mark=MarkConfig(badge=False),
    )
    tracks = [
        [
            face_track(scale=7.0, yaw_deg=4.0 * n, centre=(140.0 + 3 * n, 180.0), track_id=1),
            face_track(scale=6.0, centre=(300.0, 190.0 + n), track_id=2),
        ][:faces]
        for n in range(4)
    ]
    tracker = LookingTracker(landmarker or Landmarker(), tracks)
    pipeline = Pipeline(
        config,
        tracker=tracker,
        swapper=MeshSwapper(config),
        compositor=Compositor(),
        guard=Guard(config.guard, draw_slate),
        marker=Marker(config.mark),
    )
    pipeline.set_persona(persona(), wait=True)
    return pipeline


def play(pipeline: Pipeline) -> list[Outcome]:
    return [pipeline.process(frame_of(picture(n).copy(), n)) for n in range(4)]


@pytest.mark.parametrize("faces", [1, 2])
def test_pixels_go_up_once_for_landmarks_and_drawing(
    landmarker: Landmarker, machine: Machine, faces: int
) -> None:
    with open_pipeline(None, faces) as on_cpu, open_pipeline(landmarker, faces) as on_gpu:
        for one, other in zip(play(on_cpu), play(on_gpu), strict=True):
            assert one.swapped == other.swapped == faces
            assert np.array_equal(one.frame.bgr, other.frame.bgr)
        shared = landmarker.on_gpu.shared  # type: ignore[union-attr]
        # With two, the pixels of the face that was looked at last are there; but the first one
        # is painted before it is drawn, so that they are sent again.
        assert shared.taken == (4 if faces == 1 else 0)
        if faces == 1:
            path: Any = on_gpu._swapper._placement.draw._path  # type: ignore[attr-defined]
            path._up.nbytes = 0  # what was sent while nothing was shared is forgotten
            play(on_gpu)
            assert path.bytes_moved[0] < 160 * 1024  # lists, arguments, eyes, a mouth that opens
            machine.cuda.trace.clear()
            play(on_gpu)
            assert [call for call, _ in machine.cuda.trace if call != "event"] == ["wait"] * 8


def test_pixels_of_another_frame_or_another_part_are_not_taken(landmarker: Landmarker) -> None:
    frame = picture()
    roi = Roi(x=240.0, y=180.0, side=180.0, angle_rad=0.0)
    shared = landmarker.on_gpu.shared  # type: ignore[union-attr]
    landmarker.locate(frame, roi)
    assert shared.take(frame.copy(), (200, 150, 210, 160)) is None
    assert shared.take(frame, (0, 0, 10, 10)) is None
    landmarker.locate(frame, roi)
    found = shared.take(frame, (200, 150, 210, 160))
    assert found is not None
    assert (found[0].height, found[0].width) == SIZE
    assert found[1] == []
    assert shared.take(frame, (200, 150, 210, 160)) is None  # painted by now


def test_what_the_host_has_painted_since_is_sent_anew(landmarker: Landmarker) -> None:
    frame, other = picture(), picture(1)
    roi = Roi(x=240.0, y=180.0, side=180.0, angle_rad=0.0)
    shared = landmarker.on_gpu.shared  # type: ignore[union-attr]
    box, window = (210, 150, 220, 158), (200, 150, 230, 170)
    for mends, boxes, taken in ((4, [box], True), (4, [box] * 5, False), (0, [box], False)):
        landmarker.locate(frame, roi)
        shared.touch(other, [(0, 0, 9, 9)] * 9)  # of no concern here
        shared.touch(frame, boxes)
        found = shared.take(frame, window, mends)
        assert (found is not None) == taken
        assert found is None or found[1] == boxes
    landmarker.locate(frame, roi)
    shared.touch(frame, [(0, 0, 9, 9)])  # outside of what was sent
    assert shared.take(frame, window, 4) is None
