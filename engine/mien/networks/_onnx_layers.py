"""The synthesis network's layers as ONNX nodes, from the weights alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mien.networks._onnx_filters import (
    FilterStage,
    depthwise_form,
    plain_form,
    plain_stage,
    plan_stage,
    polyphase_form,
)
from mien.networks._onnx_graph import Array, Graph
from mien.networks._onnx_winograd import TAPS, add_winograd
from mien.networks.stylegan3.config import GeneratorConfig
from mien.networks.stylegan3.schedule import InputSpec, LayerSpec

_DEMODULATION_EPSILON = 1e-8
# Below, copies cost more than multiplications (measured on one core with AVX-512).
_WINOGRAD_CHANNELS = 48
_LEAKY_SLOPE = 0.2
_LEAKY_GAIN = math.sqrt(2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A layer's tensors by their short names."""

    tensors: Mapping[str, Array]
    prefix: str

    def __getitem__(self, name: str) -> Array:
        return np.asarray(self.tensors[f"{self.prefix}.{name}"], dtype=np.float64)

    def get(self, name: str) -> Array | None:
        """The tensor, or None if the layer has none of that name."""
        return self[name] if f"{self.prefix}.{name}" in self.tensors else None


def add_input_layer(
    graph: Graph,
    weights: Weights,
    spec: InputSpec,
    w: str,
    motion_input: str,
    channels: int,
    *,
    warped: bool,
) -> str:
    """Plane waves on the grid, turned and shifted; float32 throughout, then lowered.

    With homogeneous coordinates, row c of ``[f, 0] @ M`` holds the turned frequency and the
    phase shift of wave c at once, and a product with the grid ``[x, y, 1]`` gives all angles.
    Where ``warped``, the grid is an input (1, size, size, 2) and the picture's own motion is in it.
    """
    turn = 2.0 * math.pi
    motion = _dense(graph, weights, w)  # (1, 4): cos, sin, shift x, shift y, not normalised
    pick = graph.op("Slice", motion, graph.integers([0]), graph.integers([2]), graph.integers([1]))
    length = graph.norm(pick)
    motion = graph.op("Div", motion, length, name="motion")
    rotate, shift = np.zeros((4, 9)), np.zeros((4, 9))
    rotate[0, [0, 4]] = 1.0
    rotate[1, 3], rotate[1, 1] = 1.0, -1.0
    shift[2, 2] = shift[3, 5] = -1.0
    corner, unit = np.zeros(9), np.eye(3).ravel()
    corner[8] = 1.0
    square = graph.integers([3, 3])
    rotation = graph.op("Gemm", motion, graph.single(rotate), graph.single(corner), name="rotation")
    rotation = graph.op("Reshape", rotation, square)
    moved = graph.op("Gemm", motion, graph.single(shift), graph.single(unit), name="shift")
    moved = graph.op("Reshape", moved, square)
    matrix = graph.op("MatMul", rotation, moved)
    if not warped:
        given = graph.op("Reshape", motion_input, square)
        matrix = graph.op("MatMul", matrix, given, name="matrix")
    homogeneous = np.concatenate([weights["freqs"], np.zeros((spec.channels, 1))], axis=1)
    waves = graph.op("MatMul", graph.single(homogeneous, "freqs"), matrix, name="waves")  # (C, 3)
    phases = graph.single(weights["phases"][:, None] * turn, "phases")
    mix = _padded(weights["weight"] / math.sqrt(spec.channels), channels, axis=0)
    shape = graph.integers([1, channels, spec.size, spec.size])
    if warped:
        flat = graph.op("Reshape", motion_input, graph.integers([spec.size**2, 2]))
        places = graph.op("Mul", graph.op("Transpose", flat, perm=[1, 0]), graph.single(turn))
        ones = graph.single(np.full((1, spec.size**2), turn))
        grid = graph.op("Concat", places, ones, axis=0, name="places")
        angle = graph.op("Add", graph.op("MatMul", waves, grid), phases, name="angle")
        mixed = graph.op("MatMul", graph.single(mix, "mix"), graph.op("Sin", angle))
        return graph.lower(graph.op("Reshape", mixed, shape, name="features"))

    planar = graph.op("Mul", waves, graph.single([1.0, 1.0, 0.0]))
    frequency = graph.norm(planar, "frequency")
    span = spec.sampling_rate / 2.0 - spec.bandwidth
    fade = graph.op("Mul", frequency, graph.single(-1.0 / span))
    fade = graph.op("Add", fade, graph.single(1.0 + spec.bandwidth / span))
    amplitude = graph.op("Clip", fade, graph.single(0.0), graph.single(1.0), name="amplitude")

    axis = (np.arange(spec.size) - (spec.size - 1) / 2.0) / spec.sampling_rate
    x, y = np.meshgrid(axis, axis)
    grid = np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    angle = graph.op("MatMul", waves, graph.single(grid * turn, "grid"))
    angle = graph.op("Add", angle, phases, name="angle")
    wave = graph.op("Mul", graph.op("Sin", angle), amplitude)
    mixed = graph.op("MatMul", graph.single(mix, "mix"), wave)
    return graph.lower(graph.op("Reshape", mixed, shape, name="features"))


