"""A small generator, its ONNX file, and a machine that believes it has a GPU."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.inference import GeneratorModel, cuda_driver
from tests.inference.fakes import tensorrt as fake_tensorrt
from tests.inference.fakes.cuda import FakeLibcuda, FakePycuda


@pytest.fixture(scope="session")
def generator() -> Any:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    from mien.networks import GeneratorConfig, random_generator

    config = GeneratorConfig(
        z_dim=16, w_dim=16, img_resolution=32, channel_base=256, channel_max=8, num_layers=8
    )
    made = random_generator(config, seed=3)
    return made


@pytest.fixture(scope="session")
def model(generator: Any, tmp_path_factory: pytest.TempPathFactory) -> GeneratorModel:
    folder = tmp_path_factory.mktemp("exports")
    return GeneratorModel(generator.checkpoint(), name="small", folder=folder)


@pytest.fixture(scope="session")
def onnx_file(model: GeneratorModel) -> Path:
    pytest.importorskip("onnx", reason="onnx is not installed")
    return model.onnx_path("fp32", "cuda")


@pytest.fixture
def inputs(model: GeneratorModel) -> dict[str, Any]:
    random = np.random.default_rng(5)
    ws = random.standard_normal(model.inputs["ws"].shape).astype(np.float32)
    turn = np.array([[[0.8, -0.6, 0.1], [0.6, 0.8, -0.2], [0, 0, 1]]], np.float32)
    return {"ws": ws, "transform": turn}


@pytest.fixture
def expected(generator: Any, inputs: dict[str, Any]) -> Any:
    """The picture that the plain PyTorch form draws."""
    import torch

    with torch.inference_mode():
        ws, transform = (torch.from_numpy(inputs[name]) for name in ("ws", "transform"))
        return generator.synthesis(ws, transform).numpy()


class Machine:
    """The fakes in place: ``trt`` and ``cuda`` modules, ``libcuda``, TensorRT's ``state``."""

    def __init__(self, version: str) -> None:
        self.trt = fake_tensorrt.make_module(version)
        self.state = fake_tensorrt.STATE
        self.cuda = FakePycuda()
        self.libcuda = FakeLibcuda()


@pytest.fixture(params=["10.13.0.35", "11.4.0.106"])
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(request.param)
    package = types.ModuleType("pycuda")
    package.driver = made.cuda  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorrt", made.trt)
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", made.cuda)  # type: ignore[arg-type]
    driver = cuda_driver.CudaDriver(made.libcuda)
    monkeypatch.setattr("mien.inference.tensorrt.load_driver", lambda: driver)
    monkeypatch.setattr("mien.inference.cuda_driver.load_driver", lambda: driver)
    return made
