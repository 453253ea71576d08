"""What a face is drawn from, and which of the frame's pixels that takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from mien.types import F32Array, U8Array

FaceArrays = tuple[
    U8Array, U8Array, F32Array, F32Array, F32Array, F32Array, F32Array, npt.NDArray[np.int32]
]
"""Texture, aux, uv, vertices, source_xy, gain, offset, triangles."""

_MOST_TRIANGLES = 1 << 16
# Attributes are planes in single precision: samples of the performer's own pixels may lie this
# far outside the corners' box.
_REACH = 3


@dataclass(frozen=True, slots=True)
class DrawnFace:
    """The arrays of :func:`mien._kernels.raster_face`.

    Raises:
        TypeError, ValueError: arrays that do not fit each other.
    """

    texture: U8Array
    aux: U8Array
    uv: F32Array
    vertices: F32Array
    source_xy: F32Array
    gain: F32Array
    offset: F32Array
    triangles: npt.NDArray[np.int32]

    def __post_init__(self) -> None:
        size, count = self.texture.shape[:2], len(self.vertices)
        wanted: dict[str, tuple[type, tuple[int, ...]]] = {
            "texture": (np.uint8, (*size, 4)),
            "aux": (np.uint8, size),
            "uv": (np.float32, (count, 2)),
            "vertices": (np.float32, (count, 3)),
            "source_xy": (np.float32, (count, 2)),
            "gain": (np.float32, (count, 3)),
            "offset": (np.float32, (count, 3)),
            "triangles": (np.int32, (len(self.triangles), 3)),
        }
        for one in fields(self):
            dtype, shape = wanted[one.name]
            got = getattr(self, one.name)
            said = f"expected {one.name} {shape} {np.dtype(dtype)}, got {got.shape} {got.dtype}"
            if got.dtype != dtype:
                raise TypeError(said)
            if got.shape != shape or 0 in size:
                raise ValueError(said)
        triangles = self.triangles
        if triangles.size and not 0 <= triangles.min() <= triangles.max() < count:
            raise ValueError(f"expected triangles of vertices 0..{count - 1}")
        if len(triangles) > _MOST_TRIANGLES:
            raise ValueError(f"expected at most {_MOST_TRIANGLES} triangles, got {len(triangles)}")

    def window(
        self, at: tuple[int, int], size: tuple[int, int], frame: Sequence[int]
    ) -> tuple[int, int, int, int]:
        """The pixels that drawing into a part of a frame looks at.

        Args:
            at: (left, top) of the part.
            size: its (height, width).
            frame: (height, width).

        Returns:
            Left, top, right, bottom: the part, and around it whatever the face samples.
        """
        height, width = frame[0], frame[1]
        if not np.isfinite(self.source_xy).all():
            return 0, 0, width, height
        left, top, right, bottom = at[0], at[1], at[0] + size[1], at[1] + size[0]
        if len(self.source_xy):
            last = (width - 1, height - 1)
            low = np.clip(self.source_xy.min(axis=0), 0, last).astype(int) - _REACH
            high = np.clip(self.source_xy.max(axis=0), 0, last).astype(int) + _REACH + 1
            left, top = min(left, int(low[0])), min(top, int(low[1]))
            right, bottom = max(right, int(high[0])), max(bottom, int(high[1]))
        # Samples on a frame's last pixels have taps before them, whose weight is 0.
        left, top = max(min(left, width - 2), 0), max(min(top, height - 2), 0)
        return left, top, min(right, width), min(bottom, height)
