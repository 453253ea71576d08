"""What the refiner is trained to make small, and how its pictures are scored."""

from __future__ import annotations

import torch
from torch.nn import functional

_GRADIENT_SHARE = 0.7
_SCALES = 3


def refiner_loss(picture: torch.Tensor, truth: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Weighted L1 plus 0.7 times the L1 of differences between neighbours at three scales.

    Args:
        picture, truth: (N, 3, S, S), 0..1.
        weights: (N, 1, S, S).
    """
    loss = _mean((picture - truth).abs(), weights)
    for scale in range(_SCALES):
        if scale:
            picture, truth, weights = (
                functional.avg_pool2d(planes, 2) for planes in (picture, truth, weights)
            )
        difference = picture - truth
        across = (difference[..., 1:] - difference[..., :-1]).abs()
        down = (difference[..., 1:, :] - difference[..., :-1, :]).abs()
        share = _GRADIENT_SHARE / _SCALES
        loss = loss + share * (_mean(across, weights[..., 1:]) + _mean(down, weights[..., 1:, :]))
    return loss


def region_error(picture: torch.Tensor, truth: torch.Tensor, swapped: torch.Tensor) -> torch.Tensor:
    """(N,) mean absolute difference where the persona shows, code values."""
    apart = (picture.clamp(0, 1) - truth).abs().mean(dim=1, keepdim=True) * swapped
    return 255 * apart.sum(dim=(1, 2, 3)) / swapped.sum(dim=(1, 2, 3)).clamp(min=1)


def region_error_less_tone(
    picture: torch.Tensor, truth: torch.Tensor, swapped: torch.Tensor
) -> torch.Tensor:
    """(N,) the same after one colour was added to each picture that makes the means equal.

    What is left is the error of shape, light and detail: how dark somebody's skin is cannot
    be told from a portrait in unknown light.
    """
    shown = swapped.sum(dim=(2, 3), keepdim=True).clamp(min=1)
    apart = picture.clamp(0, 1) - truth
    apart = apart - (apart * swapped).sum(dim=(2, 3), keepdim=True) / shown
    total = (apart.abs().mean(dim=1, keepdim=True) * swapped).sum(dim=(1, 2, 3))
    return 255 * total / shown[:, 0, 0, 0]


def _mean(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return (values * weights).sum() / (weights.sum() * values.shape[1]).clamp(min=1e-6)
