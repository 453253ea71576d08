"""The ONNX Runtime runner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.errors import DeviceError, ModelError
from mien.inference.onnxruntime import OnnxRuntimeRunner
from mien.inference.runner import Runner

onnx = pytest.importorskip("onnx", reason="onnx is not installed")


def test_it_draws_the_picture(onnx_file: Path, inputs: dict[str, Any], expected: Any) -> None:
    with OnnxRuntimeRunner(onnx_file, threads=1) as runner:
        assert isinstance(runner, Runner)
        assert runner.device == "cpu"
        runner.warm_up(1)
        picture = runner.run(inputs)["image"]
        np.testing.assert_allclose(picture, expected, atol=5e-5)


def test_outputs_live_in_one_buffer(onnx_file: Path, inputs: dict[str, Any]) -> None:
    with OnnxRuntimeRunner(onnx_file, threads=1) as runner:
        first = runner.run(inputs)["image"]
        kept = first.copy()
        other = runner.run({**inputs, "ws": -inputs["ws"]})["image"]
        assert other is first, "the next call overwrites it"
        assert np.abs(other - kept).max() > 0.01


def test_inputs_that_are_not_packed_are_copied(onnx_file: Path, inputs: dict[str, Any]) -> None:
    spread = np.repeat(inputs["ws"], 2, axis=2)[:, :, ::2]
    assert not spread.flags["C_CONTIGUOUS"]
    with OnnxRuntimeRunner(onnx_file, threads=1) as runner:
        wanted = runner.run(inputs)["image"].copy()
        np.testing.assert_array_equal(runner.run({**inputs, "ws": spread})["image"], wanted)


def test_wrong_inputs_are_named(onnx_file: Path, inputs: dict[str, Any]) -> None:
    with OnnxRuntimeRunner(onnx_file) as runner:
        with pytest.raises(ValueError, match=r"expected the inputs ws, transform; got ws"):
            runner.run({"ws": inputs["ws"]})
        with pytest.raises(ValueError, match=r"expected ws .* float32, got .* float64"):
            runner.run({**inputs, "ws": inputs["ws"].astype(np.float64)})
    with pytest.raises(RuntimeError, match="closed"):
        runner.run(inputs)
    runner.close()


def test_bad_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no ONNX file"):
        OnnxRuntimeRunner(tmp_path / "none.onnx")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"\x08\x07garbage")
    with pytest.raises(ModelError, match=r"cannot load broken\.onnx"):
        OnnxRuntimeRunner(broken)


def write_identity(path: Path, shape: list[Any], kind: int) -> Path:
    from onnx import helper

    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "identity",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def test_sizes_that_are_not_fixed_are_refused(tmp_path: Path) -> None:
    path = write_identity(tmp_path / "open.onnx", ["n", 3], onnx.TensorProto.FLOAT)
    with pytest.raises(ModelError, match="every size must be fixed"):
        OnnxRuntimeRunner(path)


def test_types_that_cannot_be_handed_over_are_refused(tmp_path: Path) -> None:
    path = write_identity(tmp_path / "text.onnx", [3], onnx.TensorProto.STRING)
    with pytest.raises(ModelError, match="cannot hand over"):
        OnnxRuntimeRunner(path)


def test_cuda_is_refused_where_the_build_has_none(onnx_file: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(DeviceError, match="no CUDA provider") as caught:
        OnnxRuntimeRunner(onnx_file, device="cuda")
    assert "onnxruntime-gpu" in caught.value.hint


def test_a_silent_fallback_to_the_cpu_is_an_error(
    onnx_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    real = onnxruntime.InferenceSession

    def only_cpu(model: Any, options: Any, providers: Any) -> Any:
        assert providers[0][0] == "CUDAExecutionProvider"
        return real(model, options, providers=["CPUExecutionProvider"])  # as it does, warning aside

    offered = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: offered)
    monkeypatch.setattr(onnxruntime, "InferenceSession", only_cpu)
    with pytest.raises(DeviceError, match="offered CPUExecutionProvider instead"):
        OnnxRuntimeRunner(onnx_file, device="cuda")


def test_polygraphy_finds_nothing_wrong(onnx_file: Path) -> None:
    backend = pytest.importorskip("polygraphy.backend.onnx", reason="polygraphy is not installed")
    graph = backend.onnx_from_path(str(onnx_file))
    operators = {node.op_type for node in graph.graph.node}
    # Runtime weights and scattered writes are what makes TensorRT slow or unable.
    assert not operators & {"ScatterElements", "ScatterND", "Loop", "If", "NonZero"}
    constants = {tensor.name for tensor in graph.graph.initializer}
    for node in graph.graph.node:
        if node.op_type in ("Conv", "ConvTranspose"):
            assert node.input[1] in constants, node.name
