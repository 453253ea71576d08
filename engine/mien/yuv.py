"""4:2:0 pictures of cameras and codecs to BGR and back.

Limited range, 8 bits; each direction rounds to the nearest value, so that a picture that
goes through both keeps its brightness.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from mien import _kernels
from mien.types import U8Array

Matrix = Literal["bt601", "bt709"]
Planes = tuple[U8Array, U8Array, U8Array]


def bgr_from_i420(planes: Planes, matrix: Matrix = "bt709") -> U8Array:
    """The picture of three planes.

    Args:
        planes: Y (H, W), U and V (ceil(H / 2), ceil(W / 2)), uint8, limited range; rows
            may lie apart.
        matrix: which luma weights the planes were made with.

    Returns:
        (H, W, 3) uint8 BGR, a fresh array.
    """
    y, u, v = planes
    frame_bgr = np.empty((*y.shape, 3), np.uint8)
    _kernels.i420_to_bgr(y, u, v, frame_bgr, matrix)
    return frame_bgr


def i420_from_bgr(frame_bgr: U8Array, planes: Planes, matrix: Matrix = "bt709") -> None:
    """Write a picture into three planes, shaped as in :func:`bgr_from_i420`.

    Args:
        frame_bgr: (H, W, 3) uint8.
        planes: Y, U and V, written.
        matrix: luma weights to use.
    """
    _kernels.bgr_to_i420(frame_bgr, *planes, matrix)
