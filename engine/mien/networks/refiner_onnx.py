"""The refiner as one ONNX file, built from its weights without PyTorch.

Weights are stored as FP16 and widened when the session starts; all sums are FP32.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file

from mien.errors import MissingError, ModelError
from mien.refiner_view import INPUT_CHANNELS, VIEW_SIZE

INPUT, OUTPUT = "inputs", "gain"
# As in mien.networks.refiner; a test holds both to the same numbers.
_FOLD, _LEAK, _VEIL_PX, _GAIN_LEVEL, _REACH = 2, 0.1, 4, 1, 0.7
_LEAST_PATCH = 1e-3

Array = npt.NDArray[np.generic]


class _Graph:
    """Nodes and constants of a graph that grows."""

    def __init__(self) -> None:
        try:
            import onnx
        except ImportError as error:
            raise MissingError(
                "the package onnx is missing", "pip install 'mien[train]'"
            ) from error
        self._onnx = onnx
        self.nodes: list[object] = []
        self.constants: list[object] = []
        self._count = 0

    def constant(self, value: Array) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def weight(self, value: Array) -> str:
        return self.add("Cast", self.constant(value.astype(np.float16)), to=1)

    def add(self, operation: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        self._count += 1
        name = output or f"v{self._count}"
        self.nodes.append(self._onnx.helper.make_node(operation, inputs, [name], **attributes))
        return name

    def conv(self, x: str, weight: Array, bias: Array, stride: int = 1) -> str:
        pad = weight.shape[2] // 2
        return self.add(
            "Conv", x, self.weight(weight), self.weight(bias),
            pads=[pad] * 4, strides=[stride] * 2, kernel_shape=list(weight.shape[2:]),
        )  # fmt: skip

    def pooled(self, x: str, side: int) -> str:
        return self.add("AveragePool", x, kernel_shape=[side] * 2, strides=[side] * 2)

    def summed(self, x: str) -> str:
        axes = self.constant(np.array([2, 3], np.int64))
        return self.add("ReduceSum", x, axes, keepdims=1)

    def leaky(self, x: str) -> str:
        return self.add("LeakyRelu", x, alpha=_LEAK)


def export_refiner(weights_path: Path, onnx_path: Path) -> None:
    """Writes the ONNX of trained weights.

    Args:
        weights_path: safetensors that :mod:`mien.training` wrote.
        onnx_path: where to; takes ``inputs`` (1, 13, 48, 48) float32 0..1 and gives ``gain``
            (1, 3, 12, 12) float32, see :class:`mien.networks.refiner.Refiner`.

    Raises:
        ModelError: the weights are not those of a refiner.
        MissingError: the package ``onnx`` is not installed.
    """
    graph = _Graph()
    try:
        weights = load_file(weights_path)
        _build(graph, weights)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise ModelError(
            f"{weights_path} does not hold a refiner: {error}", "train one, see docs/training.md"
        ) from error
    helper, float_type = graph._onnx.helper, graph._onnx.TensorProto.FLOAT
    size, cells = VIEW_SIZE, VIEW_SIZE // 4
    inputs = helper.make_tensor_value_info(INPUT, float_type, [1, INPUT_CHANNELS, size, size])
    outputs = helper.make_tensor_value_info(OUTPUT, float_type, [1, 3, cells, cells])
    made = helper.make_graph(graph.nodes, "refiner", [inputs], [outputs], graph.constants)
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="mien"
    )
    graph._onnx.checker.check_model(model, full_check=True)
    onnx_path.write_bytes(model.SerializeToString())


def _build(graph: _Graph, weights: Mapping[str, Array]) -> None:
    def pair(name: str) -> tuple[Array, Array]:
        return weights[f"{name}.weight"], weights[f"{name}.bias"]

    def block(x: str, name: str) -> str:
        inner = graph.leaky(graph.conv(x, *pair(f"{name}.first")))
        return graph.leaky(graph.add("Add", x, graph.conv(inner, *pair(f"{name}.second"))))

    two, one, reach = (graph.constant(np.array(v, np.float32)) for v in (2.0, 1.0, _REACH))
    centred = graph.add("Sub", graph.add("Mul", _veil(graph), two), one)
    folded = graph.add("SpaceToDepth", centred, blocksize=_FOLD)
    stem, bias = pair("stem")
    x = graph.leaky(graph.conv(folded, _refolded(stem), bias))
    levels = 1 + sum(name.startswith("down.") and name.endswith(".bias") for name in weights)
    skips: list[str] = []
    for level in range(levels):
        if level:
            skips.append(x)
            x = graph.leaky(graph.conv(x, *pair(f"down.{level - 1}"), stride=2))
        depth = 0
        while f"inward.{level}.{depth}.first.weight" in weights:
            x = block(x, f"inward.{level}.{depth}")
            depth += 1
    told = graph.conv(graph.add("GlobalAveragePool", x), *pair("whole"))
    x = graph.leaky(graph.add("Add", x, told))
    doubled = graph.constant(np.array([1, 1, 2, 2], np.float32))
    for index in reversed(range(levels - 1 - _GAIN_LEVEL)):
        x = graph.add(
            "Resize", graph.conv(x, *pair(f"up.{index}")), "", doubled, mode="nearest",
            coordinate_transformation_mode="asymmetric", nearest_mode="floor",
        )  # fmt: skip
        x = block(graph.add("Add", x, skips[index + _GAIN_LEVEL]), f"outward.{index}")
    raw = graph.add("Tanh", graph.conv(x, *pair("gain")))
    log_gain = graph.add("Mul", raw, reach)
    cells = VIEW_SIZE // 4
    matte = graph.pooled("matte", VIEW_SIZE // cells)
    total = graph.add(
        "Max", graph.summed(matte), graph.constant(np.array(_LEAST_PATCH, np.float32))
    )
    mean = graph.add("Div", graph.summed(graph.add("Mul", log_gain, matte)), total)
    graph.add("Sub", log_gain, mean, output=OUTPUT)


def _veil(graph: _Graph) -> str:
    """The inputs with the performer's pixels in coarse patches."""
    node = graph._onnx.helper.make_node
    names = ["drawn", "performer", "matte", "maps"]
    parts = graph.constant(np.array([3, 3, 1, INPUT_CHANNELS - 7], np.int64))
    graph.nodes.append(node("Split", [INPUT, parts], names, axis=1))
    larger = graph.constant(np.array([1, 1, _VEIL_PX, _VEIL_PX], np.float32))
    light = graph.add(
        "Resize", graph.pooled("performer", _VEIL_PX), "", larger, mode="linear",
        coordinate_transformation_mode="half_pixel",
    )  # fmt: skip
    return graph.add("Concat", "drawn", light, "matte", "maps", axis=1)


def _refolded(weight: Array) -> Array:
    """PyTorch's order of folded pixels (channel first) in ONNX's (pixel first)."""
    out, channels, rows, columns = weight.shape
    parts = weight.reshape(out, channels // _FOLD**2, _FOLD**2, rows, columns)
    return np.ascontiguousarray(parts.transpose(0, 2, 1, 3, 4)).reshape(weight.shape)
