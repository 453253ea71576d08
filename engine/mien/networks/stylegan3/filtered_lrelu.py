"""Leaky ReLU at a raised sampling rate: the alias-free nonlinearity.

A pointwise nonlinearity makes frequencies that the grid cannot hold. Karras et al. 2021
(section 2, figure 2; appendix D) therefore raise the rate, apply it, low-pass and return.
This module holds the readable form out of ordinary operations; faster ones register
themselves under a name and are chosen per network.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

Padding = tuple[int, int, int, int]
FilteredLrelu = Callable[
    [
        Tensor,
        Tensor | None,
        Tensor | None,
        Tensor | None,
        int,
        int,
        Padding,
        float,
        float,
        float | None,
    ],
    Tensor,
]


def filtered_lrelu(
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
    """Bias, upsample, leaky ReLU, gain, clamp, downsample.

    Args:
        x: (N, C, H, W) float32, float16 or bfloat16.
        up_filter: (t,) separable or (t, t) filter at the raised rate; None with ``up`` 1.
        down_filter: the same, for the way back.
        bias: (C,) added before any padding.
        up, down: integer factors.
        padding: left, right, top, bottom, in samples of the raised rate; negative cuts.
        gain: factor after the leaky ReLU.
        slope: factor of negative values.
        clamp: bound on the absolute value after the gain; None: none.

    Returns:
        (N, C, H', W') with ``H' = (H up + top + bottom - (t_up - 1) - (t_down - 1) - 1) //
        down + 1``, dtype of ``x``.
    """
    if bias is not None:
        x = x + bias.to(x.dtype)[None, :, None, None]
    x = upsample(x, up_filter, up, padding)
    x = F.leaky_relu(x, slope) if slope != 1.0 else x
    x = x * gain if gain != 1.0 else x
    x = x.clamp(-clamp, clamp) if clamp is not None else x
    return downsample(x, down_filter, down)


def upsample(x: Tensor, taps: Tensor | None, up: int, padding: Padding) -> Tensor:
    """``x`` at ``up`` times the rate: zeros between samples, padding, then the filter."""
    if taps is None:
        if up != 1:
            raise ValueError(f"upsampling by {up} needs a filter")
        return F.pad(x, list(padding))
    channels = x.shape[1]
    kernels = _kernels(taps.to(x.dtype) * (up if taps.ndim == 1 else up * up))
    for kernel in kernels:
        height, width = kernel.shape
        stride = (up if height > 1 else 1, up if width > 1 else 1)
        weight = kernel.expand(channels, 1, height, width)
        x = F.conv_transpose2d(x, weight, stride=stride, groups=channels)
    # A transposed convolution returns every sample that the filter touches: cut to those
    # that lie inside the padded signal.
    t = taps.shape[-1]
    left, right, top, bottom = padding
    return F.pad(x, [left - (t - 1), right - (t - up), top - (t - 1), bottom - (t - up)])


def downsample(x: Tensor, taps: Tensor | None, down: int) -> Tensor:
    """``x`` filtered, every ``down``-th sample kept."""
    if taps is None:
        return x[:, :, ::down, ::down] if down != 1 else x
    channels = x.shape[1]
    for kernel in _kernels(taps.to(x.dtype).flip(tuple(range(taps.ndim)))):
        height, width = kernel.shape
        stride = (down if height > 1 else 1, down if width > 1 else 1)
        weight = kernel.expand(channels, 1, height, width)
        x = F.conv2d(x, weight, stride=stride, groups=channels)
    return x


def _kernels(taps: Tensor) -> list[Tensor]:
    """Two passes for a separable filter, one for a two-dimensional one."""
    if taps.ndim == 1:
        return [taps[None, :], taps[:, None]]
    if taps.ndim == 2:
        return [taps]
    raise ValueError(f"expected a filter (t,) or (t, t), got {tuple(taps.shape)}")


_registry: dict[str, FilteredLrelu] = {"plain": filtered_lrelu}


def register_filtered_lrelu(name: str, function: FilteredLrelu) -> None:
    """Offers an implementation with :func:`filtered_lrelu`'s signature under a name."""
    _registry[name] = function


def filtered_lrelu_implementation(name: str) -> FilteredLrelu:
    """The implementation registered under ``name``.

    Raises:
        ValueError: nothing has that name.
    """
    try:
        return _registry[name]
    except KeyError:
        known = ", ".join(sorted(_registry))
        raise ValueError(f"no filtered_lrelu named {name!r}; known: {known}") from None