def add_layer(
    graph: Graph,
    config: GeneratorConfig,
    weights: Weights,
    spec: LayerSpec,
    x: str,
    w: str,
    *,
    channels: tuple[int, int],
    polyphase: bool,
    filtered: bool = True,
) -> str:
    """Style, convolution in scale form, filtered leaky ReLU.

    Args:
        channels: of input and output, at least the layer's; surplus ones are zero.
        filtered: False leaves the filters out, see
            :mod:`mien.networks.stylegan3.plain_decoder`.
    """
    if filtered:
        stage = plan_stage(spec, weights.get("up_filter"), weights.get("down_filter"))
    else:
        stage = plain_stage(spec)
    if spec.is_torgb:
        return _add_to_rgb(graph, config, weights, spec, x, w, channels[0])
    scale, demodulation = _add_style(graph, weights, spec, w, channels)
    x = graph.op("Mul", x, scale, name="scaled")
    weight = _unit_rows(weights["weight"])
    weight = _padded(_padded(weight, channels[0], axis=1), channels[1], axis=0)
    x = _add_convolution(graph, weight, spec, stage, x, winograd=polyphase)
    x = graph.op("Mul", x, demodulation, name="demodulated")
    bias = _padded(weights["bias"], channels[1]).reshape(1, -1, 1, 1)
    x = graph.op("Add", x, graph.half(bias, "bias"), name="biased")
    if not filtered:
        return plain_form(graph, x, spec, (_LEAKY_SLOPE, _LEAKY_GAIN, config.conv_clamp))
    form = polyphase_form if polyphase else depthwise_form
    return form(graph, x, stage, channels[1], (_LEAKY_SLOPE, _LEAKY_GAIN, config.conv_clamp))


def _add_style(
    graph: Graph, weights: Weights, spec: LayerSpec, w: str, channels: tuple[int, int]
) -> tuple[str, str]:
    """Scales of input and output channels, computed in float32.

    The style is brought to unit mean square first, and demodulation cancels that: features
    stay in the range of half precision whatever the style's size.
    """
    style = _dense(graph, weights, w)
    direction = graph.op("Div", style, graph.norm(style))
    magnitude = math.sqrt(spec.in_channels) / math.sqrt(float(weights["magnitude_ema"]))
    scale = graph.op("Mul", direction, graph.single(magnitude, "magnitude"))
    energy = np.square(_unit_rows(weights["weight"])).sum(axis=(2, 3)).T * spec.in_channels
    energy = _padded(energy, channels[1], axis=1, value=1.0)
    epsilon = _DEMODULATION_EPSILON / weights["weight"][0].size
    squared = graph.op("Mul", direction, direction)
    total = graph.op(
        "Gemm", squared, graph.single(energy, "energy"), graph.single(np.full(channels[1], epsilon))
    )
    demodulation = graph.op("Reciprocal", graph.op("Sqrt", total), name="demodulation")
    return (
        _per_channel(graph, scale, spec.in_channels, channels[0]),
        _per_channel(graph, demodulation, channels[1], channels[1]),
    )


