"""The occlusion net: which pixels of a face are covered by something before it.

A small U-Net (Ronneberger et al. 2015) on the upright crop of :mod:`mien.occlusion_view`.
Departures from the paper: pixels are folded into channels first and unfolded last, no
normalisation, residual blocks, additive skips. Built of the refiner's blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from mien.occlusion_view import CROP_SIZE, INPUT_CHANNELS

_FOLD = 2
_LEAK = 0.1
# A fresh net says that nothing is covered: most pixels are not.
_FIRST_BIAS = -3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OcclusionConfig:
    """The shape of the network.

    Attributes:
        widths: channels at half, quarter, eighth... of the crop's size; multiples of 16
            run fastest (docs/training.md).
        depths: residual blocks at each on the way down; one at each on the way up.
    """

    widths: tuple[int, ...] = (16, 32, 64, 96)
    depths: tuple[int, ...] = (1, 2, 2, 3)

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.depths) or not self.widths:
            raise ValueError(
                f"expected as many depths as widths, got {self.widths} and {self.depths}"
            )
        if min(self.widths) < 4 or min(self.depths) < 1:
            raise ValueError(f"widths >= 4 and depths >= 1, got {self}")

    @property
    def stride(self) -> int:
        """The crop's side must be a multiple of this."""
        return int(_FOLD * 2 ** (len(self.widths) - 1))


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = functional.leaky_relu(self.first(x), _LEAK)
        return functional.leaky_relu(x + self.second(inner), _LEAK)


class OcclusionNet(nn.Module):
    """See the module. ``forward`` maps (N, 8, S, S) inputs to (N, 1, S, S) logits."""

    def __init__(self, config: OcclusionConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or OcclusionConfig()
        widths = config.widths
        self.fold = nn.PixelUnshuffle(_FOLD)
        self.stem = nn.Conv2d(INPUT_CHANNELS * _FOLD**2, widths[0], 3, padding=1)
        self.down = nn.ModuleList(
            nn.Conv2d(one, other, 3, stride=2, padding=1) for one, other in pairwise(widths)
        )
        self.inward = nn.ModuleList(
            nn.Sequential(*(_Block(width) for _ in range(depth)))
            for width, depth in zip(widths, config.depths, strict=True)
        )
        self.up = nn.ModuleList(nn.Conv2d(other, one, 1) for one, other in pairwise(widths))
        self.outward = nn.ModuleList(_Block(width) for width in widths[:-1])
        self.head = nn.Conv2d(widths[0], _FOLD**2, 3, padding=1)
        self.unfold = nn.PixelShuffle(_FOLD)
        nn.init.zeros_(self.head.weight)
        nn.init.constant_(self.head.bias, _FIRST_BIAS)  # type: ignore[arg-type]

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(N, 1, S, S) float32 logits: positive where the face is covered.

        Args:
            inputs: (N, 8, S, S), 0..1.
        """
        x = functional.leaky_relu(self.stem(self.fold(inputs * 2 - 1)), _LEAK)
        skips: list[torch.Tensor] = []
        for level, blocks in enumerate(self.inward):
            if level:
                skips.append(x)
                x = functional.leaky_relu(self.down[level - 1](x), _LEAK)
            x = blocks(x)
        for level in reversed(range(len(self.outward))):
            wider = functional.interpolate(self.up[level](x), scale_factor=2.0, mode="nearest")
            x = self.outward[level](wider + skips[level])
        return self.unfold(self.head(x)).float()


def multiply_adds(config: OcclusionConfig, size: int = CROP_SIZE) -> int:
    """Multiply-adds of one crop."""
    network = OcclusionNet(config)
    total = 0

    def count(module: nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            window = module.kernel_size[0] * module.kernel_size[1]
            total += output[0].numel() * module.in_channels * window

    for module in network.modules():
        module.register_forward_hook(count)
    with torch.no_grad():
        network(torch.zeros(1, INPUT_CHANNELS, size, size))
    return total
