"""dlib's face recognition network, from its serialised form to ONNX.

The file holds the layers from the input on. Every learnt tensor is written as a header
(version 2, then four sizes, each as a length byte and little-endian bytes) and raw
float32 values; what lies between are settings that are known from the published network
(``anet_type`` of dlib's examples), so the tensors are found by their expected sizes.
Each convolution is followed by an affine layer, into which it is folded here.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from convert_onnx_graph import Array, OnnxGraph

_CHIP = 150
_MEAN_RGB = (122.782, 117.001, 104.298)
_TENSOR_VERSION = b"\x01\x02"

# Stages after the first convolution: channels, and blocks after the halving one.
_STAGES = ((32, 3, False), (64, 3, True), (128, 2, True), (256, 2, True), (256, 0, True))


class _Weights:
    """Reads the learnt tensors one after another."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 0

    def next(self, count: int) -> Array:
        """The next tensor of ``count`` values, flat."""
        at = self._position
        while (at := self._content.find(_TENSOR_VERSION, at)) >= 0:
            sizes, start = self._sizes(at + len(_TENSOR_VERSION))
            if len(sizes) == 4 and np.prod(sizes) == count:
                self._position = start + 4 * count
                return np.frombuffer(self._content, "<f4", count, start)
            at += 1
        raise ValueError(f"no tensor of {count} values; is this dlib's face recognition file?")

    def _sizes(self, at: int) -> tuple[list[int], int]:
        sizes = []
        for _ in range(4):
            length = self._content[at] if at < len(self._content) else 0
            if not 1 <= length <= 8:
                break
            sizes.append(int.from_bytes(self._content[at + 1 : at + 1 + length], "little"))
            at += 1 + length
        return sizes, at

    def convolution(self, out: int, inputs: int, kernel: int) -> tuple[Array, Array]:
        """Filters and biases of a convolution with its affine layer folded in."""
        split = out * inputs * kernel * kernel
        values = self.next(split + out)
        gain, offset = np.split(self.next(2 * out), 2)
        filters = values[:split].reshape(out, inputs, kernel, kernel)
        return filters * gain[:, None, None, None], values[split:] * gain + offset


def convert_recognition(content: bytes, name: str) -> onnx.ModelProto:
    """The network: ``input`` (N, 3, 150, 150) RGB 0..255, ``embedding`` (N, 128)."""
    weights, graph = _Weights(content), OnnxGraph(half=True)

    def convolve(x: str, out: int, inputs: int, kernel: int, stride: int, pad: int) -> str:
        filters, biases = weights.convolution(out, inputs, kernel)
        return graph.node(
            "Conv",
            [x, graph.constant(filters), graph.constant(biases)],
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[pad] * 4,
        )

    def block(x: str, out: int, inputs: int, *, halves: bool) -> str:
        inner = convolve(x, out, inputs, 3, 2 if halves else 1, 0 if halves else 1)
        return convolve(graph.node("Relu", [inner]), out, out, 3, 1, 1)

    mean = graph.constant(np.array(_MEAN_RGB).reshape(1, 3, 1, 1))
    x = graph.node("Div", [graph.node("Sub", ["input", mean]), graph.constant(256.0)])
    x = graph.node("Relu", [convolve(x, 32, 3, 7, 2, 0)])
    x = graph.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2])
    size, channels = ((_CHIP - 7) // 2 + 1 - 3) // 2 + 1, 32
    for out, halves in _blocks():
        y = block(x, out, channels, halves=halves)
        if halves:
            pooled, convolved = size // 2, (size - 3) // 2 + 1
            x = graph.node("AveragePool", [x], kernel_shape=[2, 2], strides=[2, 2])
            # dlib adds tensors of unequal size as if the smaller one went on with zeros.
            x = _pad(graph, x, channels=out - channels)
            y = _pad(graph, y, rows=pooled - convolved)
            size, channels = pooled, out
        x = graph.node("Relu", [graph.node("Add", [x, y])])
    x = graph.node("Flatten", [graph.node("GlobalAveragePool", [x])])
    matrix = graph.constant(weights.next(256 * 128).reshape(256, 128))
    graph.node("MatMul", [x, matrix], "embedding")
    return graph.model(name, ["N", 3, _CHIP, _CHIP], [("embedding", ["N", 128])])


def _blocks() -> Iterator[tuple[int, bool]]:
    for channels, plain, halves in _STAGES:
        if halves:
            yield channels, True
        for _ in range(plain):
            yield channels, False


def _pad(graph: OnnxGraph, x: str, *, channels: int = 0, rows: int = 0) -> str:
    if channels == 0 and rows == 0:
        return x
    return graph.node("Pad", [x, graph.constant([0, 0, 0, 0, 0, channels, rows, rows])])
