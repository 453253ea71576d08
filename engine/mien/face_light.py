"""Low-frequency light on a face: spherical harmonics fitted to colours of its vertices.

Ramamoorthi & Hanrahan 2001, *An Efficient Representation for Irradiance Environment
Maps*: nine coefficients a channel hold what a matt surface can show of distant light.
The fit departs from the paper in working on display-referred colours: a ratio of two
fits is what is used, and the tone curve nearly cancels in it.
"""

from __future__ import annotations

import numpy as np

from mien import _kernels
from mien.face_mesh import VERTEX_COUNT
from mien.face_regions import face_regions
from mien.types import F32Array, U8Array

HARMONICS = 9

# Colour is averaged over a square of this many canonical centimetres around a vertex, so
# that pores, stubble and noise do not count as light.
_PATCH_CM = 0.5
_LARGEST_RADIUS_PX = 24

# A surface seen at a grazing angle shows hair and background as often as skin; as in
# kernels/include/mien/skin.hpp.
_GRAZING = 0.15
_FACING = 0.50


def harmonics(normals: F32Array) -> F32Array:
    """(N, 9) float32: the real spherical harmonics to order 2, without their constants."""
    x, y, z = normals.T
    columns = (np.ones_like(x), x, y, z, x * y, x * z, y * z, x * x - y * y, 3 * z * z - 1)
    return np.stack(columns, axis=1)


def facing_weights(normals: F32Array) -> F32Array:
    """(N,) float32, 0 for vertices seen at a grazing angle or from behind, 1 for the rest."""
    facing: F32Array = np.clip((normals[:, 2] - _GRAZING) / (_FACING - _GRAZING), 0.0, 1.0)
    return facing


def vertex_colours(image_bgr: U8Array, landmarks: F32Array, scale: float) -> F32Array:
    """Mean colour around each vertex.

    Args:
        image_bgr: (H, W, 3) uint8.
        landmarks: (N >= 468, 3) float32, image pixels.
        scale: pixels per canonical centimetre.

    Returns:
        (468, 3) float32, 0..255.
    """
    colours = np.empty((VERTEX_COUNT, 3), dtype=np.float32)
    points = np.ascontiguousarray(landmarks[:VERTEX_COUNT, :2])
    _kernels.sample_points(image_bgr, points, colours, colour_reach(scale))
    return colours


def colour_reach(scale: float) -> int:
    """How many pixels around a vertex :func:`vertex_colours` averages over, on each side."""
    return int(min(max(round(_PATCH_CM * scale / 2.0), 0), _LARGEST_RADIUS_PX))


class LightFit:
    """Fits light to vertex colours, sparing lips, brows and whatever is not skin.

    Iteratively reweighted least squares; the weights of the last fit start the next one,
    so that a steady picture needs one iteration. Not thread-safe.
    """

    def __init__(self) -> None:
        self._trust = np.ones(VERTEX_COUNT, dtype=np.float32)
        self.skin_bgr: F32Array = np.zeros(3, dtype=np.float32)
        """(3,) mean colour, in the last fit, of the skin that faces the viewer."""

    def fit(self, colours: F32Array, normals: F32Array, *, iterations: int) -> F32Array:
        """Light coefficients.

        Args:
            colours: (468, 3) float32 BGR, 0..255.
            normals: (468, 3) float32 in view axes.
            iterations: of the reweighting; 4 from scratch, 1 to follow.

        Returns:
            (9, 3) float32: ``harmonics(n) @ coefficients`` is the colour of skin facing n.
        """
        light = np.empty((HARMONICS, 3), dtype=np.float32)
        skin_bgr = np.empty(3, dtype=np.float32)
        _kernels.fit_light(
            colours,
            np.ascontiguousarray(normals, dtype=np.float32),
            face_regions().light_weights,
            self._trust,
            light,
            skin_bgr,
            iterations,
        )
        self.skin_bgr = skin_bgr
        return light


def mean_skin(colours: F32Array, normals: F32Array) -> F32Array:
    """(3,) float32 BGR: mean colour of the skin that faces the viewer."""
    weights = skin_weights(normals)
    return np.asarray((weights @ colours) / np.float32(weights.sum()), dtype=np.float32)


def skin_weights(normals: F32Array) -> F32Array:
    """(N,) float32: how much each vertex counts in :func:`mean_skin`."""
    weights: F32Array = face_regions().light_weights * facing_weights(normals) + 1e-6
    return weights
