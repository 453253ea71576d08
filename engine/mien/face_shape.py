"""Faces in canonical coordinates: pose taken out, expression told apart from identity.

The 52 expression units are those of the CC0 head model of MakeHuman / MPFB2 (ARKit
names), moved onto the canonical face's vertices.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files

import numpy as np
from safetensors.numpy import load_file

from mien.face_mesh import VERTEX_COUNT, face_mesh
from mien.types import F32Array, HeadPose

# Landmark axes (x right, y down, z away) against view axes (x right, y up, z nearer).
VIEW_FROM_LANDMARK = np.array([1.0, -1.0, -1.0], dtype=np.float32)
VIEW_FROM_LANDMARK.flags.writeable = False

# Depth is a monocular guess, so it counts for less than what is seen.
_DEPTH_WEIGHT = 0.5

# Strength of the ridge prior on expression coefficients. Measured on the ground-truth
# clip: weaker priors let the units explain identity away, stronger ones miss the jaw.
_RIDGE = 3.0
_COEFFICIENT_RANGE = (-0.2, 1.2)


def canonical_from_landmarks(landmarks: F32Array, pose: HeadPose) -> F32Array:
    """The face's vertices with the head pose taken out.

    Args:
        landmarks: (N >= 468, 3) float32, frame pixels.
        pose: the pose fitted to them.

    Returns:
        (468, 3) float32, canonical centimetres and axes.
    """
    view = landmarks[:VERTEX_COUNT] * VIEW_FROM_LANDMARK - pose.translation
    canonical = (view @ pose.rotation) * np.float32(1.0 / pose.scale)
    return np.asarray(canonical, dtype=np.float32)


@cache
def expression_basis() -> F32Array:
    """(52, 468, 3) float32, centimetres: what each expression unit moves at full strength."""
    resource = files("mien.models").joinpath("face_expressions.safetensors")
    with as_file(resource) as path:
        basis: F32Array = load_file(path)["units"].astype(np.float32)
    basis.flags.writeable = False
    return basis


@cache
def _expression_solver() -> F32Array:
    """(52, 1404) float32: ridge regression from vertex offsets to coefficients."""
    units = expression_basis().reshape(len(expression_basis()), -1).astype(np.float64)
    weights = np.tile([1.0, 1.0, _DEPTH_WEIGHT], VERTEX_COUNT)
    weighted = units * weights
    ridge = 0.01 * _RIDGE * VERTEX_COUNT * np.eye(len(units))
    solver: F32Array = (np.linalg.solve(weighted @ weighted.T + ridge, weighted) * weights).astype(
        np.float32
    )
    return solver


def expression_coefficients(shape: F32Array, neutral: F32Array) -> F32Array:
    """How strongly each expression unit is at work in a face.

    Args:
        shape: (468, 3) float32, canonical centimetres, with expression.
        neutral: (468, 3) float32, the same person's neutral face, or the canonical face.

    Returns:
        (52,) float32, about 0..1.
    """
    # einsum stays off BLAS, whose threads take longer to wake than this product takes.
    coefficients = np.einsum("ij,j->i", _expression_solver(), (shape - neutral).reshape(-1))
    return np.asarray(np.clip(coefficients, *_COEFFICIENT_RANGE), dtype=np.float32)


def without_expression(shape: F32Array, coefficients: F32Array) -> F32Array:
    """The face less the given expression; (468, 3) float32."""
    basis = expression_basis()
    offset = np.einsum("i,ijk->jk", coefficients, basis)
    neutral: F32Array = shape - offset
    return neutral


def neutral_shape(shape: F32Array, *, least: float = 0.0) -> F32Array:
    """A guess of the neutral face behind one picture of a face.

    Args:
        shape: (468, 3) float32, canonical centimetres, with expression.
        least: coefficients lose this much (soft threshold), so that only a clear
            expression is taken out and a person's own wide mouth stays.
    """
    coefficients = expression_coefficients(shape, face_mesh().vertices)
    kept = np.sign(coefficients) * np.maximum(np.abs(coefficients) - np.float32(least), 0.0)
    return without_expression(shape, kept.astype(np.float32))
