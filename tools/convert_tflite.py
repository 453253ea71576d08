"""TFLite to ONNX for MediaPipe's face models, without TensorFlow.

Only the operators that these models use are known; any other is an error. The graph is
laid out NCHW. What is easy to get wrong, and what is done about it:

- Weights are fp16 behind DEQUANTIZE, some of them sparse behind DENSIFY: both are folded.
- SAME padding is asymmetric: the odd pixel goes to the bottom and the right.
- RESIZE_BILINEAR is half-pixel; DEPTH_TO_SPACE is depth-column-row.
- PRELU becomes ``slope * x + (1 - slope) * relu(x)``. Some slopes exceed 1, so
  ``max(x, slope * x)`` is wrong. The products are 1x1 depthwise convolutions, which keep
  ONNX Runtime's blocked layout: the attention model takes 3.65 ms that way, 3.99 ms with
  Mul and 6.81 ms with PRelu (CPU median on one busy x86-64 machine, same run).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import tflite
from convert_attention import landmarks_to_matrix, sample_bilinear, transform_landmarks
from convert_onnx_graph import Array, OnnxGraph
from flatbuffers import flexbuffers

_OPERATOR = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
_DTYPE = {0: np.float32, 1: np.float16, 2: np.int32, 3: np.uint8, 4: np.int64, 9: np.int8}
_FUSED_NONE, _FUSED_RELU, _FUSED_RELU6 = 0, 1, 3
_PADDING_VALID = 1


class TfliteGraph:
    """One TFLite model on its way to ONNX.

    Args:
        content: bytes of the .tflite file.
    """

    def __init__(self, content: bytes) -> None:
        self._model = tflite.Model.GetRootAsModel(content, 0)
        self._source = self._model.Subgraphs(0)
        self.graph = OnnxGraph()
        self.subsets: list[list[int]] = []
        self._constants: dict[int, Array] = {}
        self._names: dict[int, str] = {}
        for index in range(self._source.TensorsLength()):
            self._read_constant(index)
        (self.input_index,) = self._source.InputsAsNumpy().tolist()
        self._names[self.input_index] = "input"
        for number in range(self._source.OperatorsLength()):
            self._convert(self._source.Operators(number))

    # Reading.

    def shape(self, index: int) -> list[int]:
        """Shape of a tensor, NHWC as in the file."""
        tensor = self._source.Tensors(int(index))
        return tensor.ShapeAsNumpy().tolist() if tensor.ShapeLength() else []

    def outputs(self) -> dict[str, str]:
        """ONNX name of each output, by its name in the file, in order."""
        return {
            self._source.Tensors(i).Name().decode(): self._names[i]
            for i in self._source.OutputsAsNumpy().tolist()
        }

    def output_shapes(self) -> list[list[int]]:
        """Shape of each output, NHWC."""
        return [self.shape(i) for i in self._source.OutputsAsNumpy().tolist()]

    def _read_constant(self, index: int) -> None:
        tensor = self._source.Tensors(index)
        buffer = self._model.Buffers(tensor.Buffer())
        if not buffer.DataLength():
            return
        flat = np.frombuffer(buffer.DataAsNumpy().tobytes(), _DTYPE[tensor.Type()])
        sparsity = tensor.Sparsity()
        shape = self.shape(index)
        self._constants[index] = (
            flat.reshape(shape) if sparsity is None else densify(sparsity, flat, shape)
        )

    # Converting.

    def _convert(self, operator: tflite.Operator) -> None:
        code = self._model.OperatorCodes(operator.OpcodeIndex())
        name = _OPERATOR[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        if name == "CUSTOM":
            name = code.CustomCode().decode()
        inputs = operator.InputsAsNumpy().tolist()
        output = operator.OutputsAsNumpy().tolist()[0]
        if name in ("DEQUANTIZE", "DENSIFY"):
            self._constants[output] = self._constants[inputs[0]].astype(np.float32)
            return
        convert = getattr(self, "_" + name.lower(), None)
        if convert is None:
            raise NotImplementedError(f"operator {name} is not known to this converter")
        self._names[output] = convert(operator, inputs, output)

    def _options(self, operator: tflite.Operator, kind: type) -> Any:
        options, table = kind(), operator.BuiltinOptions()
        options.Init(table.Bytes, table.Pos)
        return options

    def _fuse(self, name: str, activation: int) -> str:
        if activation == _FUSED_NONE:
            return name
        if activation == _FUSED_RELU:
            return self.graph.node("Relu", [name])
        if activation == _FUSED_RELU6:
            low, high = self.graph.constant(0.0), self.graph.constant(6.0)
            return self.graph.node("Clip", [name, low, high])
        raise NotImplementedError(f"fused activation {activation}")

    def _window(self, options: Any, size: list[int], kernel: list[int], dilation: list[int]) -> Any:
        """Strides and pads; SAME puts the odd pixel at the end."""
        strides = [options.StrideH(), options.StrideW()]
        pads = [0, 0, 0, 0]
        if options.Padding() != _PADDING_VALID:
            for axis in (0, 1):
                steps = -(-size[axis] // strides[axis]) - 1
                reach = steps * strides[axis] + (kernel[axis] - 1) * dilation[axis] + 1
                missing = max(reach - size[axis], 0)
                pads[axis], pads[axis + 2] = missing // 2, missing - missing // 2
        return {"strides": strides, "pads": pads}

    def _convolve(self, operator: Any, inputs: list[int], kind: type, *, depthwise: bool) -> str:
        options = self._options(operator, kind)
        weights = self._constants[inputs[1]]
        size, kernel = self.shape(inputs[0]), list(weights.shape[1:3])
        dilation = [options.DilationHFactor(), options.DilationWFactor()]
        planes = weights.transpose(3, 0, 1, 2) if depthwise else weights.transpose(0, 3, 1, 2)
        result = self.graph.node(
            "Conv",
            [
                self._names[inputs[0]],
                self.graph.constant(planes),
                self.graph.constant(self._constants[inputs[2]]),
            ],
            kernel_shape=kernel,
            dilations=dilation,
            group=size[3] if depthwise else 1,
            **self._window(options, size[1:3], kernel, dilation),
        )
        return self._fuse(result, options.FusedActivationFunction())

    def _conv_2d(self, operator: Any, inputs: list[int], output: int) -> str:
        return self._convolve(operator, inputs, tflite.Conv2DOptions, depthwise=False)

    def _depthwise_conv_2d(self, operator: Any, inputs: list[int], output: int) -> str:
        return self._convolve(operator, inputs, tflite.DepthwiseConv2DOptions, depthwise=True)

    def _prelu(self, operator: Any, inputs: list[int], output: int) -> str:
        slope = self._constants[inputs[1]].reshape(-1, 1, 1, 1).astype(np.float32)
        name = self._names[inputs[0]]
        through = self._scale_channels(name, slope)
        rest = self._scale_channels(self.graph.node("Relu", [name]), 1.0 - slope)
        return self.graph.node("Add", [rest, through])

    def _scale_channels(self, name: str, factors: Array) -> str:
        return self.graph.node(
            "Conv",
            [name, self.graph.constant(factors)],
            kernel_shape=[1, 1],
            group=len(factors),
        )

    def _elementwise(self, op: str, operator: Any, inputs: list[int], kind: type) -> str:
        rank = len(self.shape(inputs[0]))
        names = []
        for index in inputs:
            if index not in self._constants:
                names.append(self._names[index])
                continue
            value = self._constants[index].astype(np.float32)
            if value.ndim == 4:
                value = value.transpose(0, 3, 1, 2)
            elif rank == 4 and value.size > 1:
                value = value.reshape(-1, 1, 1)
            names.append(self.graph.constant(value))
        options = self._options(operator, kind)
        return self._fuse(self.graph.node(op, names), options.FusedActivationFunction())

    def _add(self, operator: Any, inputs: list[int], output: int) -> str:
        return self._elementwise("Add", operator, inputs, tflite.AddOptions)

    def _mul(self, operator: Any, inputs: list[int], output: int) -> str:
        return self._elementwise("Mul", operator, inputs, tflite.MulOptions)

    def _pad(self, operator: Any, inputs: list[int], output: int) -> str:
        pads = self._constants[inputs[1]][[0, 3, 1, 2]]
        return self.graph.node(
            "Pad", [self._names[inputs[0]], self.graph.constant(pads.T.reshape(-1))]
        )

    def _pool(self, op: str, operator: Any, inputs: list[int]) -> str:
        options = self._options(operator, tflite.Pool2DOptions)
        size, kernel = self.shape(inputs[0])[1:3], [options.FilterHeight(), options.FilterWidth()]
        if op == "AveragePool" and kernel == size:
            return self.graph.node("GlobalAveragePool", [self._names[inputs[0]]])
        result = self.graph.node(
            op,
            [self._names[inputs[0]]],
            kernel_shape=kernel,
            **self._window(options, size, kernel, [1, 1]),
        )
        return self._fuse(result, options.FusedActivationFunction())

    def _max_pool_2d(self, operator: Any, inputs: list[int], output: int) -> str:
        return self._pool("MaxPool", operator, inputs)

    def _average_pool_2d(self, operator: Any, inputs: list[int], output: int) -> str:
        return self._pool("AveragePool", operator, inputs)

    def _relu(self, operator: Any, inputs: list[int], output: int) -> str:
        return self.graph.node("Relu", [self._names[inputs[0]]])

    def _logistic(self, operator: Any, inputs: list[int], output: int) -> str:
        return self.graph.node("Sigmoid", [self._names[inputs[0]]])

    def _resize_bilinear(self, operator: Any, inputs: list[int], output: int) -> str:
        options = self._options(operator, tflite.ResizeBilinearOptions)
        mode = "half_pixel" if options.HalfPixelCenters() else "asymmetric"
        if options.AlignCorners():
            mode = "align_corners"
        batch, height, width, channels = self.shape(output)
        sizes = self.graph.constant([batch, channels, height, width])
        return self.graph.node(
            "Resize",
            [self._names[inputs[0]], "", "", sizes],
            mode="linear",
            coordinate_transformation_mode=mode,
        )

    def _depth_to_space(self, operator: Any, inputs: list[int], output: int) -> str:
        block = self._options(operator, tflite.DepthToSpaceOptions).BlockSize()
        return self.graph.node(
            "DepthToSpace", [self._names[inputs[0]]], blocksize=block, mode="DCR"
        )

    def _reshape(self, operator: Any, inputs: list[int], output: int) -> str:
        name, size, target = self._names[inputs[0]], self.shape(inputs[0]), self.shape(output)
        if len(size) == 4 and size[1:3] != [1, 1]:
            name = self.graph.node("Transpose", [name], perm=[0, 2, 3, 1])
        if len(target) == 4:
            if target[1:3] != [1, 1]:
                raise NotImplementedError(f"reshape to {target}")
            target = [target[0], target[3], 1, 1]
        return self.graph.reshape(name, target)

    def _concatenation(self, operator: Any, inputs: list[int], output: int) -> str:
        axis = self._options(operator, tflite.ConcatenationOptions).Axis()
        if len(self.shape(inputs[0])) == 4:
            axis = [0, 2, 3, 1][axis % 4]
        return self.graph.node("Concat", [self._names[i] for i in inputs], axis=axis)

    def _strided_slice(self, operator: Any, inputs: list[int], output: int) -> str:
        if self.shape(output) != self.shape(inputs[0]):
            raise NotImplementedError("a slice that takes a part")
        return self._names[inputs[0]]

    # The custom operators of the attention model.

    def _landmarks2transformmatrix(self, operator: Any, inputs: list[int], output: int) -> str:
        settings = flexbuffers.Loads(bytes(operator.CustomOptionsAsNumpy()))
        self.subsets.append(list(settings["subset_idxs"]))
        return landmarks_to_matrix(self.graph, self._names[inputs[0]], settings)

    def _transformtensorbilinear(self, operator: Any, inputs: list[int], output: int) -> str:
        size, target = self.shape(inputs[0])[1:3], self.shape(output)[1:3]
        names = [self._names[i] for i in inputs[:2]]
        return sample_bilinear(self.graph, names[0], names[1], size, target)

    def _transformlandmarks(self, operator: Any, inputs: list[int], output: int) -> str:
        return transform_landmarks(self.graph, self._names[inputs[0]], self._names[inputs[1]])


def densify(sparsity: Any, values: Array, shape: list[int]) -> Array:
    """The dense array of a TFLite sparse tensor (traversal order, blocks, CSR levels)."""
    order = sparsity.TraversalOrderAsNumpy().tolist()
    blocks = sparsity.BlockMapAsNumpy().tolist() if sparsity.BlockMapLength() else []
    rank = len(shape)
    levels = [_level(sparsity.DimMetadata(i)) for i in range(len(order))]
    block_size = [1] * rank
    for level, axis in enumerate(order):
        if axis >= rank:
            block_size[blocks[axis - rank]] = levels[level][0]
    dense = np.zeros(shape, values.dtype)

    def fill(level: int, position: int, index: list[int]) -> None:
        if level == len(order):
            dense[tuple(index)] = values[position]
            return
        axis, (size, segments, indices) = order[level], levels[level]
        target, step = (blocks[axis - rank], 1) if axis >= rank else (axis, block_size[axis])
        entries = (
            ((position * size + i, i) for i in range(size))
            if segments is None
            else ((p, indices[p]) for p in range(segments[position], segments[position + 1]))
        )
        for child, offset in entries:
            inner = list(index)
            inner[target] += offset * step
            fill(level + 1, child, inner)

    fill(0, 0, [0] * rank)
    return dense


def _level(dimension: Any) -> tuple[int, list[int] | None, list[int]]:
    """Size of a dense level, or segments and indices of a sparse one."""
    if dimension.Format() == 0:
        return dimension.DenseSize(), None, []
    vectors = {1: tflite.Int32Vector, 2: tflite.Uint16Vector, 3: tflite.Uint8Vector}

    def read(kind: int, table: Any) -> list[int]:
        vector = vectors[kind]()
        vector.Init(table.Bytes, table.Pos)
        return [int(value) for value in vector.ValuesAsNumpy()]

    segments = read(dimension.ArraySegmentsType(), dimension.ArraySegments())
    indices = read(dimension.ArrayIndicesType(), dimension.ArrayIndices())
    return 0, segments, indices


def convert_detector(content: bytes, name: str) -> onnx.ModelProto:
    """A BlazeFace model: outputs ``regressors`` (1, N, 16) and ``scores`` (1, N, 1)."""
    source = TfliteGraph(content)
    outputs = []
    for result, target, shape in zip(
        source.outputs().values(), ("regressors", "scores"), source.output_shapes(), strict=True
    ):
        source.graph.node("Identity", [result], target)
        outputs.append((target, shape))
    height, width = source.shape(source.input_index)[1:3]
    return source.graph.model(name, [1, 3, height, width], outputs)
