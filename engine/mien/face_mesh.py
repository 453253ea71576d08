"""The canonical face: 468 vertices, their triangles, UV layout and named regions.

The geometry, UV layout and pose weights are those of MediaPipe Face Mesh
(Apache-2.0; Kartynnik et al. 2019, *Real-time Facial Surface Geometry from Monocular
Video on Mobile GPUs*), read from the public ``@mediapipe/face_mesh`` package.
Axes: x to the picture's right for a face seen from the front (the person's left),
y up, z towards the viewer; centimetres. UV: u right, v down, both 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files

import numpy as np
from safetensors.numpy import load_file

from mien.types import F32Array, I32Array

VERTEX_COUNT = 468
TRIANGLE_COUNT = 898

# Closed rings, in order, of the published contour sets.
FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
LEFT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
OUTER_LIPS = (
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185,
)  # fmt: skip
INNER_LIPS = (
    78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191,
)  # fmt: skip
# (upper, lower) pairs from one corner to the other: the inner lip line, the middle of the
# red of the lips, and the lids of both eyes.
INNER_LIP_PAIRS = (
    (191, 95), (80, 88), (81, 178), (82, 87), (13, 14), (312, 317), (311, 402), (310, 318),
    (415, 324),
)  # fmt: skip
MIDDLE_LIP_PAIRS = (
    (183, 96), (42, 89), (41, 179), (38, 86), (12, 15), (268, 316), (271, 403), (272, 319),
    (407, 325),
)  # fmt: skip
RIGHT_LID_PAIRS = ((246, 7), (161, 163), (160, 144), (159, 145), (158, 153), (157, 154), (173, 155))
LEFT_LID_PAIRS = (
    (466, 249), (388, 390), (387, 373), (386, 374), (385, 380), (384, 381), (398, 382),
)  # fmt: skip
LEFT_BROW = (276, 283, 282, 295, 285, 300, 293, 334, 296, 336)
RIGHT_BROW = (46, 53, 52, 65, 55, 70, 63, 105, 66, 107)

# Centre, then four rim points, of the iris landmarks that follow the mesh.
RIGHT_IRIS = (468, 469, 470, 471, 472)
LEFT_IRIS = (473, 474, 475, 476, 477)

# Outer corner, inner corner of both eyes and the nose's base: the points on which
# face crops for the identity descriptor are aligned.
DESCRIPTOR_POINTS = (263, 362, 33, 133, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceMesh:
    """The canonical face.

    Attributes:
        vertices: (468, 3) float32, centimetres.
        uv: (468, 2) float32, 0..1.
        triangles: (898, 3) int32.
        pose_weights: (468,) float32, how much each vertex counts when a pose is
            fitted; zero for those that move with expression.
    """

    vertices: F32Array
    uv: F32Array
    triangles: I32Array
    pose_weights: F32Array


@cache
def face_mesh() -> FaceMesh:
    """The canonical face, loaded once; the arrays are read-only."""
    resource = files("mien.models").joinpath("canonical_face.safetensors")
    with as_file(resource) as path:
        arrays = load_file(path)
    for array in arrays.values():
        array.flags.writeable = False
    return FaceMesh(
        vertices=arrays["vertices"],
        uv=arrays["uv"],
        triangles=arrays["triangles"].astype(np.int32, copy=False),
        pose_weights=arrays["procrustes_weights"],
    )
