"""The filtered leaky ReLU as plain ONNX nodes, in two exact forms.

*depthwise*: transposed depthwise convolution up, strided depthwise convolution down; few
nodes, what TensorRT fuses best.

*polyphase*: the raised signal is never put together. Its phases (every second or fourth
sample, per axis) are convolutions of the input without stride, and the way down is a sum of
convolutions over phases without stride. No arithmetic touches an inserted zero, and every
node is a depthwise convolution in the blocked layout that ONNX Runtime is fastest in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mien.networks._onnx_graph import Array, Graph
from mien.networks.stylegan3.plain_stage import plan_plain
from mien.networks.stylegan3.schedule import LayerSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterStage:
    """What happens between one convolution and the next, along one axis.

    Attributes:
        size: samples that come in, after cropping.
        crop: samples of the convolution's output that nothing needs: before, after.
        offset: index, in the full transposed convolution, of the first raised sample used.
        up_taps, down_taps: filters; the upsampling one already scaled by ``up`` per axis.
    """

    size: int
    out_size: int
    crop: tuple[int, int]
    offset: int
    up: int
    down: int
    up_taps: Array
    down_taps: Array


def plan_stage(spec: LayerSpec, up_taps: Array | None, down_taps: Array | None) -> FilterStage:
    """The stage of a layer, with the samples found that no output depends on."""
    up = np.ones(1, np.float64) if up_taps is None else up_taps.astype(np.float64) * spec.up
    down = np.ones(1, np.float64) if down_taps is None else down_taps.astype(np.float64)
    size = spec.in_size + spec.conv_kernel - 1
    reach = math.ceil(len(up) / spec.up)  # taps of one phase
    offset = len(up) - 1 - spec.padding[0]
    raised = (spec.out_size - 1) * spec.down + down.shape[0]
    before = max(0, offset // spec.up - (reach - 1))
    after = max(0, size - 1 - (offset + raised - 1) // spec.up)
    return FilterStage(
        size=size - before - after,
        out_size=spec.out_size,
        crop=(before, after),
        offset=offset - before * spec.up,
        up=spec.up,
        down=spec.down,
        up_taps=up,
        down_taps=down,
    )


def plain_stage(spec: LayerSpec) -> FilterStage:
    """The same of a layer without filters: only what is cropped and what is left."""
    size = spec.in_size + spec.conv_kernel - 1
    plan = plan_plain(size, spec.out_size, spec.up, spec.down)
    one = np.ones(1, np.float64)
    return FilterStage(
        size=plan.size, out_size=spec.out_size, crop=(plan.crop, plan.crop), offset=0,
        up=spec.up, down=spec.down, up_taps=one, down_taps=one,
    )  # fmt: skip


def plain_form(
    graph: Graph, x: str, spec: LayerSpec, activation: tuple[float, float, float | None]
) -> str:
    """Adds a leaky ReLU and bilinear enlargement, without filters."""
    gain = activation[1]
    x = graph.op("Mul", activate(graph, x, *activation), graph.half(gain, "gain"))
    size = spec.in_size + spec.conv_kernel - 1
    plan = plan_plain(size, spec.out_size, spec.up, spec.down)
    if plan.factor == 1:
        return x
    scales = graph.single([1.0, 1.0, plan.factor, plan.factor], "scales")
    x = graph.op("Resize", x, "", scales, mode="linear", name="enlarged")
    begin = graph.integers([plan.trim] * 2)
    end = graph.integers([plan.trim + spec.out_size] * 2)
    return str(graph.op("Slice", x, begin, end, graph.integers([2, 3]), name="inner"))


def activate(graph: Graph, x: str, slope: float, gain: float, clamp: float | None) -> str:
    """Leaky ReLU, gain, clamp. Both are homogeneous, so the gain comes last, in the filter."""
    if slope != 1.0:
        x = graph.op("LeakyRelu", x, alpha=slope)
    if clamp is not None:
        bound = clamp / gain
        x = graph.op("Clip", x, graph.half(-bound, "low"), graph.half(bound, "high"))
    return x


def depthwise_form(
    graph: Graph,
    x: str,
    stage: FilterStage,
    channels: int,
    activation: tuple[float, float, float | None],
) -> str:
    """Adds the stage as transposed and strided depthwise convolutions."""
    gain = activation[1]
    if stage.up_taps.shape[0] > 1:
        raised = (stage.out_size - 1) * stage.down + stage.down_taps.shape[0]
        full = (stage.size - 1) * stage.up + len(stage.up_taps)
        begin, end = stage.offset, full - stage.offset - raised
        x = _zero_pad(graph, x, -begin, -end)
        begin, end = max(begin, 0), max(end, 0)
        kernel = stage.up_taps
        for axis in (1, 0):
            weight = _depthwise(graph, kernel.reshape((1, -1) if axis else (-1, 1)), channels)
            x = graph.op(
                "ConvTranspose",
                x,
                weight,
                group=channels,
                strides=_along(axis, stage.up, 1),
                pads=_along(axis, begin, 0) + _along(axis, end, 0),
                name="up",
            )
    x = activate(graph, x, *activation)
    taps = np.flip(stage.down_taps) * gain
    if taps.ndim == 2:
        return str(_down(graph, x, taps, channels, [stage.down, stage.down]))
    if len(taps) == 1:
        return x if gain == 1.0 else str(graph.op("Mul", x, graph.half(gain, "gain")))
    x = _down(graph, x, taps.reshape(1, -1), channels, [1, stage.down])
    return _down(graph, x, taps.reshape(-1, 1) / gain, channels, [stage.down, 1])


def polyphase_form(
    graph: Graph,
    x: str,
    stage: FilterStage,
    channels: int,
    activation: tuple[float, float, float | None],
) -> str:
    """Adds the stage as depthwise convolutions over phases."""
    phases = _Phases(stage)
    rows: dict[tuple[int, int], str] = {}
    for phase_x in range(stage.up):
        across = phases.raise_axis(graph, x, phase_x, 1, channels)
        for phase_y in range(stage.up):
            raised = phases.raise_axis(graph, across, phase_y, 0, channels)
            rows[phase_y, phase_x] = _activate_blocked(graph, raised, channels, activation)
    outputs = []
    for out_y in range(phases.outputs):
        for out_x in range(phases.outputs):
            outputs.append(phases.lower(graph, rows, out_y, out_x, channels, activation[1]))
    if len(outputs) == 1:
        return outputs[0]
    stacked = graph.op("Concat", *outputs, axis=1)
    return str(graph.op("DepthToSpace", stacked, blocksize=phases.outputs, mode="DCR"))


def _activate_blocked(
    graph: Graph, x: str, channels: int, activation: tuple[float, float, float | None]
) -> str:
    """The activation without leaving ONNX Runtime's blocked layout.

    That runtime merges one activation into the convolution before it. A clamp after a leaky
    ReLU would be a node of its own in the plain layout, and turning every phase there and back
    costs more than the filters (measured: 0.6 of 5.5 s for T-256): a convolution by one gives
    the clamp something to merge into.
    """
    slope, gain, clamp = activation
    x = activate(graph, x, slope, gain, None)
    if clamp is None:
        return x
    x = str(graph.op("Conv", x, _depthwise(graph, np.ones((1, 1)), channels), group=channels))
    return activate(graph, x, 1.0, gain, clamp)


class _Phases:
    """Index arithmetic of the polyphase form, the same for both axes.

    Raised sample ``m`` (counted in the full transposed convolution) is ``m = q up + r``:
    sample ``q`` of phase ``r``, the sum over ``j`` of ``x[q - j] h[j up + r]``. Output
    ``l = i outputs + p`` sums raised samples ``offset + l down + k``, so that tap ``k`` meets
    phase ``r`` at ``q = i + a`` where ``a up + r = offset + p down + k``.
    """

    def __init__(self, stage: FilterStage) -> None:
        if stage.up % stage.down or stage.out_size % (stage.up // stage.down):
            raise ValueError("the polyphase form needs up to be a multiple of down")
        self.stage = stage
        self.outputs = stage.up // stage.down
        self.reach = math.ceil(len(stage.up_taps) / stage.up)
        self.count = stage.out_size // self.outputs
        self.windows = [self._window(r) for r in range(stage.up)]

    def _window(self, phase: int) -> tuple[int, int]:
        """First and last ``a`` for which a phase is needed, widened to fit the samples."""
        s = self.stage
        last_tap = s.down_taps.shape[0] - 1
        shifts = [s.offset + p * s.down - phase for p in range(self.outputs)]
        first = min(-(-shift // s.up) for shift in shifts)
        last = max((shift + last_tap) // s.up for shift in shifts)
        return min(first, self.reach - 1), max(last, s.size - self.count)

    def raise_axis(self, graph: Graph, x: str, phase: int, axis: int, channels: int) -> str:
        """One phase of ``x`` along an axis (1: x, 0: y)."""
        s = self.stage
        first, last = self.windows[phase]
        taps = np.zeros(self.reach)
        part = s.up_taps[phase :: s.up]
        taps[: len(part)] = part
        kernel = taps[::-1]
        before, after = self.reach - 1 - first, self.count - 1 + last - (s.size - 1)
        weight = _depthwise(graph, kernel.reshape((1, -1) if axis else (-1, 1)), channels)
        return str(
            graph.op(
                "Conv",
                x,
                weight,
                group=channels,
                pads=_along(axis, before, 0) + _along(axis, after, 0),
                name="raise",
            )
        )

    def lower(
        self,
        graph: Graph,
        raised: dict[tuple[int, int], str],
        out_y: int,
        out_x: int,
        channels: int,
        gain: float,
    ) -> str:
        """One phase of the output from all phases of the raised signal."""
        s = self.stage
        taps = np.flip(s.down_taps) * gain
        if taps.ndim == 2:
            parts = []
            for (phase_y, phase_x), source in raised.items():
                kernel = self._split(self._split(taps, phase_y, out_y).T, phase_x, out_x).T
                parts.append(_down(graph, source, kernel, channels, [1, 1]))
            return _sum(graph, parts)
        columns = []
        for phase_x in range(s.up):
            parts = []
            for phase_y in range(s.up):
                kernel = self._split(taps, phase_y, out_y).reshape(-1, 1)
                parts.append(_down(graph, raised[phase_y, phase_x], kernel, channels, [1, 1]))
            kernel = self._split(taps / gain, phase_x, out_x).reshape(1, -1)
            columns.append(_down(graph, _sum(graph, parts), kernel, channels, [1, 1]))
        return _sum(graph, columns)

    def _split(self, taps: Array, phase: int, output: int) -> Array:
        """The taps, along axis 0, that meet one phase, over the phase's window."""
        s = self.stage
        first, last = self.windows[phase]
        shift = s.offset + output * s.down - phase
        result = np.zeros((last - first + 1, *taps.shape[1:]))
        for a in range(first, last + 1):
            tap = a * s.up - shift
            if 0 <= tap < len(taps):
                result[a - first] = taps[tap]
        return result


def _sum(graph: Graph, parts: Sequence[str]) -> str:
    total = parts[0]
    for part in parts[1:]:
        total = graph.op("Add", total, part, name="sum")
    return total


def _down(graph: Graph, x: str, taps: Array, channels: int, strides: list[int]) -> str:
    weight = _depthwise(graph, taps, channels)
    return str(graph.op("Conv", x, weight, group=channels, strides=strides, name="down"))


def _depthwise(graph: Graph, kernel: Array, channels: int) -> str:
    weight = np.broadcast_to(kernel, (channels, 1, *kernel.shape))
    return graph.half(weight, "taps")


def _along(axis: int, value: int, other: int) -> list[int]:
    return [other, value] if axis else [value, other]


def _zero_pad(graph: Graph, x: str, begin: int, end: int) -> str:
    """Zeros around a raised signal cannot be asked of a transposed convolution."""
    if begin <= 0 and end <= 0:
        return x
    raise ValueError("the layer pads more than its filter reaches; use the polyphase form")
