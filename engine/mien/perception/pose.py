"""Head pose: the canonical face laid over the landmarks."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from mien.face_mesh import face_mesh
from mien.types import F32Array, HeadPose

_VIEW_FROM_LANDMARK = np.array([1.0, -1.0, -1.0])


@cache
def _basis() -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Indices, weights (sum 1) and canonical positions of the points that carry the pose."""
    mesh = face_mesh()
    (indices,) = np.nonzero(mesh.pose_weights)
    weights = mesh.pose_weights[indices].astype(np.float64)
    return indices, weights / weights.sum(), mesh.vertices[indices].astype(np.float64)


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
    indices, weights, canonical = _basis()
    view = landmarks[indices].astype(np.float64) * _VIEW_FROM_LANDMARK
    canonical_mean, view_mean = weights @ canonical, weights @ view
    centred, target = canonical - canonical_mean, view - view_mean
    covariance = (target * weights[:, None]).T @ centred
    left, strengths, right = np.linalg.svd(covariance)
    if strengths[0] < 1e-12:
        identity = np.eye(3, dtype=np.float32)
        return HeadPose(rotation=identity, scale=0.0, translation=view_mean.astype(np.float32))
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left) * np.linalg.det(right))])
    rotation = (left * signs) @ right
    scale = float(strengths @ signs) / float(weights @ (centred**2).sum(axis=1))
    translation = view_mean - scale * rotation @ canonical_mean
    return HeadPose(
        rotation=rotation.astype(np.float32),
        scale=scale,
        translation=translation.astype(np.float32),
    )
