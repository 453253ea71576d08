"""Tells drawn faces from true ones, for training against: a small residual network."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Both branches of a block have unit variance; so has their sum after this.
_HALF_POWER = math.sqrt(0.5)
_SLOPE = 0.2


class Discriminator(nn.Module):
    """Pictures (N, 4, S, S) -> (N,): large for true ones.

    Residual blocks that halve the picture, as in StyleGAN2 (Karras et al. 2020, section 4.1),
    with few channels. Departures: the first convolution halves the picture already, for blocks
    at its full size took most of the time; no minibatch deviation, for every drawn
    picture has a truth of its own beside it, so none can be dropped.

    Args:
        size: side of the pictures, a power of two of at least 8.
        channels: of the first block; each has half as many again, up to ``most``.
    """

    def __init__(self, size: int, channels: int = 16, most: int = 96) -> None:
        super().__init__()
        self.first = nn.Conv2d(4, channels, 4, stride=2, padding=1)
        blocks: list[nn.Module] = []
        size //= 2
        while size > 4:
            wider = min(channels * 3 // 2, most)
            blocks.append(_Block(channels, wider))
            channels, size = wider, size // 2
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Conv2d(channels, channels, 3, padding=1)
        self.fc = nn.Linear(channels * size * size, channels)
        self.out = nn.Linear(channels, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Scores of pictures."""
        x = _bent(self.first(pictures * 2 - 1))
        x = _bent(self.last(self.blocks(x)))
        return self.out(_bent(self.fc(x.flatten(1))))[:, 0]  # type: ignore[no-any-return]


class _Block(nn.Module):
    """Half the size."""

    def __init__(self, channels: int, wider: int) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv1 = nn.Conv2d(channels, wider, 3, padding=1)
        self.skip = nn.Conv2d(channels, wider, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = F.avg_pool2d(_bent(self.conv1(_bent(self.conv0(x)))), 2)
        return (y + self.skip(F.avg_pool2d(x, 2))) * _HALF_POWER  # type: ignore[no-any-return]


def _bent(x: Tensor) -> Tensor:
    return F.leaky_relu(x, _SLOPE) * math.sqrt(2.0)


def gradient_penalty(discriminator: nn.Module, pictures: Tensor) -> Tensor:
    """() R1 (Mescheder et al. 2018, *Which Training Methods for GANs do actually Converge?*,
    equation 9): the squared gradient at true pictures, halved, without its factor."""
    pictures = pictures.detach().requires_grad_()
    (slopes,) = torch.autograd.grad(discriminator(pictures).sum(), pictures, create_graph=True)
    return slopes.square().sum(dim=(1, 2, 3)).mean() / 2
