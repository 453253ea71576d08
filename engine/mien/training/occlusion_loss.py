"""What the occlusion net is trained to make small, and how its masks are scored."""

from __future__ import annotations

import torch
from torch.nn import functional

_OVERLAP_SHARE, _EDGE_SHARE = 0.5, 0.5
# A face that is cut where nothing covers it shows who the performer is.
_FALSE_CUT_SHARE = 0.6


def occlusion_loss(
    logits: torch.Tensor, covered: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy, soft IoU, edges, and the price of false cuts.

    Soft IoU after Rahman and Wang 2016, *Optimizing Intersection-Over-Union in Deep Neural
    Networks for Image Segmentation*.

    Args:
        logits: (N, 1, S, S).
        covered: (N, 1, S, S), 0..1.
        weights: (N, 1, S, S).
    """
    mass = weights.sum().clamp(min=1e-6)
    entropy = functional.binary_cross_entropy_with_logits(logits, covered, weights, reduction="sum")
    found = torch.sigmoid(logits)
    dims = (1, 2, 3)
    both = (found * covered * weights).sum(dims)
    either = ((found + covered - found * covered) * weights).sum(dims)
    # A few pixels' worth keeps bare faces at 0 when nothing is found.
    overlap = 1 - (both + 20) / (either + 20)
    difference = found - covered
    edges = (difference[..., 1:] - difference[..., :-1]).abs() * weights[..., 1:]
    rows = (difference[..., 1:, :] - difference[..., :-1, :]).abs() * weights[..., 1:, :]
    false_cut = (functional.relu(difference) * found * weights).sum()
    return (
        entropy / mass
        + _OVERLAP_SHARE * overlap.mean()
        + _EDGE_SHARE * (edges.sum() + rows.sum()) / mass
        + _FALSE_CUT_SHARE * false_cut / mass
    )


def overlap_counts(
    found: torch.Tensor, covered: torch.Tensor, weights: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pixels of the face per sample: found and covered, found or covered, found, all; (N,) each.

    Args:
        found, covered: (N, 1, S, S), 0..1; a pixel counts from one half on.
        weights: (N, 1, S, S); a pixel belongs to the face from one half on.
    """
    face = weights > 0.5
    mine, true = (found > 0.5) & face, (covered > 0.5) & face
    dims = (1, 2, 3)
    return (mine & true).sum(dims), (mine | true).sum(dims), mine.sum(dims), face.sum(dims)
