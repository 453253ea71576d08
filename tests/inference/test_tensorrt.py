"""The TensorRT runner on a machine that is made of fakes: every branch around the real thing."""

from __future__ import annotations

import ctypes
import sys
import types
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.errors import DeviceError, MissingError, ModelError
from mien.inference import EngineCache
from mien.inference.cuda_driver import CudaDriver
from mien.inference.tensorrt import TensorRTRunner
from tests.inference.conftest import Machine
from tests.inference.fakes.cuda import DeviceTensor, FakeAllocation, FakeContext, FakeStream

TOLERANCE = 5e-5  # the export's own, in ONNX Runtime


def open_runner(path: Path, folder: Path, **settings: Any) -> TensorRTRunner:
    return TensorRTRunner(path, cache=EngineCache(folder), **settings)


def test_it_draws_the_picture_and_replays_a_graph_from_the_second_run_on(
    machine: Machine, onnx_file: Path, tmp_path: Path, inputs: dict[str, Any], expected: Any
) -> None:
    with open_runner(onnx_file, tmp_path) as runner:
        assert runner.device == "cuda:0 (Fake H100)"
        for _ in range(3):
            picture = runner.run(inputs)["image"]
            np.testing.assert_allclose(picture, expected, atol=TOLERANCE)
        assert runner.uses_graph
        assert machine.libcuda.launches == 2
        other = {**inputs, "ws": inputs["ws"] * 0.5}
        assert np.abs(runner.run(other)["image"] - expected).max() > 0.01
        assert FakeContext.depth == 0, "every push of the context has its pop"
    assert not FakeAllocation.live
    assert not machine.libcuda.executables
    assert not machine.libcuda.graphs
    assert FakeContext.detached == 1


def test_a_pass_is_recorded_beside_other_work_on_the_same_stream(
    machine: Machine, onnx_file: Path, tmp_path: Path, inputs: dict[str, Any], expected: Any
) -> None:
    driver, stream = CudaDriver(machine.libcuda), FakeStream()
    with open_runner(onnx_file, tmp_path) as runner:
        runner.run({**inputs, "ws": inputs["ws"] * 0})  # settles what TensorRT does lazily
        arrays = runner.arrays
        assert set(arrays) == {"ws", "transform", "image"}

        def memory(name: str) -> Any:
            about = arrays[name].__cuda_array_interface__
            size = int(np.prod(about["shape"]))
            buffer = (ctypes.c_float * size).from_address(about["data"][0])
            return np.frombuffer(buffer, np.float32).reshape(about["shape"])

        driver.begin_capture(stream.handle)
        for name, value in inputs.items():  # as a kernel that makes the crop would
            stream.submit(partial(np.copyto, memory(name), value))
        runner.enqueue(stream.handle)
        graph = driver.instantiate(driver.end_capture(stream.handle))
        before = memory("image").copy()
        computed = machine.state.computed
        assert np.abs(before - expected).max() > 0.01
        driver.launch(graph, stream.handle)
        np.testing.assert_allclose(memory("image"), expected, atol=TOLERANCE)
        assert machine.state.computed == computed + 1
        assert stream.synchronized == 0
        machine.state.refuse_execution = True
        with pytest.raises(DeviceError, match="device memory is exhausted"):
            runner.enqueue(stream.handle)
        driver.destroy(graph)


def test_the_network_is_strongly_typed(machine: Machine, onnx_file: Path, tmp_path: Path) -> None:
    open_runner(onnx_file, tmp_path, level=5).close()
    assert machine.state.network_flags == 1 << 1
    assert machine.state.config is not None
    assert machine.state.config.builder_optimization_level == 5


def test_the_second_start_takes_the_cached_engine(
    machine: Machine, onnx_file: Path, tmp_path: Path
) -> None:
    with open_runner(onnx_file, tmp_path) as first:
        assert "none was built yet" in first.built
    with open_runner(onnx_file, tmp_path, build=False) as second:
        assert second.built == ""
    assert machine.state.builds == 1


@pytest.mark.parametrize("change", ["gpu", "capability", "version", "precision", "level"])
def test_another_gpu_version_or_setting_gets_its_own_engine(
    machine: Machine, onnx_file: Path, tmp_path: Path, change: str
) -> None:
    open_runner(onnx_file, tmp_path).close()
    settings: dict[str, Any] = {}
    if change == "gpu":
        machine.cuda.devices = ["Fake A10"]
    elif change == "capability":
        machine.cuda.capability = (8, 6)
    elif change == "version":
        machine.trt.__version__ = "10.14.1"  # type: ignore[attr-defined]
    elif change == "precision":
        settings["precision"] = "fp16"
    else:
        settings["level"] = 1
    open_runner(onnx_file, tmp_path, **settings).close()
    assert machine.state.builds == 2
    assert len(list(tmp_path.glob("*.engine"))) == 2


