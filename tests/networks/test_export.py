"""The exported graph draws the golden pictures in ONNX Runtime."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto

from mien.errors import ModelError, OutputError
from mien.networks import (
    Checkpoint,
    GeneratorConfig,
    export_onnx,
    load_generator,
    random_generator,
    read_checkpoint,
)
from mien.networks.export import ExportOptions, Form, build_model
from tests.networks.golden import F32Array, Golden

_IDENTITY = np.eye(3, dtype=np.float32)
_TINY = GeneratorConfig(
    z_dim=8, w_dim=8, img_resolution=32, channel_base=128, channel_max=8, num_layers=6
)
Draw = Callable[..., F32Array]


def _session(content: bytes | Path) -> Draw:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    source = content if isinstance(content, bytes) else str(content)
    session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])

    def draw(ws: F32Array, transform: F32Array = _IDENTITY) -> F32Array:
        inputs = {"ws": ws[None], "transform": transform[None]}
        picture: F32Array = session.run(["image"], inputs)[0]
        return picture

    return draw


def _errors(golden: Golden, draw: Draw) -> F32Array:
    arrays, stacked = golden.arrays, golden.stacked(4)
    pictures = {
        "img_psi1": np.concatenate([draw(ws) for ws in stacked]),
        "img_psi07": np.concatenate([draw(ws) for ws in arrays["ws_psi07"][:2]]),
        "img_psi05_cut8": draw(arrays["ws_psi05_cut8"][0]),
        "img_wplus": np.concatenate([draw(ws) for ws in arrays["ws_wplus"]]),
        "img_transforms": np.concatenate([draw(stacked[0], t) for t in arrays["transforms"]]),
        "img_transform_scale2": draw(stacked[0], arrays["transform_scale2"]),
    }
    return np.concatenate([golden.error(key, value).ravel() for key, value in pictures.items()])


@pytest.mark.parametrize("form", ["depthwise", "polyphase"])
def test_single_precision_draws_the_golden_pictures(
    golden: Golden, form: str, tmp_path: Path
) -> None:
    path = export_onnx(read_checkpoint(golden.weights), tmp_path / "g.onnx", form=form)
    # The project's gate; measured: 2.7e-6.
    assert _errors(golden, _session(path)).max() <= 5e-5


@pytest.mark.parametrize("form", ["depthwise", "polyphase"])
def test_half_precision_stays_within_its_gates(golden: Golden, form: str, tmp_path: Path) -> None:
    generator = load_generator(golden.weights)
    path = generator.export_onnx(tmp_path / "g.onnx", precision="fp16", form=form)
    errors = golden.error("img_psi05_cut8", _session(path)(golden.arrays["ws_psi05_cut8"][0]))
    # Measured over all golden pictures: max 1.7e-3, mean 3e-4.
    assert errors.max() <= 1e-2
    assert errors.mean() <= 2e-3


def test_clamp_is_exported(golden: Golden) -> None:
    checkpoint = read_checkpoint(golden.weights)
    clamped = Checkpoint(
        init_kwargs={**checkpoint.init_kwargs, "conv_clamp": 0.5}, tensors=checkpoint.tensors
    )
    for form in ("depthwise", "polyphase"):
        model = build_model(clamped, ExportOptions(form=form))
        picture = _session(model.SerializeToString())(golden.stacked(1)[0])
        assert golden.error("img_clamp0p5", picture).max() <= 5e-5


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"conv_kernel": 1, "use_radial_filters": True},
        {"margin_size": 3},
        {"conv_clamp": None},
        {"lrelu_upsampling": 1},
        {"lrelu_upsampling": 4},
        {"filter_size": 4},
        {"filter_size": 3},
        {"num_critical": 0},
        {"num_layers": 3, "num_critical": 1},
        {"img_channels": 4, "output_scale": 1.0},
        {"first_cutoff": 4.0, "first_stopband": 8.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("form", ["depthwise", "polyphase"])
def test_every_setting_draws_as_in_torch(changes: dict[str, Any], form: Form) -> None:
    config = GeneratorConfig(**{**dataclasses.asdict(_TINY), **changes})
    generator = random_generator(config, seed=4)
    ws = generator.mapping(_noise(1, 8))
    turn = np.array([[0.8, -0.6, 0.1], [0.6, 0.8, -0.2], [0, 0, 1]], dtype=np.float32)
    expected = generator.synthesis(ws, _tensor(turn)).numpy()
    model = build_model(generator.checkpoint(), ExportOptions(form=form))
    found = _session(model.SerializeToString())(ws[0].numpy(), turn)
    assert np.abs(found - expected).max() <= 1e-5 * max(1.0, np.abs(expected).max())


@pytest.fixture(scope="module", params=["fp32", "fp16", "bf16"])
def model(request: pytest.FixtureRequest) -> onnx.ModelProto:
    checkpoint = random_generator(_TINY, seed=4).checkpoint()
    return build_model(checkpoint, ExportOptions(precision=request.param))


def test_graph_is_static_and_plain(model: onnx.ModelProto) -> None:
    onnx.checker.check_model(model, full_check=True)
    precision = {p.key: p.value for p in model.metadata_props}["mien.precision"]
    opset = 22 if precision == "bf16" else 17
    assert [o.version for o in model.opset_import if not o.domain] == [opset]
    kinds = {node.op_type for node in model.graph.node}
    assert not kinds & {"ScatterElements", "ScatterND", "Shape", "If", "Loop", "Expand", "Einsum"}
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        assert all(d.HasField("dim_value") for d in dims), value.name
    shaped = {v.name for v in model.graph.value_info} | {"image"}
    assert {out for node in model.graph.node for out in node.output} <= shaped
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)


def test_convolutions_have_constant_weights(model: onnx.ModelProto) -> None:
    constants = {c.name for c in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in ("Conv", "ConvTranspose"):
            assert node.input[1] in constants, node.name


def test_features_are_low_waves_and_styles_are_single(model: onnx.ModelProto) -> None:
    precision = {p.key: p.value for p in model.metadata_props}["mien.precision"]
    low = {"fp32": 1, "fp16": 10, "bf16": 16}[precision]
    types = {v.name: v.type.tensor_type.elem_type for v in model.graph.value_info}
    types |= {c.name: c.data_type for c in model.graph.initializer}
    types["image"] = TensorProto.FLOAT
    for node in model.graph.node:
        if node.op_type in ("Conv", "ConvTranspose", "LeakyRelu"):
            assert types[node.output[0]] == low, node.name
        if node.op_type in ("Sin", "Gemm", "MatMul", "ReduceL2", "Sqrt", "Reciprocal"):
            assert types[node.output[0]] == TensorProto.FLOAT, node.name


def test_file_says_what_it_was_made_from(model: onnx.ModelProto) -> None:
    props = {p.key: p.value for p in model.metadata_props}
    checkpoint = random_generator(_TINY, seed=4).checkpoint()
    assert props["mien.weights_sha256"] == checkpoint.sha256()
    assert GeneratorConfig.from_init_kwargs(json.loads(props["mien.config"])) == _TINY
    assert props["mien.version"]


def test_few_nodes(golden: Golden) -> None:
    model = build_model(read_checkpoint(golden.weights), ExportOptions())
    assert len(model.graph.node) < 350  # a straight trace has about 700


def test_polygraphy_loads_the_graph(tmp_path: Path) -> None:
    loader = pytest.importorskip("polygraphy.backend.onnx", reason="polygraphy is not installed")
    path = random_generator(_TINY).export_onnx(tmp_path / "g.onnx")
    graph = loader.infer_shapes(loader.onnx_from_path(str(path))).graph
    assert [i.name for i in graph.input] == ["ws", "transform"]


def test_wrong_options_and_places_are_refused(tmp_path: Path) -> None:
    checkpoint = random_generator(_TINY).checkpoint()
    with pytest.raises(ValueError, match="precision"):
        export_onnx(checkpoint, tmp_path / "g.onnx", precision="int8")
    with pytest.raises(ValueError, match="form"):
        export_onnx(checkpoint, tmp_path / "g.onnx", form="best")
    with pytest.raises(OutputError):
        export_onnx(checkpoint, tmp_path / "no" / "g.onnx")
    with pytest.raises(ModelError, match="lacks tensors"):
        export_onnx(Checkpoint(init_kwargs=checkpoint.init_kwargs, tensors={}), tmp_path / "g.onnx")


def _noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def _tensor(values: F32Array) -> torch.Tensor:
    return torch.from_numpy(values)
