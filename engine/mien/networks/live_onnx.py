"""The live networks as two ONNX files, written from their weights without PyTorch.

Weights are stored as FP16 and widened when a session starts; all sums are FP32. Inputs and
outputs are those of :mod:`mien.live_view`.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import save

from mien.errors import MissingError, OutputError
from mien.live_view import CONDITION_SIZE, EYE_GAIN, LATENT_SIZE, condition_parts
from mien.networks.export import ExportOptions, Form, build_model
from mien.networks.live_weights import F32Array, LiveWeights

if TYPE_CHECKING:
    import onnx

    from mien.networks._onnx_graph import Graph

ENCODER, GENERATOR, LATENTS = "encoder.onnx", "generator.onnx", "latents.safetensors"
STRANGERS = "strangers.safetensors"
"""Latents of nobody who can be worn: where a search for somebody else's may begin."""

# As in mien.networks.live and the StyleGAN3 mapping network; a test holds both to one another.
_MIDDLE, _LIMIT = 0.5, 5.0
_SLOPE, _GAIN, _EPSILON = 0.2, math.sqrt(2.0), 1e-8
# Smaller constants stay as they are.
_LEAST_NARROWED = 256


def export_live(weights: LiveWeights, folder: Path, *, form: Form = "polyphase") -> None:
    """Writes ``encoder.onnx``, ``generator.onnx``, the cast's latents and the strangers'.

    Args:
        weights: see :func:`mien.networks.live_weights.read_live_weights`.
        folder: where to; made if it is not there.
        form: of the generator, see :class:`mien.networks.export.ExportOptions`.

    Raises:
        MissingError: the package onnx is not installed.
        OutputError: the files cannot be written.
    """
    encoder, generator = _encoder_model(weights), _generator_model(weights, form)
    cast: dict[str, F32Array] = {}
    strangers: dict[str, F32Array] = {}
    for name, latent in zip(weights.names, weights.latents, strict=True):
        who = strangers if name.startswith("stranger") else cast
        who[name] = np.ascontiguousarray(latent)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / ENCODER, encoder.SerializeToString())
        _write(folder / GENERATOR, generator.SerializeToString())
        _write(folder / LATENTS, save(cast))
        _write(folder / STRANGERS, save(strangers))
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error}", "check the folder") from error


def export_generator(weights: LiveWeights, path: Path, *, form: Form = "polyphase") -> None:
    """Writes the generator alone.

    Args:
        weights: as of :func:`export_live`.
        path: of the file; appears whole or not at all.
        form: as of :func:`export_live`.

    Raises:
        MissingError: the package onnx is not installed.
        OutputError: the file cannot be written.
    """
    content = _generator_model(weights, form).SerializeToString()
    try:
        _write(path, content)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error}", "check the folder and space") from error


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    os.replace(part, path)


def _generator_model(weights: LiveWeights, form: Form) -> onnx.ModelProto:
    filtered = weights.decoder == "stylegan3"
    options = ExportOptions(precision="fp32", form=form, warped=True, filtered=filtered)
    model = build_model(weights.generator, options)
    from onnx import helper, numpy_helper

    graph = model.graph
    for node in graph.node:
        node.output[:] = ["raw" if name == "image" else name for name in node.output]
    for name, value in (("middle", _MIDDLE), ("least", 0.0), ("most", 1.0)):
        graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), name))
    graph.node.append(helper.make_node("Add", ["raw", "middle"], ["shifted"]))
    graph.node.append(helper.make_node("Clip", ["shifted", "least", "most"], ["image"]))
    return _narrowed(model)


def _encoder_model(weights: LiveWeights) -> onnx.ModelProto:
    try:
        import onnx
        from onnx import helper
    except ImportError as error:
        raise MissingError("the package onnx is missing", "pip install 'mien[train]'") from error
    from mien.networks._onnx_graph import Graph

    graph = Graph("fp32")
    mean, deviation = weights.encoder["mean"], weights.encoder["deviation"]
    x = graph.op("Sub", "condition", graph.single(mean[None]))
    x = graph.op("Mul", x, graph.single(1.0 / deviation[None]))
    x = graph.op("Clip", x, graph.single(-_LIMIT), graph.single(_LIMIT))
    gain = np.ones((1, CONDITION_SIZE), np.float32)
    gain[:, condition_parts()["eyes"]] = EYE_GAIN
    x = graph.op("Mul", x, graph.single(gain))
    for name, leaky in (("fc0", True), ("fc1", True), ("fc2", False)):
        x = _dense(graph, x, weights.encoder, name, leaky=leaky)
    x = graph.op("Add", x, "latent")
    square = graph.op("ReduceMean", graph.op("Mul", x, x), axes=[1], keepdims=1)
    scale = graph.op("Sqrt", graph.op("Add", square, graph.single(_EPSILON)))
    x = graph.op("Div", x, scale)
    config = weights.generator.config
    for index in range(config.mapping_layers):
        x = _dense(
            graph, x, weights.generator.tensors, f"mapping.fc{index}",
            leaky=True, multiplier=config.mapping_lr_multiplier,
        )  # fmt: skip
    graph.nodes[-1].output[0] = "w"
    single = onnx.TensorProto.FLOAT

    def value(name: str, size: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, single, [1, size])

    made = helper.make_graph(
        graph.nodes,
        "live_encoder",
        [value("condition", CONDITION_SIZE), value("latent", LATENT_SIZE)],
        [value("w", LATENT_SIZE)],
        graph.constants,
    )
    model = helper.make_model(
        made,
        opset_imports=[helper.make_opsetid("", graph.opset)],
        ir_version=graph.ir_version,
        producer_name="mien",
    )
    return _narrowed(model)


def _dense(
    graph: Graph, x: str, tensors: dict[str, F32Array], name: str, *, leaky: bool,
    multiplier: float = 1.0,
) -> str:  # fmt: skip
    weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
    gain = multiplier / math.sqrt(weight.shape[1])
    x = graph.op(
        "Gemm", x, graph.single(weight * np.float32(gain)), graph.single(bias * multiplier),
        transB=1,
    )  # fmt: skip
    if leaky:
        x = graph.op("Mul", graph.op("LeakyRelu", x, alpha=_SLOPE), graph.single(_GAIN))
    return x


def _narrowed(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its larger constants as FP16, widened by a node each."""
    import onnx
    from onnx import helper, numpy_helper

    graph = model.graph
    kept, casts = [], []
    for constant in graph.initializer:
        array = numpy_helper.to_array(constant)
        if array.dtype == np.float32 and array.size >= _LEAST_NARROWED:
            narrow = constant.name + "/half"
            kept.append(numpy_helper.from_array(array.astype(np.float16), narrow))
            casts.append(
                helper.make_node("Cast", [narrow], [constant.name], to=onnx.TensorProto.FLOAT)
            )
        else:
            kept.append(constant)
    nodes = [*casts, *graph.node]
    del graph.initializer[:]
    del graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    return model
