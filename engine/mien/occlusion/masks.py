"""What a net's guess becomes before a pixel of the performer is shown: calm, whole, bounded."""

from __future__ import annotations

import cv2
import numpy as np

from mien.types import F32Array, U8Array

# Share of a new guess in the mask; the rest is what was seen before. At 30 pictures a
# second a guess that lasts one picture hardly shows, a hand is whole after two.
_NEWS = 0.65
# Guesses below the first are nothing, above the second certain.
_DOUBTFUL, _CERTAIN = 0.40, 0.75
# From the largest cut that is carried out whole to where none is.
_FADE = 0.15
# A spot must reach this somewhere, and be this large (share of the crop), to be a thing.
_PEAK, _LEAST_SHARE = 0.60, 0.004


def steadied(guess: F32Array, before: F32Array | None) -> F32Array:
    """The guess, averaged over time.

    Args:
        guess: (S, S) float32, 0..1.
        before: what this function returned for the picture before, or None.
    """
    if before is None:
        return np.asarray(guess * np.float32(_NEWS), np.float32)
    return np.asarray(before + np.float32(_NEWS) * (guess - before), np.float32)


def decided(steady: F32Array) -> U8Array:
    """(S, S) uint8: how much of the persona is cut; specks and doubts are dropped.

    Args:
        steady: (S, S) float32, 0..1.
    """
    if float(steady.max()) < _PEAK:
        return np.zeros(steady.shape, np.uint8)
    ramp = np.clip((steady - _DOUBTFUL) * np.float32(1 / (_CERTAIN - _DOUBTFUL)), 0, 1)
    cut = np.asarray(cv2.convertScaleAbs(ramp, alpha=255.0), np.uint8)
    seen = np.asarray(cut > 0, np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(seen, connectivity=8)
    least = _LEAST_SHARE * cut.size
    keep = np.zeros(count, np.uint8)
    for label in range(1, count):
        if stats[label, cv2.CC_STAT_AREA] < least:
            continue
        left, top, wide, high = stats[label, :4]
        part = (slice(top, top + high), slice(left, left + wide))
        keep[label] = bool((steady[part] * (labels[part] == label)).max() >= _PEAK)
    return np.asarray(cut * keep[labels], np.uint8)


def bound(share: float, most: float) -> float:
    """0..1: how much of a cut is carried out when it would take ``share`` of the persona.

    Up to ``most`` all of it; from there to ``most`` + 0.15 less and less; nothing beyond. A
    net that takes the whole face for a hand therefore shows the whole persona, never the
    bare face.

    Args:
        share: 0..1 of the persona's pixels.
        most: 0..1.
    """
    return float(np.clip((most + _FADE - share) / _FADE, 0.0, 1.0))
