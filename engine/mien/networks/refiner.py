"""The refiner: lights what the mesh swapper drew as the true swap would be lit.

It sees the upright crop of :mod:`mien.refiner_view` at a quarter of its size: the mesh
swapper's composite, the performer's light (the frame's own pixels in coarse patches), the
patch's matte and maps of the face. It says a **gain**, coarse over the face (12 x 12 over the
crop), that is applied to the frame at its own size. So coarse a gain has no way to smooth skin or
to paint the performer in; a network that was free to repaint every pixel did both, see
docs/training.md.

A low-resolution answer that is applied at full resolution is the idea of Gharbi et al. 2017,
*Deep Bilateral Learning for Real-Time Image Enhancement*; there is no grid along the luminance
here, the gain is all. The last layer starts at zero, so an untrained refiner changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from mien.refiner_view import INPUT_CHANNELS, VIEW_SIZE

_FOLD = 2
_LEAK = 0.1
# The performer is seen in patches of so many pixels: light, not features. Networks that saw
# every pixel painted the performer back in (descriptor 0.28 -> 0.45 on clip 1; glasses).
_VEIL_PX = 4
# Cells; a patch that is smaller has no mean to speak of.
_LEAST_PATCH = 1e-3
# The level whose pixels are the cells of the gain.
_GAIN_LEVEL = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RefinerConfig:
    """The shape of the network.

    Attributes:
        widths: channels at 1/2, 1/4, 1/8... of the view's size; at least two. ONNX Runtime
            is a third slower a multiply-add where they are no multiples of 16 (measured).
        depths: residual blocks at each on the way down; one at each on the way up.
        reach: largest natural log of the gain, before its mean is taken off.
    """

    widths: tuple[int, ...] = (16, 48, 96)
    depths: tuple[int, ...] = (1, 2, 2)
    reach: float = 0.7

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.depths) or len(self.widths) < 2:
            raise ValueError(
                f"expected as many depths as widths, two or more, got {self.widths} and "
                f"{self.depths}"
            )
        if min(self.widths) < 4 or min(self.depths) < 1 or not 0 < self.reach <= 2:
            raise ValueError(f"widths >= 4, depths >= 1 and reach in (0, 2], got {self}")

    @property
    def stride(self) -> int:
        """The view's side must be a multiple of this."""
        return max(int(_FOLD * 2 ** (len(self.widths) - 1)), _VEIL_PX)


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
    """See the module. ``forward`` maps (N, 13, S, S) inputs to (N, 3, S / 4, S / 4) log gains."""

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
        above = list(pairwise(widths))[_GAIN_LEVEL:]
        self.up = nn.ModuleList(nn.Conv2d(other, one, 1) for one, other in above)
        self.outward = nn.ModuleList(_Block(one) for one, _ in above)
        self.gain = nn.Conv2d(widths[_GAIN_LEVEL], 3, 3, padding=1)
        for parameter in self.gain.parameters():
            nn.init.zeros_(parameter)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(N, 3, S / 4, S / 4) float32: natural log of the gain of blue, green and red.

        Its mean over the patch is nought: the face's tone stays what it was.

        Args:
            inputs: (N, 13, S, S), 0..1, as of :func:`mien.refiner_view.stack_view`; S is a
                multiple of the configuration's stride.

        Raises:
            ValueError: it is not.
        """
        stride = self.config.stride
        if inputs.shape[-1] % stride or inputs.shape[-2] % stride:
            raise ValueError(f"expected sides that are multiples of {stride}, got {inputs.shape}")
        x = functional.leaky_relu(self.stem(self.fold(_veiled(inputs) * 2 - 1)), _LEAK)
        skips: list[torch.Tensor] = []
        for level, blocks in enumerate(self.inward):
            if level:
                skips.append(x)
                x = functional.leaky_relu(self.down[level - 1](x), _LEAK)
            x = blocks(x)
        told = self.whole(functional.adaptive_avg_pool2d(x, 1))
        x = functional.leaky_relu(x + told, _LEAK)
        for index in reversed(range(len(self.up))):
            wider = functional.interpolate(self.up[index](x), scale_factor=2.0, mode="nearest")
            x = self.outward[index](wider + skips[index + _GAIN_LEVEL])
        log_gain = torch.tanh(self.gain(x).float()) * self.config.reach
        return log_gain - _mean_over_patch(log_gain, inputs)


def compose(inputs: torch.Tensor, log_gain: torch.Tensor) -> torch.Tensor:
    """(N, 3, S, S): the refined picture, 0..1 but for overshoot.

    Args:
        inputs, log_gain: what goes into and comes out of :class:`Refiner`.
    """
    composite, reach = inputs[:, :3], inputs[:, -1:]
    fine = functional.interpolate(
        log_gain, size=composite.shape[-2:], mode="bicubic", align_corners=False
    )
    return composite * torch.exp(fine * reach)


def multiply_adds(config: RefinerConfig, size: int = VIEW_SIZE) -> int:
    """Multiply-adds of one face."""
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


def _mean_over_patch(log_gain: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    matte = functional.avg_pool2d(inputs[:, 6:7], inputs.shape[-1] // log_gain.shape[-1])
    total = matte.sum(dim=(2, 3), keepdim=True).clamp(min=_LEAST_PATCH)
    return (log_gain * matte).sum(dim=(2, 3), keepdim=True) / total


def _veiled(inputs: torch.Tensor) -> torch.Tensor:
    """Inputs with the performer's pixels reduced to how the light falls."""
    coarse = functional.avg_pool2d(inputs[:, 3:6], _VEIL_PX)
    light = functional.interpolate(
        coarse, scale_factor=float(_VEIL_PX), mode="bilinear", align_corners=False
    )
    return torch.cat([inputs[:, :3], light, inputs[:, 6:]], dim=1)
