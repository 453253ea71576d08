"""The occlusion net: which pixels of a face are covered by something before it.

A small U-Net (Ronneberger et al. 2015) on the upright crop of :mod:`mien.occlusion_view`.
Departures from the paper: pixels are folded into channels first and unfolded last, residual
blocks, additive skips, batch normalisation while training (Ioffe and Szegedy 2015), which
:func:`folded` takes into the convolutions: what ships has none.
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

    widths: tuple[int, ...] = (16, 32, 48, 64)
    depths: tuple[int, ...] = (1, 2, 3, 3)

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


class _Conv(nn.Module):
    """A convolution, and its normalisation while training."""

    def __init__(self, inner: int, outer: int, stride: int, normed: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inner, outer, 3, stride=stride, padding=1, bias=not normed)
        self.norm = nn.BatchNorm2d(outer) if normed else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.norm(self.conv(x))
        return result


class _Block(nn.Module):
    def __init__(self, width: int, normed: bool) -> None:
        super().__init__()
        self.first = _Conv(width, width, 1, normed)
        self.second = _Conv(width, width, 1, normed)
        if isinstance(self.second.norm, nn.BatchNorm2d):
            nn.init.zeros_(self.second.norm.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = functional.leaky_relu(self.first(x), _LEAK)
        return functional.leaky_relu(x + self.second(inner), _LEAK)


class OcclusionNet(nn.Module):
    """See the module. ``forward`` maps (N, 12, S, S) inputs to (N, 1, S, S) logits.

    Args:
        config: its shape.
        normed: with batch normalisation, to be trained; without, as it ships.
    """

    def __init__(self, config: OcclusionConfig | None = None, *, normed: bool = True) -> None:
        super().__init__()
        self.config = config = config or OcclusionConfig()
        widths = config.widths
        self.fold = nn.PixelUnshuffle(_FOLD)
        self.stem = _Conv(INPUT_CHANNELS * _FOLD**2, widths[0], 1, normed)
        self.down = nn.ModuleList(_Conv(one, other, 2, normed) for one, other in pairwise(widths))
        self.inward = nn.ModuleList(
            nn.Sequential(*(_Block(width, normed) for _ in range(depth)))
            for width, depth in zip(widths, config.depths, strict=True)
        )
        self.up = nn.ModuleList(nn.Conv2d(other, one, 1) for one, other in pairwise(widths))
        self.outward = nn.ModuleList(_Block(width, normed) for width in widths[:-1])
        self.head = nn.Conv2d(widths[0], _FOLD**2, 3, padding=1)
        self.unfold = nn.PixelShuffle(_FOLD)
        nn.init.zeros_(self.head.weight)
        nn.init.constant_(self.head.bias, _FIRST_BIAS)  # type: ignore[arg-type]

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(N, 1, S, S) float32 logits: positive where the face is covered.

        Args:
            inputs: (N, 12, S, S), 0..1.
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


def folded(network: OcclusionNet) -> OcclusionNet:
    """The same network without normalisation: each is taken into its convolution."""
    plain = OcclusionNet(network.config, normed=False)
    theirs = dict(network.named_modules())
    with torch.no_grad():
        for name, module in plain.named_modules():
            source = theirs[name]
            if isinstance(module, _Conv) and isinstance(source, _Conv):
                norm = source.norm
                if not isinstance(norm, nn.BatchNorm2d):
                    module.load_state_dict(source.state_dict())
                    continue
                mean, spread, bias = norm.running_mean, norm.running_var, module.conv.bias
                if mean is None or spread is None or bias is None:
                    raise ValueError(f"{name} keeps no running averages to fold")
                gain = norm.weight / torch.sqrt(spread + norm.eps)
                module.conv.weight.copy_(source.conv.weight * gain[:, None, None, None])
                bias.copy_(norm.bias - mean * gain)
        for name in ("up", "head"):
            plain.get_submodule(name).load_state_dict(network.get_submodule(name).state_dict())
    return plain


def multiply_adds(config: OcclusionConfig, size: int = CROP_SIZE) -> int:
    """Multiply-adds of one crop."""
    network = OcclusionNet(config, normed=False)
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
