"""What a generated head is drawn from, and where its picture lies in a patch of the frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mien.types import F32Array

MOST_SOURCES = 8
"""Passes of the encoder that a head may be mixed from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tone:
    """How the drawn skin's colour is drawn towards the performer's.

    Attributes:
        points: (N, 2) float32, crop pixels at which the drawn skin is looked at.
        weights: (N,) float32, how much each counts; they add up to 1.
        reach: of the square round each point that is averaged.
        own: (3,) float32 BGR, the performer's tone, 0..255.
        ratio: (3,) float32, what the frame before left; None where there was none.
        newest: 0..1, share of this frame's own ratio.
        most: the ratio's bound, and its inverse the other.
        share: 0..1, exponent of the ratio; 0 leaves colours as they are.
    """

    points: F32Array
    weights: F32Array
    reach: int
    own: F32Array
    ratio: F32Array | None
    newest: float
    most: float
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What is drawn of one head in one frame.

    Attributes:
        condition: what the encoder is told of the performer, float32.
        latents: (K, W) float32, K of 1..8.
        shares: (L, K) float32, of each latent in each of the generator's layers.
        place: what the generator is told of where the head lies: its input beside ``ws``.
        frame_from_crop: (2, 3) float32, a rotation and a scale.
        side: of the picture in frame pixels, once scaled.
        opacity: 0..1.
        tone: of its colours.
        generator: name of one that was added; the first without.
    """

    condition: F32Array
    latents: F32Array
    shares: F32Array
    place: F32Array
    frame_from_crop: F32Array
    side: int
    opacity: float
    tone: Tone
    generator: str = ""


def scaled_from_patch(
    frame_from_crop: F32Array, size: int, side: int, at: tuple[int, int]
) -> list[float]:
    """The six numbers that take a pixel of the patch to one of the picture, ``side`` pixels wide.

    Args:
        frame_from_crop: (2, 3), a rotation and a scale.
        size: side of the picture as it was drawn.
        side: and as it is scaled.
        at: (left, top) of the patch.
    """
    # Pixel centre i of the scaled picture lies at (i + 0.5) * step - 0.5 of the crop.
    step = size / side
    linear = frame_from_crop[:, :2].astype(np.float64)
    shift = frame_from_crop[:, 2] + linear @ np.full(2, 0.5 * step - 0.5) - at
    (a, b), (c, d) = (linear * step).tolist()
    x, y = (float(one) for one in shift)
    scale = a * d - b * c
    scale = 1.0 / scale if scale else 0.0
    a, b, c, d = d * scale, -b * scale, -c * scale, a * scale
    return [a, b, -a * x - b * y, c, d, -c * x - d * y]
