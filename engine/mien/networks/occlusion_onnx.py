"""The occlusion net as one ONNX file, built from its weights without PyTorch.

Weights are stored as FP16 and widened when the session starts; all sums are FP32.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file

from mien.errors import ModelError
from mien.networks.refiner_onnx import _FOLD, _Graph, _refolded
from mien.occlusion_view import CROP_SIZE, INPUT_CHANNELS

INPUT, OUTPUT = "inputs", "covered"

Array = npt.NDArray[np.generic]


def export_occlusion(weights_path: Path, onnx_path: Path, size: int = CROP_SIZE) -> None:
    """Writes the ONNX of trained weights.

    Args:
        weights_path: safetensors that :mod:`mien.training` wrote.
        onnx_path: where to; takes ``inputs`` (1, 12, size, size) float32 0..1 and gives
            ``covered`` (1, 1, size, size) float32 0..1.
        size: side of the crop.

    Raises:
        ModelError: the weights are not those of an occlusion net.
        MissingError: the package ``onnx`` is not installed.
    """
    graph = _Graph()
    try:
        _build(graph, load_file(weights_path))
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise ModelError(
            f"{weights_path} does not hold an occlusion net: {error}",
            "train one, see docs/occlusion.md",
        ) from error
    helper, float_type = graph._onnx.helper, graph._onnx.TensorProto.FLOAT
    inputs = helper.make_tensor_value_info(INPUT, float_type, [1, INPUT_CHANNELS, size, size])
    outputs = helper.make_tensor_value_info(OUTPUT, float_type, [1, 1, size, size])
    made = helper.make_graph(graph.nodes, "occlusion", [inputs], [outputs], graph.constants)
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="mien"
    )
    graph._onnx.checker.check_model(model, full_check=True)
    onnx_path.parent.mkdir(parents=True, exist_ok=True)
    onnx_path.write_bytes(model.SerializeToString())


def _build(graph: _Graph, weights: dict[str, Array]) -> None:
    def pair(name: str) -> tuple[Array, Array]:
        return weights[f"{name}.weight"], weights[f"{name}.bias"]

    def block(x: str, name: str) -> str:
        inner = graph.leaky(graph.conv(x, *pair(f"{name}.first.conv")))
        return graph.leaky(graph.add("Add", x, graph.conv(inner, *pair(f"{name}.second.conv"))))

    two, one = (graph.constant(np.array(v, np.float32)) for v in (2.0, 1.0))
    centred = graph.add("Sub", graph.add("Mul", INPUT, two), one)
    folded = graph.add("SpaceToDepth", centred, blocksize=_FOLD)
    stem, bias = pair("stem.conv")
    if stem.shape[1] != INPUT_CHANNELS * _FOLD**2:
        raise ValueError(f"the first layer sees {stem.shape[1] // _FOLD**2} channels")
    x = graph.leaky(graph.conv(folded, _refolded(stem), bias))
    levels = 1 + sum(name.startswith("down.") and name.endswith(".bias") for name in weights)
    skips: list[str] = []
    for level in range(levels):
        if level:
            skips.append(x)
            x = graph.leaky(graph.conv(x, *pair(f"down.{level - 1}.conv"), stride=2))
        depth = 0
        while f"inward.{level}.{depth}.first.conv.weight" in weights:
            x = block(x, f"inward.{level}.{depth}")
            depth += 1
    doubled = graph.constant(np.array([1, 1, 2, 2], np.float32))
    for level in reversed(range(levels - 1)):
        x = graph.conv(x, *pair(f"up.{level}"))
        x = graph.add(
            "Resize", x, "", doubled, mode="nearest",
            coordinate_transformation_mode="asymmetric", nearest_mode="floor",
        )  # fmt: skip
        x = block(graph.add("Add", x, skips[level]), f"outward.{level}")
    raw = graph.add("DepthToSpace", graph.conv(x, *pair("head")), blocksize=_FOLD, mode="CRD")
    graph.add("Sigmoid", raw, output=OUTPUT)
