"""An ONNX file in half precision, where that is harmless: the body of a convolutional network.

TensorRT compiles what stands in the file, so precision has to. Convolutions and what is between
them go in half precision; the layers after the last of them, in which coordinates and
probabilities are made, and everything that samples, divides or sums up, stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import MissingError, ModelError
from mien.inference.engine_cache import write_atomically

_BODY = frozenset(
    ("Conv", "Relu", "PRelu", "LeakyRelu", "Add", "MaxPool", "AveragePool", "Pad", "DepthToSpace")
)
_MOST = 60000.0
"""Weights beyond it do not fit into half precision."""


def write_half(source: Path, target: Path) -> int:
    """Writes a network in half precision; inputs and outputs stay in single.

    Args:
        source: an ONNX file in single precision, of static shapes but for the batch.
        target: the file to write.

    Returns:
        How many operations go in half precision.

    Raises:
        MissingError: the package onnx is not installed.
        ModelError: the file cannot be read, or weights do not fit.
        OutputError: the file cannot be written.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingError("half precision needs the package onnx", "pip install onnx") from error
    try:
        model = onnx.shape_inference.infer_shapes(onnx.load(str(source)))
    except Exception as error:  # protobuf's, onnx's own and OSError
        raise ModelError(f"{source.name} cannot be read: {error}", "reinstall mien") from error
    changed = _Halved(model).run()
    write_atomically(target, model.SerializeToString())
    return changed


class _Halved:
    """Changes a model in place."""

    def __init__(self, model: Any) -> None:
        import onnx

        self._onnx, self._graph = onnx, model.graph
        self._single = onnx.TensorProto.FLOAT
        self._constants = {one.name: one for one in self._graph.initializer}
        self._types: dict[str, int] = {name: one.data_type for name, one in self._constants.items()}
        for value in (*self._graph.input, *self._graph.output, *self._graph.value_info):
            self._types[value.name] = value.type.tensor_type.elem_type
        self._cast: dict[str, str] = {}
        self._nodes: list[Any] = []

    def run(self) -> int:
        """How many operations were changed."""
        body = self._body()
        for number, node in enumerate(self._graph.node):
            if number not in body:
                self._nodes.append(node)
                continue
            for at, name in enumerate(node.input):
                if name and self._types.get(name) == self._single:
                    node.input[at] = self._half(name)
            for at, name in enumerate(node.output):
                node.output[at] = f"{name}/half"
                self._cast[name] = f"{name}/half"
            self._nodes.append(node)
            for name in list(body[number]):  # whoever is not in the body reads single precision
                self._add_cast(f"{name}/half", name, self._single)
        read = {name for node in self._nodes for name in node.input}
        read |= {one.name for one in self._graph.output}
        kept = [one for one in self._graph.initializer if one.name in read]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)
        del self._graph.value_info[:]
        return len(body)

    def _body(self) -> dict[int, list[str]]:
        """The operations that go in half precision, and which of their outputs others read."""
        nodes = list(self._graph.node)
        readers: dict[str, list[int]] = {}
        for number, node in enumerate(nodes):
            for name in node.input:
                readers.setdefault(name, []).append(number)
        leads: list[bool] = [False] * len(nodes)  # to a convolution further on
        for number in reversed(range(len(nodes))):
            for after in _readers_of(nodes[number], readers):
                leads[number] |= leads[after] or nodes[after].op_type == "Conv"
        inside = {
            number
            for number, node in enumerate(nodes)
            if leads[number] and node.op_type in _BODY and self._is_single(node)
        }
        results = {one.name for one in self._graph.output}
        return {
            number: [
                name
                for name in nodes[number].output
                if name in results or any(n not in inside for n in readers.get(name, []))
            ]
            for number in inside
        }

    def _is_single(self, node: Any) -> bool:
        return self._types.get(node.input[0]) == self._single

    def _half(self, name: str) -> str:
        """The tensor in half precision."""
        if name in self._cast:
            return self._cast[name]
        half = self._cast[name] = f"{name}/half"
        constant = self._constants.get(name)
        if constant is None:
            self._add_cast(name, half, self._onnx.TensorProto.FLOAT16)
            return half
        values = self._onnx.numpy_helper.to_array(constant)
        if np.abs(values).max(initial=0.0) > _MOST:
            raise ModelError(f"weights {name} do not fit into half precision", "use fp32")
        self._graph.initializer.append(
            self._onnx.numpy_helper.from_array(values.astype(np.float16), half)
        )
        return half

    def _add_cast(self, source: str, target: str, kind: int) -> None:
        self._nodes.append(self._onnx.helper.make_node("Cast", [source], [target], to=kind))


def _readers_of(node: Any, readers: dict[str, list[int]]) -> Iterable[int]:
    for name in node.output:
        yield from readers.get(name, [])
