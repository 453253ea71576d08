"""The refiner: mends what geometry cannot in the mesh swapper's picture of a face.

It sees the upright crop of :mod:`mien.refiner_view`: the mesh swapper's composite, the
performer's light (the frame's own pixels in coarse patches), the patch's matte and maps of
the face. It says two things:

* a **gain**, coarse over the face (12 x 12 over the crop), that lights the composite anew. So
  coarse a gain has no way to smooth skin or to paint the performer in;
* where it was trained to (``mend``), a **residual** near lids and lips only. Without one it
  sees the crop at half its size.

A network that was free to repaint every pixel did both: see docs/training.md. A low-resolution
answer that is applied at full resolution is the idea of Gharbi et al. 2017, *Deep Bilateral
Learning for Real-Time Image Enhancement*; there is no grid along the luminance here, the gain
is all. The last layers start at zero, so an untrained refiner changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from mien.refiner_view import CROP_SIZE, MAP_CHANNELS, REACH_CHANNELS

INPUT_CHANNELS = 3 + 3 + 1 + MAP_CHANNELS + REACH_CHANNELS
"""Composite BGR, performer BGR (seen coarsely), matte, maps, reach of gain and of residual."""

_FOLD = 2
_LEAK = 0.1
# The performer is seen in patches of so many pixels of the trunk: light, not features. Networks
# that saw every pixel painted the performer back in (descriptor 0.28 -> 0.45 on clip 1; glasses).
_VEIL_PX = 8
# Lids and iris, lips and mouth: the last two maps.
_PARTS = slice(7 + MAP_CHANNELS - 2, 7 + MAP_CHANNELS)


class Mending(NamedTuple):
    """What the refiner says of N crops of side S.

    Attributes:
        gain: (N, 3, C, C) float32, natural log of the gain of B, G and R; C is 12 as shipped.
        residual: (N, 3, S, S) float32 of the full range; None where none was trained.
    """

    gain: torch.Tensor
    residual: torch.Tensor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefinerConfig:
    """The shape of the network.

    Attributes:
        widths: channels at 1/2, 1/4, 1/8... of the trunk's size, two or more, growing. ONNX Runtime
            is a third slower a multiply-add where they are no multiples of 16 (measured).
        depths: residual blocks at each on the way down; one at each on the way up.
        mend: whether there is a residual.
        gain_level: which of the levels the gain's cells are the pixels of.
        fine_width: channels of the residual's own layers, at half of the crop's size.
        gain_reach: largest natural log of the gain.
        residual_reach: largest residual, share of the full range.
    """

    widths: tuple[int, ...] = (16, 32, 64, 96)
    depths: tuple[int, ...] = (1, 1, 2, 2)
    gain_level: int = 2
    mend: bool = False
    fine_width: int = 16
    gain_reach: float = 0.7
    residual_reach: float = 0.5

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.depths) or len(self.widths) < 2:
            raise ValueError(
                f"expected as many depths as widths, two or more, got {self.widths} and "
                f"{self.depths}"
            )
        if any(one >= other for one, other in pairwise(self.widths)):
            raise ValueError(f"every level must be wider than the one before, got {self.widths}")
        if min(*self.widths, self.fine_width) < 4 or min(self.depths) < 1:
            raise ValueError(f"widths >= 4 and depths >= 1, got {self}")
        if not 0 <= self.gain_level < len(self.widths):
            raise ValueError(f"gain_level must be one of the levels, got {self.gain_level}")
        if not 0 < self.gain_reach <= 2 or not 0 < self.residual_reach <= 1:
            raise ValueError(f"gain_reach in (0, 2] and residual_reach in (0, 1], got {self}")

    @property
    def stride(self) -> int:
        """The crop's side must be a multiple of this."""
        return self.shrink * max(int(_FOLD * 2 ** (len(self.widths) - 1)), _VEIL_PX)

    @property
    def shrink(self) -> int:
        """How often the trunk's side goes into that of the inputs."""
        return 2 if self.mend else 1

    @property
    def size(self) -> int:
        """Side of the inputs, as shipped."""
        return CROP_SIZE // 2 * self.shrink


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
    """See the module. ``forward`` maps (N, 14, S, S) inputs to a :class:`Mending`."""

    def __init__(self, config: RefinerConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or RefinerConfig()
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
        # How the whole face is lit, told to all of it.
        self.whole = nn.Conv2d(widths[-1], widths[-1], 1)
        lowest = 0 if config.mend else config.gain_level
        self.up = nn.ModuleDict(
            {
                str(level): nn.Conv2d(widths[level + 1], widths[level], 1)
                for level in range(lowest, len(widths) - 1)
            }
        )
        self.outward = nn.ModuleDict(
            {str(level): _Block(widths[level]) for level in range(lowest, len(widths) - 1)}
        )
        self.gain = nn.Conv2d(widths[config.gain_level], 3, 3, padding=1)
        _zero(self.gain)
        if config.mend:
            fine = config.fine_width
            self.fine_stem = nn.Conv2d((3 + 2) * _FOLD**2, fine, 3, padding=1)
            self.fine_up = nn.Conv2d(widths[0], fine, 1)
            self.fine = nn.Sequential(_Block(fine), _Block(fine))
            self.residual = nn.Conv2d(fine, 3 * _FOLD**2, 3, padding=1)
            self.unfold = nn.PixelShuffle(_FOLD)
            _zero(self.residual)

    def forward(self, inputs: torch.Tensor) -> Mending:
        """What to mend.

        Args:
            inputs: (N, 14, S, S), 0..1; S is a multiple of the configuration's stride.

        Raises:
            ValueError: it is not.
        """
        config = self.config
        if inputs.shape[-1] % config.stride or inputs.shape[-2] % config.stride:
            raise ValueError(
                f"expected sides that are multiples of {config.stride}, got {inputs.shape[-2:]}"
            )
        small = functional.avg_pool2d(inputs, 2) if config.mend else inputs
        x = functional.leaky_relu(self.stem(self.fold(_veiled(small) * 2 - 1)), _LEAK)
        skips: list[torch.Tensor] = []
        for level, blocks in enumerate(self.inward):
            if level:
                skips.append(x)
                x = functional.leaky_relu(self.down[level - 1](x), _LEAK)
            x = blocks(x)
        told = self.whole(functional.adaptive_avg_pool2d(x, 1))
        x = functional.leaky_relu(x + told, _LEAK)
        raw = x
        for level in reversed(range(len(skips))):
            if str(level) not in self.up:
                break
            x = self.outward[str(level)](_doubled(self.up[str(level)](x)) + skips[level])
            if level == config.gain_level:
                raw = x
        gain = torch.tanh(self.gain(raw).float()) * config.gain_reach
        if not config.mend:
            return Mending(gain, None)
        looked = torch.cat([inputs[:, :3], inputs[:, _PARTS]], dim=1) * 2 - 1
        fine = self.fine_stem(self.fold(looked)) + _doubled(self.fine_up(x))
        fine = self.fine(functional.leaky_relu(fine, _LEAK))
        residual = torch.tanh(self.unfold(self.residual(fine)).float()) * config.residual_reach
        return Mending(gain, residual)


def compose(inputs: torch.Tensor, mending: Mending) -> torch.Tensor:
    """(N, 3, S, S): the refined picture, 0..1 but for overshoot.

    Args:
        inputs, mending: what goes into and comes out of :class:`Refiner`.
    """
    composite, reaches = inputs[:, :3], inputs[:, -REACH_CHANNELS:]
    gain = functional.interpolate(
        mending.gain, size=composite.shape[-2:], mode="bicubic", align_corners=False
    )
    picture = composite * torch.exp(gain * reaches[:, :1])
    if mending.residual is None:
        return picture
    return picture + mending.residual * reaches[:, 1:]


def multiply_adds(config: RefinerConfig, size: int | None = None) -> int:
    """Multiply-adds of one crop."""
    size = size or config.size
    network = Refiner(config)
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


def _doubled(x: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


def _zero(layer: nn.Conv2d) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
