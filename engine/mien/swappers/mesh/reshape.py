"""How a persona's shape is laid over a performer's without touching the expression.

The difference of two neutral faces is added to a moving face. Added as it is, it would
part closed lips or keep a blinking eye open, because it also holds how far apart lips and
lids are at rest. So the part of the difference that opens a gap is split off: lips keep
the performer's gap, lids get the persona's in proportion to how open the performer's are.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from mien.face_mesh import (
    INNER_LIP_PAIRS,
    INNER_LIPS,
    LEFT_LID_PAIRS,
    MIDDLE_LIP_PAIRS,
    OUTER_LIPS,
    RIGHT_LID_PAIRS,
    face_mesh,
)
from mien.types import F32Array

_MOUTH_REACH_CM = 0.8

IndexArray = npt.NDArray[np.int64]


@cache
def _lip_pairs() -> tuple[IndexArray, IndexArray, F32Array]:
    pairs = np.array(INNER_LIP_PAIRS + MIDDLE_LIP_PAIRS)
    share = np.r_[np.ones(len(INNER_LIP_PAIRS)), np.full(len(MIDDLE_LIP_PAIRS), 0.5)]
    return pairs[:, 0], pairs[:, 1], share.astype(np.float32)[:, None]


@cache
def _lid_pairs() -> tuple[tuple[IndexArray, IndexArray], ...]:
    return tuple(
        (np.array(pairs)[:, 0], np.array(pairs)[:, 1])
        for pairs in (RIGHT_LID_PAIRS, LEFT_LID_PAIRS)
    )


@cache
def _mouth_share() -> F32Array:
    """(468, 1) float32: 1 on the lips, fading over the skin around them."""
    vertices = face_mesh().vertices
    lips = vertices[list(OUTER_LIPS + INNER_LIPS)]
    squared = ((vertices[:, None] - lips[None]) ** 2).sum(axis=-1).min(axis=1)
    share: F32Array = np.exp(-squared / (2.0 * _MOUTH_REACH_CM**2)).astype(np.float32)
    return share[:, None]


@cache
def _lips() -> IndexArray:
    return np.array(OUTER_LIPS)


@cache
def _lids() -> tuple[IndexArray, IndexArray]:
    """Upper and lower lids of both eyes, the right eye's first."""
    (right_upper, right_lower), (left_upper, left_lower) = _lid_pairs()
    return np.r_[right_upper, left_upper], np.r_[right_lower, left_lower]


def _lengths(offsets: F32Array) -> F32Array:
    """(N,) of (N, 3); a third of the time of ``np.linalg.norm`` on a few points."""
    squared = offsets * offsets
    lengths: F32Array = np.sqrt(squared[:, 0] + squared[:, 1] + squared[:, 2])
    return lengths


def _lid_gaps(shape: F32Array) -> tuple[float, float]:
    """Summed gaps of right and left eye."""
    upper, lower = _lids()
    gaps = _lengths(shape[upper] - shape[lower])
    half = len(gaps) // 2
    return float(gaps[:half].sum()), float(gaps[half:].sum())


def mouth_motion(shape: F32Array, neutral: F32Array) -> float:
    """Mean distance of the lips from where they rest, centimetres."""
    lips = _lips()
    return float(_lengths(shape[lips] - neutral[lips]).sum()) / len(lips)


def _narrow_gap(
    offset: F32Array, upper: IndexArray, lower: IndexArray, share: F32Array | np.float32
) -> None:
    half_gap = (offset[upper] - offset[lower]) * (np.float32(0.5) * share)
    offset[upper] -= half_gap
    offset[lower] += half_gap


def lid_opening(shape: F32Array, neutral: F32Array) -> tuple[float, float]:
    """How far right and left eye are open now, over how far at rest; 0..1.

    Args:
        shape: (468, 3) float32, canonical centimetres, with expression.
        neutral: (468, 3) float32, the same face at rest.
    """
    (right, left), (right_rest, left_rest) = _lid_gaps(shape), _lid_gaps(neutral)
    return min(right / max(right_rest, 1e-3), 1.0), min(left / max(left_rest, 1e-3), 1.0)


def shape_offset(
    wanted: F32Array, own: F32Array, opening: tuple[float, float], mouth_known: float
) -> F32Array:
    """What to add to a performer's vertices, in canonical coordinates.

    Args:
        wanted: (468, 3) float32, the persona's neutral face.
        own: (468, 3) float32, the performer's neutral face.
        opening: as ``lid_opening`` returns it.
        mouth_known: 0..1, how well the performer's mouth at rest is known; an unknown one
            is left as it is.

    Returns:
        (468, 3) float32, centimetres; a new array.
    """
    offset: F32Array = (wanted - own) * (1.0 - _mouth_share() * np.float32(1.0 - mouth_known))
    upper, lower, share = _lip_pairs()
    _narrow_gap(offset, upper, lower, share)
    for (upper, lower), open_share in zip(_lid_pairs(), opening, strict=True):
        _narrow_gap(offset, upper, lower, np.float32(1.0 - open_share))
    return offset
