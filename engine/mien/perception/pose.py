"""Head pose: the canonical face laid over the landmarks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from mien.face_mesh import face_mesh
from mien.types import F32Array, HeadPose

_VIEW_FROM_LANDMARK = np.array([1.0, -1.0, -1.0])


F64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Basis:
    """The points that carry the pose: what of them is the same for every face."""

    indices: npt.NDArray[np.intp]
    weights: F64Array
    """(N,), sum 1."""
    mean: F64Array
    """(3,) of the canonical positions."""
    weighted: F64Array
    """(N, 3) canonical positions about their mean, times their weights."""
    spread: float
    """Weighted mean square of those positions."""


@cache
def _basis() -> _Basis:
    mesh = face_mesh()
    (indices,) = np.nonzero(mesh.pose_weights)
    weights = mesh.pose_weights[indices].astype(np.float64)
    weights /= weights.sum()
    canonical = mesh.vertices[indices].astype(np.float64)
    mean = weights @ canonical
    centred = canonical - mean
    weighted = centred * weights[:, None]
    return _Basis(indices, weights, mean, weighted, float((weighted * centred).sum()))


def _determinant(matrix: F64Array) -> float:
    # NumPy's overhead on nine numbers would be ten times the work.
    (a, b, c), (d, e, f), (g, h, i) = matrix.tolist()
    determinant: float = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    return determinant


def estimate_pose(landmarks: F32Array) -> HeadPose:
    """The similarity that lays the canonical face over the landmarks.

    Weighted least squares in closed form: Umeyama 1991, *Least-squares estimation of
    transformation parameters between two point patterns*, eqs. 40-42, with weights in
    the means and the covariance. Points that move with expression have weight zero.

    Args:
        landmarks: (478, 3) or (468, 3) float, frame pixels, z negative to the viewer.

    Returns:
        The pose; for landmarks that all coincide its scale is 0 and its rotation the
        identity.
    """
    basis = _basis()
    view = landmarks[basis.indices].astype(np.float64) * _VIEW_FROM_LANDMARK
    view_mean = basis.weights @ view
    covariance = (view - view_mean).T @ basis.weighted
    strengths, left, right = (np.asarray(part) for part in cv2.SVDecomp(covariance))
    strengths = strengths[:, 0]
    if strengths[0] < 1e-12:
        identity = np.eye(3, dtype=np.float32)
        return HeadPose(rotation=identity, scale=0.0, translation=view_mean.astype(np.float32))
    signs = np.array([1.0, 1.0, 1.0 if _determinant(left) * _determinant(right) > 0 else -1.0])
    rotation = (left * signs) @ right
    scale = float(strengths @ signs) / basis.spread
    translation = view_mean - scale * rotation @ basis.mean
    return HeadPose(
        rotation=rotation.astype(np.float32),
        scale=scale,
        translation=translation.astype(np.float32),
    )
