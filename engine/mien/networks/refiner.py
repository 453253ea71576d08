"""The refiner: mends what geometry cannot in the mesh swapper's picture of a face.

A small U-Net (Ronneberger et al. 2015) on the upright crop of
:mod:`mien.refiner_view`. It sees the mesh swapper's composite, the performer's light (the
frame's own pixels in coarse patches), the patch's matte and maps of the face, and says
what to add and where the performer's own pixels should stay. Departures from the paper:
pixels are folded into channels first and unfolded last, no normalisation, residual
blocks, additive skips.
The last layer starts at zero, so an untrained refiner changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from mien.refiner_view import CROP_SIZE, MAP_CHANNELS

INPUT_CHANNELS = 3 + 3 + 1 + MAP_CHANNELS
"""Composite BGR, performer BGR (for the gate; the network sees it coarsely), matte, maps; 0..1."""

OUTPUT_CHANNELS = 4
"""Residual BGR, -1..1 of the full range; how much of the persona to keep, 0..1."""

_FOLD = 2
_LEAK = 0.1
# A fresh gate keeps the composite: sigmoid(6) = 0.998.
_GATE_BIAS = 6.0
# The performer is seen in patches of so many pixels: light, not features. Networks that saw
# every pixel painted the performer back in (descriptor 0.28 -> 0.45 on clip 1; glasses).
_VEIL_PX = 16
# Towards the border of the crop the residual fades, so that the crop leaves no edge.
_BORDER_PX = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class RefinerConfig:
    """The shape of the network.

    Attributes:
        widths: channels at half, quarter, eighth... of the crop's size. ONNX Runtime is
            a third slower a multiply-add where they are no multiples of 16 (measured).
        depths: residual blocks at each on the way down; one at each on the way up.
        reach: largest residual, share of the full range.
    """

    widths: tuple[int, ...] = (16, 32, 64, 96)
    depths: tuple[int, ...] = (1, 2, 2, 3)
    reach: float = 0.6

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.depths) or not self.widths:
            raise ValueError(
                f"expected as many depths as widths, got {self.widths} and {self.depths}"
            )
        if min(self.widths) < 4 or min(self.depths) < 1 or not 0 < self.reach <= 1:
            raise ValueError(f"widths >= 4, depths >= 1 and reach in (0, 1], got {self}")

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


class Refiner(nn.Module):
    """See the module. ``forward`` maps (N, 12, S, S) inputs to (N, 4, S, S) outputs."""

    window: torch.Tensor

    def __init__(self, config: RefinerConfig | None = None, size: int = CROP_SIZE) -> None:
        super().__init__()
        self.config = config = config or RefinerConfig()
        if size % config.stride:
            raise ValueError(f"expected a side that is a multiple of {config.stride}, got {size}")
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
        self.head = nn.Conv2d(widths[0], OUTPUT_CHANNELS * _FOLD**2, 3, padding=1)
        self.unfold = nn.PixelShuffle(_FOLD)
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)
        self.register_buffer("window", _window(size), persistent=False)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(N, 4, S, S) float32: residual BGR, then how much of the persona to keep.

        Args:
            inputs: (N, 12, S, S), 0..1.
        """
        x = functional.leaky_relu(self.stem(self.fold(_veiled(inputs) * 2 - 1)), _LEAK)
        skips: list[torch.Tensor] = []
        for level, blocks in enumerate(self.inward):
            if level:
                skips.append(x)
                x = functional.leaky_relu(self.down[level - 1](x), _LEAK)
            x = blocks(x)
        for level in reversed(range(len(self.outward))):
            wider = functional.interpolate(self.up[level](x), scale_factor=2.0, mode="nearest")
            x = self.outward[level](wider + skips[level])
        raw = self.unfold(self.head(x)).float()
        residual = torch.tanh(raw[:, :3]) * self.config.reach * self.window
        # Outside the window the composite stays: there it is the frame itself.
        gate = 1 - (1 - torch.sigmoid(raw[:, 3:] + _GATE_BIAS)) * self.window
        return torch.cat([residual, gate], dim=1)


def compose(inputs: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
    """(N, 3, S, S): the refined picture, 0..1 but for overshoot.

    Args:
        inputs, outputs: what goes into and comes out of :class:`Refiner`.
    """
    composite, performer = inputs[:, :3], inputs[:, 3:6]
    residual, gate = outputs[:, :3], outputs[:, 3:]
    return gate * (composite + residual) + (1 - gate) * performer


def multiply_adds(config: RefinerConfig, size: int = CROP_SIZE) -> int:
    """Multiply-adds of one crop."""
    network = Refiner(config, size)
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


def _veiled(inputs: torch.Tensor) -> torch.Tensor:
    """Inputs with the performer's pixels reduced to how the light falls."""
    coarse = functional.avg_pool2d(inputs[:, 3:6], _VEIL_PX)
    light = functional.interpolate(
        coarse, scale_factor=float(_VEIL_PX), mode="bilinear", align_corners=False
    )
    return torch.cat([inputs[:, :3], light, inputs[:, 6:]], dim=1)


def _window(size: int) -> torch.Tensor:
    edge = torch.arange(size, dtype=torch.float32)
    ramp = (torch.minimum(edge, size - 1 - edge) / _BORDER_PX).clamp(0, 1)
    return (ramp[:, None] * ramp[None, :])[None, None]