@pytest.mark.parametrize("fault", ["cut", "flipped", "foreign", "empty"])
def test_a_damaged_engine_is_rebuilt_and_said_so(
    machine: Machine,
    onnx_file: Path,
    tmp_path: Path,
    fault: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with open_runner(onnx_file, tmp_path) as runner:
        path = runner.engine_path
    data = bytearray(path.read_bytes())
    if fault == "cut":
        data = data[: len(data) // 2]
    elif fault == "flipped":
        data[-9] ^= 4
    elif fault == "foreign":
        data = bytearray(b"\x7fELF" + bytes(100))
    else:
        data = bytearray()
    path.write_bytes(data)
    with open_runner(onnx_file, tmp_path) as again:
        assert path.name in again.built
    assert machine.state.builds == 2
    assert "takes minutes" in caplog.text
    with open_runner(onnx_file, tmp_path, build=False):
        pass


def test_an_engine_that_tensorrt_refuses_is_rebuilt(
    machine: Machine, onnx_file: Path, tmp_path: Path
) -> None:
    open_runner(onnx_file, tmp_path).close()
    machine.state.refuse_engines = 1
    with open_runner(onnx_file, tmp_path) as runner:
        assert "version tag does not match" in runner.built


def test_without_leave_to_build_the_error_names_the_command(
    machine: Machine, onnx_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="no TensorRT engine") as caught:
        open_runner(onnx_file, tmp_path, build=False)
    assert "mien build" in caught.value.hint
    assert FakeContext.depth == 0
    assert FakeContext.detached == 1


def test_progress_is_told_step_by_step(machine: Machine, onnx_file: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    open_runner(onnx_file, tmp_path, progress=lambda *step: told.append(step)).close()
    assert told[0] == ("Building Engine", 0, 2)
    assert [step for step in told if step[0] == "Tactic Selection"] == [
        ("Tactic Selection", done, 3) for done in (0, 1, 2, 3, 3)
    ]


def test_an_interrupt_during_a_build_stops_it_and_comes_out(
    machine: Machine, onnx_file: Path, tmp_path: Path
) -> None:
    def interrupt(phase: str, done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_runner(onnx_file, tmp_path, progress=interrupt)
    assert not list(tmp_path.glob("*.engine"))
    assert FakeContext.depth == 0


def test_measured_kernel_times_are_kept_and_foreign_ones_dropped(
    machine: Machine, onnx_file: Path, tmp_path: Path
) -> None:
    open_runner(onnx_file, tmp_path).close()
    (times,) = tmp_path.glob("timing-*.cache")
    assert times.read_bytes() == b"|measured"
    open_runner(onnx_file, tmp_path, level=2).close()
    assert times.read_bytes() == b"|measured|measured"
    times.write_bytes(b"foreign")
    open_runner(onnx_file, tmp_path, level=4).close()
    assert times.read_bytes() == b"|measured"


def test_what_tensorrt_says_is_in_the_error(
    machine: Machine, onnx_file: Path, tmp_path: Path
) -> None:
    machine.state.refuse_parse = True
    with pytest.raises(ModelError, match="no importer for operator Fake"):
        open_runner(onnx_file, tmp_path)
    machine.state.refuse_parse, machine.state.refuse_build = False, True
    with pytest.raises(ModelError, match="could not find any implementation for node 7"):
        open_runner(onnx_file, tmp_path)
    machine.state.refuse_build, machine.state.refuse_context = False, True
    with pytest.raises(DeviceError, match="execution context"):
        open_runner(onnx_file, tmp_path)
    machine.state.refuse_context, machine.state.refuse_execution = False, True
    with (
        open_runner(onnx_file, tmp_path) as runner,
        pytest.raises(DeviceError, match="device memory is exhausted"),
    ):
        runner.warm_up()
    assert FakeContext.depth == 0
    assert not FakeAllocation.live


def test_an_engine_that_fails_right_after_its_build_is_an_error(
    machine: Machine, onnx_file: Path, tmp_path: Path
) -> None:
    machine.state.refuse_engines = 1
    with pytest.raises(ModelError, match="just built"):
        open_runner(onnx_file, tmp_path)


@pytest.mark.parametrize(
    "call", ["cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags"]
)
def test_without_a_graph_it_runs_kernel_by_kernel(
    machine: Machine,
    onnx_file: Path,
    tmp_path: Path,
    inputs: dict[str, Any],
    expected: Any,
    call: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    machine.libcuda.fails.add(call)
    with open_runner(onnx_file, tmp_path) as runner:
        runner.run(inputs)
        if call == "cuStreamEndCapture":  # a real driver ends the capture even if it fails
            runner._stream.recording = None
        picture = runner.run(inputs)["image"]
        np.testing.assert_allclose(picture, expected, atol=TOLERANCE)
        assert not runner.uses_graph
        assert machine.libcuda.launches == 0
    assert caplog.text.count("no CUDA graph") == 1


def test_graphs_can_be_left_out(
    machine: Machine, onnx_file: Path, tmp_path: Path, inputs: dict[str, Any]
) -> None:
    with open_runner(onnx_file, tmp_path, graph=False) as runner:
        runner.run(inputs)
        runner.run(inputs)
        assert machine.state.executions == 2
        assert not runner.uses_graph


def test_device_arrays_go_in_and_out_without_the_host(
    machine: Machine, onnx_file: Path, tmp_path: Path, inputs: dict[str, Any], expected: Any
) -> None:
    with open_runner(onnx_file, tmp_path) as runner:
        runner.warm_up()
        machine.cuda.copies.clear()
        given = {"ws": DeviceTensor(inputs["ws"], stream=77), "transform": inputs["transform"]}
        output = runner.run(given, to_host=False)["image"]
        assert machine.cuda.copies == ["dtod", "htod"]
        assert machine.libcuda.waits == [(runner._stream.handle, 77)], "waits for the writer"
        interface = output.__cuda_array_interface__
        assert interface["shape"] == expected.shape
        assert interface["typestr"] == "<f4"
        assert interface["stream"] is None
        assert interface["data"][0] == int(runner._device["image"])


def test_wrong_inputs_are_refused_before_anything_runs(
    machine: Machine, onnx_file: Path, tmp_path: Path, inputs: dict[str, Any]
) -> None:
    with open_runner(onnx_file, tmp_path) as runner:
        with pytest.raises(ValueError, match="expected the inputs"):
            runner.run({"ws": inputs["ws"]})
        with pytest.raises(ValueError, match="expected transform"):
            runner.run({**inputs, "transform": inputs["transform"].astype(np.float64)})
        with pytest.raises(ValueError, match="expected ws"):
            runner.run({**inputs, "ws": DeviceTensor(inputs["ws"][:, :2])})
        crooked = DeviceTensor(inputs["ws"])
        crooked.strides = (4, 4, 4)
        with pytest.raises(ValueError, match="not packed"):
            runner.run({**inputs, "ws": crooked})
        with pytest.raises(TypeError, match="NumPy array"):
            runner.run({**inputs, "ws": [1.0]})
        assert machine.state.executions == 0
        assert FakeContext.depth == 0
    with pytest.raises(RuntimeError, match="closed"):
        runner.run(inputs)
    runner.close()


def test_a_missing_onnx_file_or_device_is_named(
    machine: Machine, onnx_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"no ONNX file"):
        open_runner(tmp_path / "none.onnx", tmp_path)
    with pytest.raises(DeviceError, match="no CUDA device 3"):
        open_runner(onnx_file, tmp_path, device_index=3)


def test_a_machine_without_the_driver_or_a_gpu_says_which(
    machine: Machine, onnx_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.cuda.devices = []
    with pytest.raises(DeviceError, match="no CUDA device"):
        open_runner(onnx_file, tmp_path)
    machine.cuda.init_error = RuntimeError("cuInit failed: no CUDA-capable device is detected")
    with pytest.raises(DeviceError, match="no CUDA-capable device"):
        open_runner(onnx_file, tmp_path)
    # None in sys.modules makes the import fail.
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)  # type: ignore[arg-type]
    monkeypatch.delattr(sys.modules["pycuda"], "driver")
    with pytest.raises(DeviceError, match="PyCUDA cannot be imported") as caught:
        open_runner(onnx_file, tmp_path)
    assert "mien[gpu]" in caught.value.hint


def test_a_missing_stubbed_or_old_tensorrt_is_named(
    machine: Machine, onnx_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.trt.__version__ = "8.6.1"  # type: ignore[attr-defined]
    with pytest.raises(MissingError, match="too old"):
        open_runner(onnx_file, tmp_path)
    # A folder of type stubs imports as a module with nothing in it.
    monkeypatch.setitem(sys.modules, "tensorrt", types.ModuleType("tensorrt"))
    with pytest.raises(MissingError, match="not installed"):
        open_runner(onnx_file, tmp_path)
    monkeypatch.setitem(sys.modules, "tensorrt", None)  # type: ignore[arg-type]
    with pytest.raises(MissingError, match="cannot be imported") as caught:
        open_runner(onnx_file, tmp_path)
    assert caught.value.exit_code == 4
