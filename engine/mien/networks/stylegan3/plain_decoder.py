"""The same layers without alias-free filters: an ordinary decoder, to compare with.

Each layer is a modulated convolution (Karras et al. 2020, *Analyzing and Improving the Image
Quality of StyleGAN*), a leaky ReLU at the layer's own rate, and bilinear enlargement where the
rate rises. Weights, sizes and rates are those of the alias-free network, so that what differs is
the filtering alone: it is quicker, and texture may cling to the pixel grid.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from mien.networks.stylegan3.filtered_lrelu import Padding, register_filtered_lrelu
from mien.networks.stylegan3.plain_stage import plan_plain

NAME = "conv"


def plain_lrelu(
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
    """Bias, leaky ReLU, gain, clamp, enlargement; filters tell only how large the result is.

    See :func:`mien.networks.stylegan3.filtered_lrelu.filtered_lrelu` for the arguments.
    """
    taps = sum(0 if one is None else one.shape[-1] - 1 for one in (up_filter, down_filter))
    out = (x.shape[-1] * up + padding[0] + padding[1] - taps - 1) // down + 1
    stage = plan_plain(x.shape[-1], out, up, down)
    x = x[:, :, stage.crop : stage.crop + stage.size, stage.crop : stage.crop + stage.size]
    if bias is not None:
        x = x + bias.to(x.dtype)[None, :, None, None]
    x = F.leaky_relu(x, slope) if slope != 1.0 else x
    x = x * gain if gain != 1.0 else x
    x = x.clamp(-clamp, clamp) if clamp is not None else x
    if stage.factor == 1:
        return x
    x = F.interpolate(x, scale_factor=stage.factor, mode="bilinear", align_corners=False)
    return x[:, :, stage.trim : stage.trim + out, stage.trim : stage.trim + out]


register_filtered_lrelu(NAME, plain_lrelu)
