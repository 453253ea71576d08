"""Synthesis network: plane waves, modulated convolutions, alias-free nonlinearities.

Karras et al. 2021, section 3 and appendix F. The convolution is in *scale form*: features
are scaled by the style before and demodulated after a convolution whose weights do not
depend on w. It equals modulated weights (Karras et al. 2020, *Analyzing and Improving the
Image Quality of StyleGAN*, equations 1 and 3) exactly and needs no grouped convolution.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.networks.stylegan3.config import GeneratorConfig
from mien.networks.stylegan3.dense import LEAKY_GAIN, LEAKY_SLOPE, DenseLayer
from mien.networks.stylegan3.filtered_lrelu import (
    FilteredLrelu,
    filtered_lrelu,
    filtered_lrelu_implementation,
)
from mien.networks.stylegan3.filters import design_lowpass
from mien.networks.stylegan3.input_layer import InputLayer
from mien.networks.stylegan3.schedule import LayerSpec, design_schedule

DEMODULATION_EPSILON = 1e-8


def modulated_conv(
    x: Tensor, weight: Tensor, style: Tensor, *, demodulate: bool, input_gain: Tensor
) -> Tensor:
    """Convolution of ``x`` with weights that the style scales per input channel.

    Args:
        x: (N, I, H, W), any float dtype; the product runs in it.
        weight: (O, I, k, k) float32.
        style: (N, I) float32.
        demodulate: bring every output channel back to unit variance.
        input_gain: () float32, one over the expected magnitude of ``x``.

    Returns:
        (N, O, H + k - 1, W + k - 1), dtype of ``x``.
    """
    fan_in = weight[0].numel()
    demodulation = None
    if demodulate:
        # Rows of unit norm and styles of unit mean square keep half precision far from its
        # limits; demodulation cancels both scales.
        weight = weight * (weight.square().sum(dim=(1, 2, 3), keepdim=True)).rsqrt()
        style = style * style.square().mean(dim=1, keepdim=True).rsqrt()
        energy = style.square() @ weight.square().sum(dim=(2, 3)).T
        demodulation = (energy + DEMODULATION_EPSILON / fan_in).rsqrt()
    x = x * (style * input_gain).to(x.dtype)[:, :, None, None]
    x = F.conv2d(x, weight.to(x.dtype), padding=weight.shape[-1] - 1)
    return x if demodulation is None else x * demodulation.to(x.dtype)[:, :, None, None]


class SynthesisLayer(nn.Module):
    """Style, modulated convolution, filtered leaky ReLU."""

    magnitude_ema: Tensor
    up_filter: Tensor | None
    down_filter: Tensor | None

    def __init__(self, config: GeneratorConfig, spec: LayerSpec) -> None:
        super().__init__()
        self.spec = spec
        self.conv_clamp = config.conv_clamp
        self.magnitude_ema_beta = config.magnitude_ema_beta
        self.filtered_lrelu: FilteredLrelu = filtered_lrelu
        shape = (spec.out_channels, spec.in_channels, spec.conv_kernel, spec.conv_kernel)
        self.affine = DenseLayer(config.w_dim, spec.in_channels, bias_value=1.0)
        self.weight = nn.Parameter(torch.randn(shape))
        self.bias = nn.Parameter(torch.zeros(spec.out_channels))
        self.register_buffer("magnitude_ema", torch.ones(()))
        rate = spec.tmp_sampling_rate
        up = design_lowpass(spec.up_taps, spec.in_cutoff, spec.in_half_width, rate)
        down = design_lowpass(
            spec.down_taps, spec.out_cutoff, spec.out_half_width, rate, radial=spec.radial
        )
        self.register_buffer("up_filter", None if up is None else torch.tensor(up))
        self.register_buffer("down_filter", None if down is None else torch.tensor(down))

    def forward(self, x: Tensor, w: Tensor, *, update_emas: bool = False) -> Tensor:
        """(N, in, H, W) and (N, w_dim) -> (N, out, H', W')."""
        spec = self.spec
        if update_emas:
            magnitude = x.detach().to(torch.float32).square().mean()
            self.magnitude_ema.copy_(magnitude.lerp(self.magnitude_ema, self.magnitude_ema_beta))
        style = self.affine(w)
        if spec.is_torgb:
            style = style / math.sqrt(spec.in_channels * spec.conv_kernel**2)
        x = modulated_conv(
            x,
            self.weight,
            style,
            demodulate=not spec.is_torgb,
            input_gain=self.magnitude_ema.rsqrt(),
        )
        return self.filtered_lrelu(
            x,
            self.up_filter,
            self.down_filter,
            self.bias,
            spec.up,
            spec.down,
            spec.padding,
            1.0 if spec.is_torgb else LEAKY_GAIN,
            1.0 if spec.is_torgb else LEAKY_SLOPE,
            self.conv_clamp,
        )


class SynthesisNetwork(nn.Module):
    """ws (N, num_ws, w_dim) -> picture (N, 3, size, size)."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        schedule = design_schedule(config)
        self.num_ws = config.num_ws
        self.w_dim = config.w_dim
        self.output_scale = config.output_scale
        self.input = InputLayer(config, schedule.input)
        self.layer_names = tuple(spec.name for spec in schedule.layers)
        for spec in schedule.layers:
            setattr(self, spec.name, SynthesisLayer(config, spec))
        self.compute_dtype = torch.float32

    @property
    def layers(self) -> list[SynthesisLayer]:
        """The layers after the input, first to last."""
        return [getattr(self, name) for name in self.layer_names]

    def set_precision(self, dtype: torch.dtype) -> None:
        """Sets what the layers compute in; input waves and styles stay float32."""
        self.compute_dtype = dtype

    def set_filtered_lrelu(self, implementation: str | FilteredLrelu) -> None:
        """Makes every layer use another implementation, by name or as a function."""
        if isinstance(implementation, str):
            implementation = filtered_lrelu_implementation(implementation)
        for layer in self.layers:
            layer.filtered_lrelu = implementation

    def forward(
        self, ws: Tensor, transform: Tensor | None = None, *, update_emas: bool = False
    ) -> Tensor:
        """Picture of every stack of latents.

        Args:
            ws: (N, num_ws, w_dim) float32.
            transform: (3, 3) or (N, 3, 3) that replaces the input layer's: it turns and
                shifts the picture; None keeps the stored one.
            update_emas: let the magnitude averages follow; for training.

        Returns:
            (N, 3, size, size) float32, about -1..1, not clipped.
        """
        if ws.ndim != 3 or ws.shape[1:] != (self.num_ws, self.w_dim):
            raise ValueError(f"expected ws (N, {self.num_ws}, {self.w_dim}), got {tuple(ws.shape)}")
        ws = ws.to(torch.float32)
        x = self.input(ws[:, 0], transform).to(self.compute_dtype)
        for layer, w in zip(self.layers, ws[:, 1:].unbind(dim=1), strict=True):
            x = layer(x, w, update_emas=update_emas)
        return x.to(torch.float32) * self.output_scale