def _add_convolution(
    graph: Graph, weight: Array, spec: LayerSpec, stage: FilterStage, x: str, *, winograd: bool
) -> str:
    """The convolution, without the border that the filters would cut off again."""
    border = spec.conv_kernel - 1
    before, after = (max(0, border - cut) for cut in stage.crop)
    cuts = [max(0, cut - border) for cut in stage.crop]
    size = spec.in_size - sum(cuts)
    if any(cuts):
        begin, end = graph.integers([cuts[0]] * 2), graph.integers([cuts[0] + size] * 2)
        x = graph.op("Slice", x, begin, end, graph.integers([2, 3]), name="crop")
    wide = min(weight.shape[:2]) >= _WINOGRAD_CHANNELS
    if winograd and wide and spec.conv_kernel == TAPS and graph.precision == "fp32":
        return add_winograd(graph, x, weight, size, (before, after))
    pads = [before, before, after, after]
    return str(graph.op("Conv", x, graph.half(weight, "weight"), pads=pads))


def _add_to_rgb(
    graph: Graph,
    config: GeneratorConfig,
    weights: Weights,
    spec: LayerSpec,
    x: str,
    w: str,
    channels: int,
) -> str:
    """The last layer: no demodulation, no filters; the output scale is in its weights."""
    gain = 1.0 / math.sqrt(spec.in_channels * float(weights["magnitude_ema"]))
    style = _dense(graph, weights, w, gain=gain)
    x = graph.op("Mul", x, _per_channel(graph, style, spec.in_channels, channels), name="scaled")
    weight = _padded(weights["weight"] * config.output_scale, channels, axis=1)
    bias = weights["bias"] * config.output_scale
    x = graph.op("Conv", x, graph.half(weight, "weight"), graph.half(bias, "bias"))
    x = graph.raise_(x)
    if config.conv_clamp is not None:
        bound = config.conv_clamp * config.output_scale
        x = graph.op("Clip", x, graph.single(-bound, "low"), graph.single(bound, "high"))
    return x


def _dense(graph: Graph, weights: Weights, w: str, gain: float = 1.0) -> str:
    """The layer's affine map of w, (1, w_dim) -> (1, n), in float32."""
    matrix = weights["affine.weight"]
    scaled = matrix.T * (gain / math.sqrt(matrix.shape[1]))
    bias = weights["affine.bias"] * gain
    return str(
        graph.op("Gemm", w, graph.single(scaled, "affine"), graph.single(bias), name="style")
    )


def _per_channel(graph: Graph, x: str, count: int, padded: int) -> str:
    """(1, count) float32 as (1, padded, 1, 1) in the graph's precision."""
    if padded > count:
        amount = graph.integers([0, 0, 0, padded - count])
        x = graph.op("Pad", x, amount)
    x = graph.op("Reshape", x, graph.integers([1, padded, 1, 1]))
    return graph.lower(x)


def _unit_rows(weight: Array) -> Array:
    """Weights with every output channel at unit norm."""
    norm = np.sqrt(np.square(weight).sum(axis=(1, 2, 3), keepdims=True))
    return np.asarray(weight / norm)


def _padded(array: Array, size: int, axis: int = 0, value: float = 0.0) -> Array:
    widths = [(0, 0)] * array.ndim
    widths[axis] = (0, size - array.shape[axis])
    return np.pad(array, widths, constant_values=value)
