"""A small builder of ONNX graphs, shared by the model converters."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]

OPSET = 18
_HALF_FROM = 4096
"""Arrays of at least this many elements are stored as fp16 where that is asked for."""


class OnnxGraph:
    """Collects nodes and constants, then writes a checked model.

    Equal constants are stored once. With ``half`` large ones are stored as fp16 and cast
    to fp32 by the graph, which the runtime does once, when it loads the model.
    """

    def __init__(self, *, half: bool = False) -> None:
        self._half = half
        self._nodes: list[onnx.NodeProto] = []
        self._casts: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._count = 0

    def _name(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}_{self._count}"

    def constant(self, value: Array | float | list[int]) -> str:
        """The name of a constant; Python floats become float32, integers int64."""
        array = np.asarray(value)
        if array.dtype.kind == "f":
            array = array.astype(np.float32)
        elif array.dtype.kind in "iu":
            array = array.astype(np.int64)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = self._store(np.ascontiguousarray(array).reshape(array.shape))
        return self._known[key]

    def _store(self, array: Array) -> str:
        name = self._name("constant")
        if self._half and array.dtype == np.float32 and array.size >= _HALF_FROM:
            stored = name + "_fp16"
            self._constants.append(numpy_helper.from_array(array.astype(np.float16), stored))
            self._casts.append(helper.make_node("Cast", [stored], [name], to=TensorProto.FLOAT))
        else:
            self._constants.append(numpy_helper.from_array(array, name))
        return name

    def node(self, op: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        """Add a node with one output and return that output's name."""
        output = output or self._name(op.lower())
        self._nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def slice(self, source: str, start: list[int], stop: list[int], axes: list[int]) -> str:
        """``source[start:stop]`` along the given axes."""
        return self.node("Slice", [source, *map(self.constant, (start, stop, axes))])

    def reshape(self, source: str, shape: list[int]) -> str:
        """``source`` in another shape."""
        return self.node("Reshape", [source, self.constant(shape)])

    def model(
        self,
        name: str,
        input_shape: list[int | str],
        outputs: list[tuple[str, list[int | str]]],
    ) -> onnx.ModelProto:
        """The checked model with one float input, called ``input``."""
        graph = helper.make_graph(
            self._casts + self._nodes,
            name,
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, input_shape)],
            [helper.make_tensor_value_info(o, TensorProto.FLOAT, shape) for o, shape in outputs],
            self._constants,
        )
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=9, producer_name="mien")
        onnx.checker.check_model(model)
        return onnx.shape_inference.infer_shapes(model, strict_mode=True)
