"""The fused filtered leaky ReLU as a PyTorch operation, with derivatives.

:func:`fused_filtered_lrelu` has the signature of the plain form in
:mod:`mien.networks.stylegan3.filtered_lrelu` and registers itself there as ``fused``.

Two operations close the family under differentiation. ``mien::filtered_lrelu`` is the
nonlinearity itself; when a derivative will be wanted it also records which slope each
upsampled value had, one byte each. ``mien::filtered_lrelu_slopes`` is the linear map that
multiplies by those slopes between the two filters: it is the derivative of the first, and
its own derivative is itself with the filters exchanged and reversed. So training may
differentiate twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mien import _kernels
from mien.networks.stylegan3.filtered_lrelu import filtered_lrelu as plain_filtered_lrelu
from mien.networks.stylegan3.filtered_lrelu import register_filtered_lrelu

Padding = tuple[int, int, int, int]

_ACTIVATE, _RECORD, _REPLAY = 0, 1, 2


@dataclass(frozen=True, slots=True)
class _Geometry:
    """Factors, padding before the first sample and output size of one call."""

    up: int
    down: int
    pad_y: int
    pad_x: int
    height: int
    width: int

    def adjoint(self, x: Tensor, up_taps: Tensor, down_taps: Tensor) -> _Geometry:
        """Of the map that carries derivatives back to ``x``."""
        reach = up_taps.shape[-1] + down_taps.shape[-1] - 2
        return _Geometry(
            self.down, self.up, reach - self.pad_y, reach - self.pad_x, x.shape[2], x.shape[3]
        )


def fused_filtered_lrelu(
    x: Tensor,
    up_filter: Tensor | None = None,
    down_filter: Tensor | None = None,
    bias: Tensor | None = None,
    up: int = 1,
    down: int = 1,
    padding: Padding = (0, 0, 0, 0),
    gain: float = 2.0**0.5,
    slope: float = 0.2,
    clamp: float | None = None,
) -> Tensor:
    """Bias, upsample, leaky ReLU, gain, clamp, downsample, in one pass over memory.

    Args:
        x: (N, C, H, W) on the CPU. float32 and float64 are computed as such, half types in
            float32. ``channels_last`` is quickest and is kept.
        up_filter: (t,) separable or (t, t) filter at the raised rate; None with ``up`` 1.
        down_filter: the same, for the way back.
        bias: (C,) added before any padding.
        up: samples after upsampling for each one before, per axis.
        down: samples before downsampling for each one after, per axis.
        padding: left, right, top, bottom, in samples of the raised rate; negative cuts.
        gain: factor after the leaky ReLU.
        slope: factor of negative values; at least 0.
        clamp: bound on the absolute value after the gain; None: none.

    Returns:
        (N, C, H', W'), dtype of ``x``, as the plain form. Filters get no gradient.

    Raises:
        ValueError: sizes that leave no output, filters of another shape or more than 128
            taps, another device.
    """
    if x.ndim != 4:
        raise ValueError(f"expected x (N, C, H, W), got {tuple(x.shape)}")
    if up_filter is None and down_filter is None and up == down == 1 and not any(padding):
        return plain_filtered_lrelu(x, None, None, bias, 1, 1, padding, gain, slope, clamp)
    if x.device.type != "cpu":
        raise ValueError(f"the fused filtered_lrelu runs on the CPU, got a tensor on {x.device}")
    dtype = x.dtype if x.dtype == torch.float64 else torch.float32
    up_taps = _correlation_taps(up_filter, up, dtype, gain=up)
    down_taps = _correlation_taps(down_filter, down, dtype, gain=1)
    geometry = _geometry(x, up, down, padding, up_taps.shape[-1], down_taps.shape[-1])
    wants_derivative = torch.is_grad_enabled() and (
        x.requires_grad or (bias is not None and bias.requires_grad)
    )
    y, _codes = _forward(
        x.to(dtype),
        None if bias is None else bias.to(dtype),
        up_taps,
        down_taps,
        geometry.up,
        geometry.down,
        geometry.pad_y,
        geometry.pad_x,
        geometry.height,
        geometry.width,
        gain,
        slope,
        -1.0 if clamp is None else clamp,
        wants_derivative,
    )
    return y.to(x.dtype)


def _correlation_taps(taps: Tensor | None, factor: int, dtype: torch.dtype, gain: int) -> Tensor:
    """Reversed taps that carry the gain of upsampling; one tap of 1 for no filter."""
    if taps is None:
        if factor != 1:
            raise ValueError(f"changing the rate by {factor} needs a filter")
        return torch.ones(1, dtype=dtype)
    taps = taps.detach().to(dtype)
    scale = gain if taps.ndim == 1 else gain * gain
    return taps.flip(tuple(range(taps.ndim))) * scale


def _geometry(
    x: Tensor, up: int, down: int, padding: Padding, up_taps: int, down_taps: int
) -> _Geometry:
    left, right, top, bottom = padding

    def extent(size: int, before: int, after: int) -> int:
        raised = size * up + before + after - (up_taps - 1)
        return (raised - down_taps) // down + 1 if raised >= down_taps else 0

    height, width = extent(x.shape[2], top, bottom), extent(x.shape[3], left, right)
    if height < 1 or width < 1:
        raise ValueError(
            f"{tuple(x.shape[2:])} at {up} times the rate with padding {padding} is smaller "
            f"than the filters of {up_taps} and {down_taps} taps"
        )
    return _Geometry(up, down, top, left, height, width)


def _like(x: Tensor, height: int, width: int, dtype: torch.dtype) -> Tensor:
    last = x.is_contiguous(memory_format=torch.channels_last)
    return torch.empty(
        (x.shape[0], x.shape[1], height, width),
        dtype=dtype,
        device=x.device,
        memory_format=torch.channels_last if last else torch.contiguous_format,
    )


@torch.library.custom_op("mien::filtered_lrelu", mutates_args=(), device_types="cpu")
def _forward(
    x: Tensor,
    bias: Tensor | None,
    up_taps: Tensor,
    down_taps: Tensor,
    up: int,
    down: int,
    pad_y: int,
    pad_x: int,
    height: int,
    width: int,
    gain: float,
    slope: float,
    clamp: float,
    record: bool,
) -> tuple[Tensor, Tensor]:
    y = _like(x, height, width, x.dtype)
    codes = _codes_for(x, up_taps, down_taps, down, height, width, record)
    _kernels.filtered_lrelu(
        x.detach().numpy(),
        y.numpy(),
        None if bias is None else bias.detach().contiguous().numpy(),
        up_taps.contiguous().numpy(),
        down_taps.contiguous().numpy(),
        up,
        down,
        pad_y,
        pad_x,
        gain,
        slope,
        clamp,
        mode=_RECORD if record else _ACTIVATE,
        codes=codes.numpy() if record else None,
        threads=torch.get_num_threads(),
    )
    return y, codes


def _codes_for(
    x: Tensor, up_taps: Tensor, down_taps: Tensor, down: int, height: int, width: int, record: bool
) -> Tensor:
    if not record:
        return torch.empty((0, 0, 0, 0), dtype=torch.uint8, device=x.device)
    taps = down_taps.shape[-1]
    return torch.empty(
        (x.shape[0], x.shape[1], (height - 1) * down + taps, (width - 1) * down + taps),
        dtype=torch.uint8,
        device=x.device,
        memory_format=torch.channels_last,
    )


@_forward.register_fake
def _(  # type: ignore[no-untyped-def]
    x, bias, up_taps, down_taps, up, down, pad_y, pad_x, height, width, gain, slope, clamp, record
):
    codes = _codes_for(x, up_taps, down_taps, down, height, width, record)
    return _like(x, height, width, x.dtype), codes


@torch.library.custom_op("mien::filtered_lrelu_slopes", mutates_args=(), device_types="cpu")
def _slopes(
    x: Tensor,
    codes: Tensor,
    up_taps: Tensor,
    down_taps: Tensor,
    up: int,
    down: int,
    pad_y: int,
    pad_x: int,
    height: int,
    width: int,
    gain: float,
    slope: float,
    codes_y: int,
    codes_x: int,
) -> Tensor:
    y = _like(x, height, width, x.dtype)
    _kernels.filtered_lrelu(
        x.detach().numpy(),
        y.numpy(),
        None,
        up_taps.contiguous().numpy(),
        down_taps.contiguous().numpy(),
        up,
        down,
        pad_y,
        pad_x,
        gain,
        slope,
        -1.0,
        mode=_REPLAY,
        codes=codes.numpy(),
        codes_y=codes_y,
        codes_x=codes_x,
        threads=torch.get_num_threads(),
    )
    return y


@_slopes.register_fake
def _(  # type: ignore[no-untyped-def]
    x,
    codes,
    up_taps,
    down_taps,
    up,
    down,
    pad_y,
    pad_x,
    height,
    width,
    gain,
    slope,
    codes_y,
    codes_x,
):
    return _like(x, height, width, x.dtype)


def _call_adjoint(ctx: object, grad: Tensor) -> Tensor:
    codes, up_taps, down_taps = ctx.saved_tensors  # type: ignore[attr-defined]
    geometry, gain, slope, codes_y, codes_x = ctx.settings  # type: ignore[attr-defined]
    back = geometry.adjoint(ctx.like, up_taps, down_taps)  # type: ignore[attr-defined]
    shift = up_taps.shape[-1] - 1
    result: Tensor = _slopes(
        grad,
        codes,
        down_taps.flip(tuple(range(down_taps.ndim))),
        up_taps.flip(tuple(range(up_taps.ndim))),
        back.up,
        back.down,
        back.pad_y,
        back.pad_x,
        back.height,
        back.width,
        gain,
        slope,
        codes_y + geometry.pad_y - shift,
        codes_x + geometry.pad_x - shift,
    )
    return result


def _forward_context(ctx, inputs, output):  # type: ignore[no-untyped-def]
    x, bias, up_taps, down_taps, *numbers = inputs
    up, down, pad_y, pad_x, height, width, gain, slope, _clamp, _record = numbers
    ctx.save_for_backward(output[1], up_taps, down_taps)
    ctx.set_materialize_grads(False)
    ctx.settings = (_Geometry(up, down, pad_y, pad_x, height, width), gain, slope, 0, 0)
    ctx.like = torch.empty(x.shape, device="meta")
    ctx.has_bias = bias is not None


def _forward_backward(ctx, grad_y, grad_codes):  # type: ignore[no-untyped-def]
    if grad_y is None:
        return (None,) * 14
    grad_x = _call_adjoint(ctx, grad_y)
    grad_bias = grad_x.sum(dim=(0, 2, 3)) if ctx.has_bias and ctx.needs_input_grad[1] else None
    return grad_x, grad_bias, *(None,) * 12


def _slopes_context(ctx, inputs, output):  # type: ignore[no-untyped-def]
    x, codes, up_taps, down_taps, *numbers = inputs
    up, down, pad_y, pad_x, height, width, gain, slope, codes_y, codes_x = numbers
    ctx.save_for_backward(codes, up_taps, down_taps)
    geometry = _Geometry(up, down, pad_y, pad_x, height, width)
    ctx.settings = (geometry, gain, slope, codes_y, codes_x)
    ctx.like = torch.empty(x.shape, device="meta")


def _slopes_backward(ctx, grad_y):  # type: ignore[no-untyped-def]
    return _call_adjoint(ctx, grad_y), *(None,) * 13


torch.library.register_autograd(
    "mien::filtered_lrelu", _forward_backward, setup_context=_forward_context
)
torch.library.register_autograd(
    "mien::filtered_lrelu_slopes", _slopes_backward, setup_context=_slopes_context
)
register_filtered_lrelu("fused", fused_filtered_lrelu)
