"""An engine as a piece of somebody's stream: what may be recorded, and what is found out."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.errors import DeviceError
from mien.inference import EngineCache
from mien.inference.cuda_driver import CudaDriver
from mien.inference.tensorrt import TensorRTRunner
from mien.inference.tensorrt_stage import EngineStage
from tests.inference.conftest import Machine
from tests.inference.fakes.cuda import FakeAllocation, FakeStream
from tests.swappers.tiny_live import LAYERS, SIZE, write_live

LATENT = 256


@pytest.fixture(scope="module")
def onnx_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_live(tmp_path_factory.mktemp("live")).encoder


def open_stage(path: Path, folder: Path) -> EngineStage:
    return EngineStage(TensorRTRunner(path, cache=EngineCache(folder), graph=False))


def memory(stage: EngineStage, name: str) -> Any:
    about = stage.arrays[name].__cuda_array_interface__
    size = int(np.prod(about["shape"]))
    buffer = (ctypes.c_float * size).from_address(about["data"][0])
    return np.frombuffer(buffer, np.float32).reshape(about["shape"])


def test_a_pass_runs_where_the_caller_says_over_memory_that_stays(
    machine: Machine, onnx_path: Path, tmp_path: Path
) -> None:
    driver, stream = CudaDriver(machine.libcuda), FakeStream()
    stage = open_stage(onnx_path, tmp_path)
    assert stage.refusal == ""
    addresses = {n: a.__cuda_array_interface__["data"][0] for n, a in stage.arrays.items()}
    rng = np.random.default_rng(1)
    copies, waits = len(machine.cuda.copies), [s.synchronized for s in streams()]
    driver.begin_capture(stream.handle)
    stage.queue(stream)
    graph = driver.instantiate(driver.end_capture(stream.handle))
    for _ in range(3):
        memory(stage, "condition")[:] = 0.0
        memory(stage, "latent")[:] = rng.random((1, LATENT), np.float32)
        driver.launch(graph, stream.handle)
        np.testing.assert_array_equal(memory(stage, "w"), memory(stage, "latent"))
    assert len(machine.cuda.copies) == copies
    assert [s.synchronized for s in streams()] == waits
    assert addresses == {n: a.__cuda_array_interface__["data"][0] for n, a in stage.arrays.items()}
    driver.destroy(graph)
    stage.close()
    stage.close()
    assert not FakeAllocation.live


def streams() -> list[FakeStream]:
    return list(FakeStream.by_handle.values())


def test_the_first_pass_is_never_recorded(
    machine: Machine, onnx_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    execute = machine.trt.IExecutionContext.execute_async_v3  # type: ignore[attr-defined]

    def watched(self: Any, handle: int) -> bool:
        seen.append(FakeStream.by_handle[handle].recording is not None)
        return bool(execute(self, handle))

    monkeypatch.setattr(machine.trt.IExecutionContext, "execute_async_v3", watched)
    open_stage(onnx_path, tmp_path).close()
    assert seen == [False, False, True]


def test_an_engine_that_decides_on_the_host_is_found_out(
    machine: Machine, onnx_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it launches hangs on numbers that it reads when it is queued."""
    kind: Any = machine.trt.IExecutionContext  # type: ignore[attr-defined]

    def decides(self: Any, handle: int) -> bool:
        name = "latent"
        value = np.frombuffer((ctypes.c_float * LATENT).from_address(self._addresses[name]), "f4")
        scale = 1.0 + 100.0 * float(value[0] % 1.0)

        def work() -> None:
            self._compute()
            out = (ctypes.c_float * LATENT).from_address(self._addresses["w"])
            np.frombuffer(out, np.float32)[:] *= np.float32(scale)

        FakeStream.by_handle[handle].submit(work)
        return True

    monkeypatch.setattr(kind, "execute_async_v3", decides)
    stage = open_stage(onnx_path, tmp_path)
    assert stage.refusal == "a recording of it gives other numbers for w"
    stream = FakeStream()
    memory(stage, "latent")[:] = 0.5
    stage.queue(stream)  # it runs all the same
    assert np.isfinite(memory(stage, "w")).all()
    stage.close()


@pytest.mark.parametrize("fault", ["capture", "empty"])
def test_an_engine_that_cannot_be_recorded_says_so(
    machine: Machine,
    onnx_path: Path,
    tmp_path: Path,
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if fault == "capture":
        machine.libcuda.fails.add("cuStreamEndCapture")
        said = "cuStreamEndCapture failed"
    else:  # the wrong device was current: TensorRT records nothing, and says nothing
        monkeypatch.setattr(
            type(machine.libcuda),
            "_cuGraphGetNodes",
            lambda self, graph, nodes, count: setattr(count._obj, "value", 0),
        )
        said = "could not be recorded"
    stage = open_stage(onnx_path, tmp_path)
    assert said in stage.refusal
    assert not machine.libcuda.executables
    for stream in streams():  # the driver has ended the broken recording
        stream.recording = None
    got = stage.run(
        {"condition": np.zeros(stage.inputs["condition"].shape, np.float32),
         "latent": np.full((1, LATENT), 0.25, np.float32)}
    )  # fmt: skip
    assert (got["w"] == 0.25).all()
    stage.close()


def test_a_pass_that_tensorrt_refuses_is_an_error_with_its_words(
    machine: Machine, tmp_path: Path, onnx_path: Path
) -> None:
    stage = open_stage(onnx_path.with_name("generator.onnx"), tmp_path)
    assert stage.outputs["image"].shape == (1, 4, SIZE, SIZE)
    assert stage.inputs["ws"].shape == (1, LAYERS, LATENT)
    machine.state.refuse_execution = True
    with pytest.raises(DeviceError, match="device memory is exhausted"):
        stage.queue(FakeStream())
    machine.state.refuse_execution = False
    stage.close()
