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
from mien.refiner_view import CROP_SIZE, MAP_CHANNELS, REACH_CHANNELS

INPUT, GAIN, RESIDUAL = "inputs", "gain", "residual"
_INPUT_CHANNELS = 3 + 3 + 1 + MAP_CHANNELS + REACH_CHANNELS
# As in mien.networks.refiner; a test holds both to the same pictures.
_FOLD, _LEAK, _VEIL_PX = 2, 0.1, 8
_GAIN_REACH, _RESIDUAL_REACH = 0.7, 0.5

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

    def doubled(self, x: str) -> str:
        twice = self.constant(np.array([1, 1, 2, 2], np.float32))
        return self.add(
            "Resize", x, "", twice, mode="nearest",
            coordinate_transformation_mode="asymmetric", nearest_mode="floor",
        )  # fmt: skip

    def pooled(self, x: str, side: int) -> str:
        return self.add("AveragePool", x, kernel_shape=[side] * 2, strides=[side] * 2)

    def leaky(self, x: str) -> str:
        return self.add("LeakyRelu", x, alpha=_LEAK)


def export_refiner(weights_path: Path, onnx_path: Path) -> None:
    """Writes the ONNX of trained weights.

    Args:
        weights_path: safetensors that :mod:`mien.training` wrote.
        onnx_path: where to; takes ``inputs`` (1, 14, S, S) float32 0..1 and gives ``gain``
            (1, 3, C, C) and, where there is one, ``residual`` (1, 3, S, S), both float32:
            see :class:`mien.networks.refiner.Mending`. S is 192 with a residual, else 96.

    Raises:
        ModelError: the weights are not those of a refiner.
        MissingError: the package ``onnx`` is not installed.
    """
    graph = _Graph()
    try:
        weights = load_file(weights_path)
        mends, gain_level = _build(graph, weights)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise ModelError(
            f"{weights_path} does not hold a refiner: {error}", "train one, see docs/training.md"
        ) from error
    helper, float_type = graph._onnx.helper, graph._onnx.TensorProto.FLOAT
    size = CROP_SIZE if mends else CROP_SIZE // 2
    cells = CROP_SIZE // 4 >> gain_level
    inputs = helper.make_tensor_value_info(INPUT, float_type, [1, _INPUT_CHANNELS, size, size])
    outputs = [helper.make_tensor_value_info(GAIN, float_type, [1, 3, cells, cells])]
    if mends:
        outputs.append(helper.make_tensor_value_info(RESIDUAL, float_type, [1, 3, size, size]))
    made = helper.make_graph(graph.nodes, "refiner", [inputs], outputs, graph.constants)
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="mien"
    )
    graph._onnx.checker.check_model(model, full_check=True)
    onnx_path.write_bytes(model.SerializeToString())


def _build(graph: _Graph, weights: Mapping[str, Array]) -> tuple[bool, int]:
    """Adds the network; says whether it has a residual, and the level of its gain."""

    def pair(name: str) -> tuple[Array, Array]:
        return weights[f"{name}.weight"], weights[f"{name}.bias"]

    def block(x: str, name: str) -> str:
        inner = graph.leaky(graph.conv(x, *pair(f"{name}.first")))
        return graph.leaky(graph.add("Add", x, graph.conv(inner, *pair(f"{name}.second"))))

    def folded(x: str, name: str) -> str:
        weight, bias = pair(name)
        centred = graph.add("Sub", graph.add("Mul", x, two), one)
        flat = graph.add("SpaceToDepth", centred, blocksize=_FOLD)
        return graph.conv(flat, _refolded(weight), bias)

    def reached(x: str, share: float, name: str) -> None:
        most = graph.constant(np.array(share, np.float32))
        graph.add("Mul", graph.add("Tanh", x), most, output=name)

    two, one = (graph.constant(np.array(v, np.float32)) for v in (2.0, 1.0))
    mends = "residual.weight" in weights
    x = graph.leaky(folded(_veil(graph, mends), "stem"))
    levels = 1 + sum(name.startswith("down.") and name.endswith(".bias") for name in weights)
    # Every level is wider than the one before.
    widths = [weights[f"inward.{level}.0.first.bias"].shape[0] for level in range(levels)]
    gain_level = widths.index(weights["gain.weight"].shape[1])
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
    x = raw = graph.leaky(graph.add("Add", x, told))
    for level in reversed(range(0 if mends else gain_level, levels - 1)):
        x = graph.doubled(graph.conv(x, *pair(f"up.{level}")))
        x = block(graph.add("Add", x, skips[level]), f"outward.{level}")
        if level == gain_level:
            raw = x
    reached(graph.conv(raw, *pair("gain")), _GAIN_REACH, GAIN)
    if mends:
        looked = graph.add("Concat", "drawn", "parts", axis=1)
        fine = graph.add(
            "Add", folded(looked, "fine_stem"), graph.doubled(graph.conv(x, *pair("fine_up")))
        )
        fine = block(block(graph.leaky(fine), "fine.0"), "fine.1")
        flat = graph.conv(fine, *pair("residual"))
        reached(
            graph.add("DepthToSpace", flat, blocksize=_FOLD, mode="CRD"), _RESIDUAL_REACH, RESIDUAL
        )
    return mends, gain_level


def _veil(graph: _Graph, mends: bool) -> str:
    """The trunk's inputs, with the performer's pixels in coarse patches."""
    node = graph._onnx.helper.make_node
    sizes = [3, 3, 1 + MAP_CHANNELS - 2, 2, REACH_CHANNELS]
    names = ["drawn", "performer", "surface", "parts", "reaches"]
    split = graph.constant(np.array(sizes, np.int64))
    graph.nodes.append(node("Split", [INPUT, split], names, axis=1))
    pictures = [graph.pooled(name, 2) if mends else name for name in names]
    larger = graph.constant(np.array([1, 1, _VEIL_PX, _VEIL_PX], np.float32))
    pictures[1] = graph.add(
        "Resize", graph.pooled(pictures[1], _VEIL_PX), "", larger, mode="linear",
        coordinate_transformation_mode="half_pixel",
    )  # fmt: skip
    return graph.add("Concat", *pictures, axis=1)


def _refolded(weight: Array) -> Array:
    """PyTorch's order of folded pixels (channel first) in ONNX's (pixel first)."""
    out, channels, rows, columns = weight.shape
    parts = weight.reshape(out, channels // _FOLD**2, _FOLD**2, rows, columns)
    return np.ascontiguousarray(parts.transpose(0, 2, 1, 3, 4)).reshape(weight.shape)
