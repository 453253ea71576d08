"""A thin writer of ONNX graphs: constants are shared, names are readable, dtypes are kept."""

from __future__ import annotations

from typing import Any, Literal

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

Array = npt.NDArray[Any]
Precision = Literal["fp32", "fp16", "bf16"]

_TYPES: dict[str, tuple[int, Any]] = {
    "fp32": (onnx.TensorProto.FLOAT, np.float32),
    "fp16": (onnx.TensorProto.FLOAT16, np.float16),
    "bf16": (onnx.TensorProto.BFLOAT16, ml_dtypes.bfloat16),
}


class Graph:
    """Collects nodes and constants of one graph.

    Args:
        precision: element type of :meth:`half`'s constants and of :meth:`lower`.
    """

    def __init__(self, precision: Precision) -> None:
        if precision not in _TYPES:
            raise ValueError(f"precision must be fp32, fp16 or bf16, got {precision!r}")
        self.precision = precision
        # Convolutions of bfloat16 exist from opset 22 on; older runtimes read 17.
        self.opset, self.ir_version = (22, 10) if precision == "bf16" else (17, 8)
        self.element, self._dtype = _TYPES[precision]
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._shared: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._scope = ""
        self._counts: dict[str, int] = {}

    def scope(self, name: str) -> None:
        """Prefixes the names that follow with a layer's name."""
        self._scope = name + "/" if name else ""

    def op(
        self, kind: str, *inputs: str, name: str = "", outputs: int = 1, **attributes: Any
    ) -> Any:
        """Adds a node; returns its output's name, or a list if it has several."""
        label = self._unique(name or kind)
        names = [label] if outputs == 1 else [f"{label}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=label, **attributes))
        return names[0] if outputs == 1 else names

    def norm(self, x: str, name: str = "norm") -> str:
        """Euclidean length along axis 1, kept as an axis of one."""
        if self.opset >= 18:
            return str(self.op("ReduceL2", x, self.integers([1]), keepdims=1, name=name))
        return str(self.op("ReduceL2", x, axes=[1], keepdims=1, name=name))

    def single(self, value: npt.ArrayLike, name: str = "const") -> str:
        """A float32 constant."""
        return self._constant(np.asarray(value, dtype=np.float32), name)

    def half(self, value: npt.ArrayLike, name: str = "const") -> str:
        """A constant in the graph's precision."""
        return self._constant(np.asarray(value, dtype=np.float32).astype(self._dtype), name)

    def integers(self, values: list[int], name: str = "shape") -> str:
        """An int64 constant."""
        return self._constant(np.asarray(values, dtype=np.int64), name)

    def lower(self, x: str) -> str:
        """``x`` (float32) in the graph's precision."""
        if self.precision == "fp32":
            return x
        return str(self.op("Cast", x, to=self.element, name="lower"))

    def raise_(self, x: str) -> str:
        """``x`` in float32."""
        if self.precision == "fp32":
            return x
        return str(self.op("Cast", x, to=onnx.TensorProto.FLOAT, name="raise"))

    def _constant(self, array: Array, name: str) -> str:
        key = (array.dtype.name, array.shape, array.tobytes())
        known = self._shared.get(key)
        if known is None:
            known = self._unique(name)
            self.constants.append(
                numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), known)
            )
            self._shared[key] = known
        return known

    def _unique(self, name: str) -> str:
        label = self._scope + name
        count = self._counts.get(label, 0)
        self._counts[label] = count + 1
        return label if count == 0 else f"{label}_{count}"
