"""Fully connected layer with runtime weight scaling."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAKY_SLOPE = 0.2
# Keeps the variance of a leaky ReLU's output near its input's.
LEAKY_GAIN = math.sqrt(2.0)


class DenseLayer(nn.Module):
    """``y = act(x W^T + b)`` with weights stored at unit scale.

    Stored weights are multiplied by ``lr_multiplier / sqrt(in)`` at run time, so that every
    layer learns at the same pace (Karras et al. 2018, *Progressive Growing of GANs*, sec. 4.1).

    Args:
        leaky: apply a leaky ReLU of unit variance after the sum.
        lr_multiplier: extra scale of weight and bias.
        weight_std, bias_value: initial values after scaling.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        leaky: bool = False,
        lr_multiplier: float = 1.0,
        weight_std: float = 1.0,
        bias_value: float = 0.0,
    ) -> None:
        super().__init__()
        self.leaky = leaky
        self.weight_gain = lr_multiplier / math.sqrt(in_features)
        self.bias_gain = lr_multiplier
        std = weight_std / lr_multiplier
        self.weight = nn.Parameter(torch.randn(out_features, in_features) * std)
        self.bias = nn.Parameter(torch.full((out_features,), bias_value / lr_multiplier))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in) -> (N, out)."""
        y = F.linear(x, self.weight * self.weight_gain, self.bias * self.bias_gain)
        return F.leaky_relu(y, LEAKY_SLOPE) * LEAKY_GAIN if self.leaky else y
