"""Where on the resting face each sample of the live generator's input lies.

StyleGAN3's input layer is a bank of plane waves over the picture (Karras et al. 2021, section
3.1). Sampled at places that move with the face, rather than at the pixels' own, the waves carry
lips, lids and brows along: the network paints a face at rest and need not learn to move it, as
in first-order motion models (Siarohin et al. 2019), with a tracker in place of learned key
points. The places are a smooth function of the picture, so the waves stay band-limited.

Shared by training and by the swapper.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mien.face_mesh import face_mesh
from mien.live_view import HEAD_CENTRE_CM, HEAD_SPAN_CM, condition_parts, condition_points
from mien.types import F32Array

GRID_SIZE = 22
"""Samples a side of the generator's input, beyond the picture's border included."""

GRID_RATE = 16
"""Samples on the picture's own side."""

# A point of the face pulls the grid so far about it, share of the head's square; points that
# nothing is near to follow the whole.
_REACH, _WHOLE = 0.04, 0.3
# A vertex between points that are told moves with those near to it, centimetres.
_NEAR_CM, _STIFF = 1.0, 0.3


class _Rest(NamedTuple):
    vertices: F32Array
    weights: F32Array
    flat: F32Array


def input_grid(condition: F32Array, transform: F32Array) -> F32Array:
    """(GRID_SIZE, GRID_SIZE, 2) float32 for the generator: x right, y down, sides of the square.

    A face at rest that looks straight into the camera, in a crop that is the head's square
    itself, gives the samples' own places, to within what landmarks of nobody in particular tell.

    Args:
        condition: (CONDITION_SIZE,) float32, see :func:`mien.live_view.observe_driver`.
        transform: (3, 3) float32, see :func:`mien.live_view.input_transform`.
    """
    rest, parts = _rest(), condition_parts()
    motion = rest.weights @ condition[parts["expression"]].reshape(-1, 3)
    view = (rest.vertices + motion) @ _rotation(condition[parts["pose"]]).T
    now = view[:, :2] * _FLIPPED
    joined = np.concatenate([now, np.ones((len(now), 1), np.float32)], axis=1)
    whole, *_ = np.linalg.lstsq(joined, rest.flat, rcond=None)
    left = rest.flat - joined @ whole
    places = _samples() @ transform[:2, :2].T + transform[:2, 2]
    squares = (places**2).sum(axis=1)[:, None] + (now**2).sum(axis=1) - 2.0 * places @ now.T
    pull = np.exp(np.minimum(squares * np.float32(-0.5 / _REACH**2), 0.0))
    pull /= pull.sum(axis=1, keepdims=True) + np.float32(_WHOLE)
    grid = places @ whole[:2] + whole[2] + pull @ left
    return np.asarray(grid.reshape(GRID_SIZE, GRID_SIZE, 2), np.float32)


_FLIPPED = np.array([1.0, -1.0], np.float32) / np.float32(HEAD_SPAN_CM)


@cache
def _rest() -> _Rest:
    """The mesh at rest about the head's centre, how it follows the told points, and its front."""
    vertices = np.asarray(face_mesh().vertices, np.float32)
    points = condition_points()
    squares = ((vertices[:, None] - vertices[points][None]) ** 2).sum(axis=2)
    weights = np.exp(squares / np.float32(-2.0 * _NEAR_CM**2))
    weights /= weights.sum(axis=1, keepdims=True) + np.float32(_STIFF)
    weights[points] = np.eye(len(points), dtype=np.float32)
    centred = vertices - HEAD_CENTRE_CM
    return _Rest(centred, np.asarray(weights, np.float32), centred[:, :2] * _FLIPPED)


@cache
def _samples() -> F32Array:
    """(GRID_SIZE squared, 2): the samples' own places."""
    axis = (np.arange(GRID_SIZE) - (GRID_SIZE - 1) / 2) / GRID_RATE
    both: npt.NDArray[np.float64] = np.stack(np.meshgrid(axis, axis), axis=-1)
    return np.asarray(both.reshape(-1, 2), np.float32)


def _rotation(pose: F32Array) -> F32Array:
    """(3, 3) from its first two columns, made square and of length one."""
    first, second = pose.reshape(2, 3)
    first = first / max(float(np.linalg.norm(first)), 1e-6)
    second = second - first * (first @ second)
    second = second / max(float(np.linalg.norm(second)), 1e-6)
    return np.stack([first, second, np.cross(first, second)], axis=1)
