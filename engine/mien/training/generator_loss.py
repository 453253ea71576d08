"""What the live generator is trained to make small, and how its pictures are scored."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_GRADIENT_SHARE = 0.7
_SCALES = 3
_MATTE_SHARE = 0.5


def generator_loss(picture: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """Weighted L1, 0.7 times the L1 of differences at three scales, L1 of the matte.

    Args:
        picture, truth: (N, 4, S, S), BGR and matte, 0..1.
        weights: (N, 1, S, S), 0 off the face.
    """
    matte = (picture[:, 3] - truth[:, 3]).abs().mean()
    return colour_loss(picture, truth, weights) + _MATTE_SHARE * matte


def colour_loss(picture: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """The same without the matte; the fourth channel is not looked at."""
    difference = picture[:, :3] - truth[:, :3]
    loss = _mean(difference.abs(), weights)
    shown = weights
    for scale in range(_SCALES):
        if scale:
            # Averages over the face alone: what lies off it is nobody's fault.
            total = functional.avg_pool2d(shown, 2)
            difference = functional.avg_pool2d(difference * shown, 2) / total.clamp(min=1e-6)
            shown = total
        across = (difference[..., 1:] - difference[..., :-1]).abs()
        down = (difference[..., 1:, :] - difference[..., :-1, :]).abs()
        loss = loss + _GRADIENT_SHARE / _SCALES * (
            _mean(across, torch.minimum(shown[..., 1:], shown[..., :-1]))
            + _mean(down, torch.minimum(shown[..., 1:, :], shown[..., :-1, :]))
        )
    return loss


def face_errors(picture: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """(N,) mean square and mean absolute error of colour over the face, 0..1.

    Args:
        picture, truth: (N, 4, S, S); the truth's matte says where the face is.
    """
    matte = truth[:, 3:]
    area = 3 * matte.sum(dim=(1, 2, 3)).clamp(min=1)
    difference = picture[:, :3].clamp(0, 1) - truth[:, :3]
    squares = (difference.square() * matte).sum(dim=(1, 2, 3)) / area
    return squares, (difference.abs() * matte).sum(dim=(1, 2, 3)) / area


def matte_overlap(picture: Tensor, truth: Tensor) -> Tensor:
    """(N,) intersection over union of the mattes at one half."""
    mine, theirs = picture[:, 3] > 0.5, truth[:, 3] > 0.5
    both = (mine & theirs).sum(dim=(1, 2)).float()
    return both / (mine | theirs).sum(dim=(1, 2)).clamp(min=1)


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    return (values * weights).sum() / (weights.sum() * values.shape[1]).clamp(min=1e-6)
