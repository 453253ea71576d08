"""Networks of perception on a GPU that is played: the CPU's numbers, and what becomes of faults."""

from __future__ import annotations

import logging
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.errors import DeviceError, MissingError, ModelError
from mien.inference import TensorSpec, cuda_driver
from mien.inference.runner import RunnerBase
from mien.perception import _engines
from mien.perception._engines import DeviceNetworks, EngineNetwork, networks_for
from mien.perception._session import Network
from mien.perception.tracker import FaceTracker
from tests.inference.fakes import tensorrt as fake_tensorrt
from tests.inference.fakes.cuda import FakeLibcuda, FakePycuda

LANDMARKS, DESCRIPTOR = "face_landmark_with_attention", "dlib_face128"


class PlayedRunner(RunnerBase):
    """A runner that is the CPU's network; ``skew`` is added to what it gives."""

    name, device, reason = "tensorrt", "cuda:0 (Played)", ""

    def __init__(self, model: str, skew: float = 0.0) -> None:
        self._network = Network(model)
        self.skew = skew
        self.fail: Exception | None = None
        self.closed = False
        self.runs = 0
        self.inputs = {"input": TensorSpec("input", self._network.input.shape, "float32")}
        self.outputs = {name: TensorSpec(name, (1,), "float32") for name in self._network.names}

    def run(self, inputs: Mapping[str, Any], *, to_host: bool = True) -> dict[str, Any]:
        if self.fail is not None:
            raise self.fail
        self.runs += 1
        self._network.input[:] = inputs["input"]
        outputs = self._network.run()
        return dict(zip(self._network.names, (one + self.skew for one in outputs), strict=True))

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def picture() -> Any:
    return np.random.default_rng(1).random((1, 3, 192, 192)).astype(np.float32)


def test_an_engine_gives_the_cpus_numbers_in_the_cpus_order(picture: Any) -> None:
    networks = DeviceNetworks("cuda:0", PlayedRunner)
    network, cpu = networks(LANDMARKS, 1), Network(LANDMARKS)
    assert isinstance(network, EngineNetwork)
    network.input[:] = cpu.input[:] = picture
    for one, other in zip(network.run(), cpu.run(), strict=True):
        assert np.array_equal(one, other)
    assert networks.where == [f"{LANDMARKS} run on cuda:0 (Played) with TensorRT"]
    network.close()
    assert network._runner.closed  # type: ignore[attr-defined]
    cpu.close()


def test_a_run_that_fails_is_repeated_on_the_cpu_and_said_once(
    picture: Any, caplog: pytest.LogCaptureFixture
) -> None:
    network, cpu = DeviceNetworks("cuda:0", PlayedRunner)(LANDMARKS, 1), Network(LANDMARKS)
    assert isinstance(network, EngineNetwork)
    runner: Any = network._runner
    runner.fail = RuntimeError("cuMemcpyHtoDAsync failed: an illegal memory access")
    network.input[:] = cpu.input[:] = picture
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            for one, other in zip(network.run(), cpu.run(), strict=True):
                assert np.array_equal(one, other)
    assert caplog.text.count("runs on the CPU from now on") == 1
    assert "illegal memory access" in network.lost


@pytest.mark.parametrize("skew", [5.0, float("nan")])
def test_an_engine_that_gives_other_numbers_is_not_taken(skew: float) -> None:
    made: list[PlayedRunner] = []

    def skewed(name: str) -> PlayedRunner:
        made.append(PlayedRunner(name, skew))
        return made[-1]

    networks = DeviceNetworks("cuda:0", skewed)
    assert isinstance(networks(LANDMARKS, 1), Network)
    assert networks.where == [
        f"{LANDMARKS} run on the CPU: TensorRT gives other numbers than the CPU"
    ]
    assert made[0].closed


def test_a_gpu_that_lacks_something_leaves_the_cpu_with_a_reason() -> None:
    def missing(name: str) -> Any:
        raise MissingError("TensorRT is not installed", 'pip install "mien[gpu]"')

    networks = DeviceNetworks("cuda:0", missing)
    assert isinstance(networks(LANDMARKS, 1), Network)
    assert isinstance(networks(DESCRIPTOR, 1), Network)
    assert networks.where == [
        f"{DESCRIPTOR}, {LANDMARKS} run on the CPU: TensorRT is not installed"
    ]


