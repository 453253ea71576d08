"""Which runner is taken, and what is said about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.errors import DeviceError, MissingError, ModelError, UsageError
from mien.inference import GeneratorModel, OnnxModel, RunnerOptions, as_model, choose, make_runner
from mien.inference.tensorrt import TensorRTRunner
from tests.inference.conftest import Machine

pytest.importorskip("torch", reason="PyTorch is not installed")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No way to CUDA, whatever the machine has."""

    def refuse(kind: type[Exception], text: str) -> Any:
        def fail(*_: object) -> None:
            raise kind(text)

        return fail

    monkeypatch.setitem(choose._MAKERS, "tensorrt", refuse(MissingError, "no TensorRT here"))
    for name in ("torch", "onnxruntime"):
        real = choose._MAKERS[name]

        def make(model: Any, device: Any, *rest: Any, real: Any = real, name: str = name) -> Any:
            if device == "cuda":
                raise DeviceError(f"{name} finds no CUDA device")
            return real(model, device, *rest)

        monkeypatch.setitem(choose._MAKERS, name, make)


@pytest.mark.usefixtures("bare")
def test_auto_says_what_it_chose_and_what_it_passed_over(
    model: GeneratorModel, inputs: dict[str, Any], expected: Any, tmp_path: Path
) -> None:
    options = RunnerOptions(threads=1, folder=tmp_path)
    with make_runner(model, options=options) as runner:
        assert runner.name == "onnxruntime"
        assert runner.device == "cpu"
        assert runner.reason == (
            "onnxruntime on the CPU is the first that works here; passed over "
            "tensorrt on CUDA: no TensorRT here; torch on CUDA: torch finds no CUDA device; "
            "onnxruntime on CUDA: onnxruntime finds no CUDA device"
        )
        np.testing.assert_allclose(runner.run(inputs)["image"], expected, atol=5e-5)


@pytest.mark.usefixtures("bare")
def test_cuda_is_never_replaced_by_the_cpu(model: GeneratorModel) -> None:
    with pytest.raises(MissingError) as caught:
        make_runner(model, device="cuda")
    for reason in ("no TensorRT here", "torch finds no CUDA", "onnxruntime finds no CUDA"):
        assert reason in caught.value.what


@pytest.mark.usefixtures("bare")
def test_the_one_that_was_asked_for_gives_its_own_error(model: GeneratorModel) -> None:
    with pytest.raises(MissingError, match=r"^no TensorRT here$"):
        make_runner(model, "tensorrt")


def test_torch_can_be_asked_for(
    model: GeneratorModel, inputs: dict[str, Any], expected: Any
) -> None:
    with make_runner(model, "torch", device="cpu", options=RunnerOptions(threads=1)) as runner:
        assert runner.reason == "torch on the CPU was asked for"
        np.testing.assert_allclose(runner.run(inputs)["image"], expected, atol=2e-5)


def test_tensorrt_comes_first_where_it_works(
    machine: Machine, model: GeneratorModel, tmp_path: Path
) -> None:
    with make_runner(model, options=RunnerOptions(folder=tmp_path, precision="fp32")) as runner:
        assert isinstance(runner, TensorRTRunner)
        assert runner.reason == "tensorrt on CUDA is the first that works here"
        assert runner.engine_path.parent == tmp_path / "engines"


def test_an_onnx_file_runs_but_not_in_pytorch(onnx_file: Path) -> None:
    with make_runner(onnx_file, "onnxruntime", device="cpu") as runner:
        assert list(runner.outputs) == ["image"]
    with pytest.raises(MissingError, match="PyTorch cannot run"):
        make_runner(onnx_file, "torch", device="cpu")


def test_wrong_use_is_named(model: GeneratorModel, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no runner 'openvino'"):
        make_runner(model, "openvino")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no device 'tpu'"):
        make_runner(model, device="tpu")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="tensorrt does not run on cpu"):
        make_runner(model, "tensorrt", device="cpu")
    with pytest.raises(ModelError, match="no ONNX file"):
        make_runner(tmp_path / "none.onnx")
    with pytest.raises(TypeError, match="expected a model"):
        as_model(3)
    for wrong in ({"precision": "int4"}, {"threads": -1}, {"level": 9}):
        with pytest.raises(ValueError, match="must"):
            RunnerOptions(**wrong)  # type: ignore[arg-type]


def test_exports_are_written_once(model: GeneratorModel) -> None:
    path = model.onnx_path("fp32", "cpu")
    written = path.stat().st_mtime_ns
    assert model.onnx_path("fp32", "cpu") == path
    assert path.stat().st_mtime_ns == written
    assert model.onnx_path("fp16", "cuda") != path
    assert isinstance(as_model(path), OnnxModel)