def test_auto_takes_the_quicker(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([2.0, 1.0, 1.0, 2.0])
    monkeypatch.setattr(_engines, "_timed", lambda run: (next(times), run()))
    networks = DeviceNetworks("auto", PlayedRunner)
    assert isinstance(networks(LANDMARKS, 1), Network)
    assert isinstance(networks(DESCRIPTOR, 1), EngineNetwork)
    assert networks.where == [
        f"{DESCRIPTOR} run on cuda:0 (Played) with TensorRT",
        f"{LANDMARKS} run on the CPU: quicker there, 1.00 ms a run and 2.00 ms on the GPU",
    ]


def test_without_a_driver_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Any:
        raise DeviceError("there is no NVIDIA driver on this machine")

    monkeypatch.setattr("mien.inference.cuda_driver.load_driver", none)
    assert networks_for("auto") is Network
    assert networks_for("cuda:0") is Network
    assert FaceTracker(device="auto").where == []


class Machine:
    def __init__(self, folder: Path) -> None:
        self.trt = fake_tensorrt.make_module("10.13.0.35")
        self.state = fake_tensorrt.STATE
        self.cuda, self.libcuda = FakePycuda(), FakeLibcuda()
        self.folder = folder


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """TensorRT, PyCUDA and libcuda, all played."""
    made = Machine(tmp_path)
    package = types.ModuleType("pycuda")
    package.driver = made.cuda  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorrt", made.trt)
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", made.cuda)  # type: ignore[arg-type]
    driver = cuda_driver.CudaDriver(made.libcuda)
    monkeypatch.setattr("mien.inference.tensorrt.load_driver", lambda: driver)
    monkeypatch.setattr("mien.inference.cuda_driver.load_driver", lambda: driver)
    monkeypatch.setattr(_engines, "cache_folder", lambda: tmp_path)
    return made


def test_tensorrt_engines_are_strict_built_once_and_find_the_same_numbers(
    machine: Machine,
) -> None:
    rng = np.random.default_rng(2)
    for _ in range(2):  # the second start finds them built
        networks = networks_for("cuda:0")
        assert isinstance(networks, DeviceNetworks)
        for name in (LANDMARKS, DESCRIPTOR):  # the batch of the second is free
            network, cpu = networks(name, 1), Network(name)
            assert isinstance(network, EngineNetwork)
            assert network.input.shape[0] == 1
            network.input[:] = cpu.input[:] = rng.random(cpu.input.shape, np.float32)
            bound = _engines._HALF_TOLERANCE[name]
            for one, other in zip(network.run(), cpu.run(), strict=True):
                assert 0.0 < np.abs(one - other).max() < bound
            network.close()
        assert networks.where[1] == f"{DESCRIPTOR}, {LANDMARKS} run in half precision"
    assert machine.state.builds == 2
    assert machine.state.config is not None
    assert machine.state.config._cleared == {machine.trt.BuilderFlag.TF32}
    assert len(list(machine.folder.glob("engines/*strict*.engine"))) == 2


def test_auto_builds_nothing(machine: Machine) -> None:
    networks = networks_for("auto")
    assert isinstance(networks, DeviceNetworks)
    assert isinstance(networks(DESCRIPTOR, 1), Network)
    assert machine.state.builds == 0
    [line] = networks.where
    assert "none was built yet" in line


def test_a_model_that_tensorrt_cannot_read_runs_on_the_cpu(machine: Machine) -> None:
    machine.state.refuse_parse = True
    networks = networks_for("cuda:0")
    assert isinstance(networks, DeviceNetworks)
    assert isinstance(networks(DESCRIPTOR, 1), Network)
    [line] = networks.where
    assert "TensorRT cannot read dlib_face128.onnx" in line


def test_a_corrupt_model_is_an_error_everywhere(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def corrupt(name: str) -> bytes:
        raise ModelError(f"model {name!r} is corrupt")

    monkeypatch.setattr("mien.perception._session.model_bytes", corrupt)
    networks = networks_for("cuda:0")
    with pytest.raises(ModelError, match="is corrupt"):
        networks(DESCRIPTOR, 1)


def test_half_precision_that_gives_other_numbers_gives_way_to_single() -> None:
    made: list[PlayedRunner] = []

    def half(name: str) -> PlayedRunner:
        made.append(PlayedRunner(name, skew=0.31))
        return made[-1]

    networks = DeviceNetworks("cuda:0", PlayedRunner, half)
    network = networks(LANDMARKS, 1)
    assert isinstance(network, EngineNetwork)
    assert made[0].closed
    assert network.runner is not made[0]
    assert networks.where == [f"{LANDMARKS} run on cuda:0 (Played) with TensorRT"]
    near = DeviceNetworks("cuda:0", PlayedRunner, lambda name: PlayedRunner(name, skew=0.29))
    assert isinstance(near(LANDMARKS, 1), EngineNetwork)
    assert near.where[1] == f"{LANDMARKS} run in half precision"


def test_without_the_package_onnx_single_precision_is_taken(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)  # type: ignore[arg-type]
    networks = networks_for("cuda:0")
    assert isinstance(networks(DESCRIPTOR, 1), EngineNetwork)
    assert isinstance(networks, DeviceNetworks)
    assert networks.where == [f"{DESCRIPTOR} run on cuda:0 (Fake H100) with TensorRT"]
