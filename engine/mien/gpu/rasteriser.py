"""Drawing a face on a GPU in place of the CPU, for as long as the GPU lasts."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mien.errors import DeviceError
from mien.gpu.drawn_face import DrawnFace, FaceArrays
from mien.gpu.driver import Gpu
from mien.gpu.frame_path import MOST_RADIUS, FramePath
from mien.gpu.shared_frame import SharedFrame
from mien.types import F32Array, U8Array

logger = logging.getLogger(__name__)


class Rasteriser(Protocol):
    """Draws a face as :func:`mien._kernels.raster_face` does."""

    def __call__(
        self,
        texture: U8Array,
        aux: U8Array,
        uv: F32Array,
        vertices: F32Array,
        source_xy: F32Array,
        gain: F32Array,
        offset: F32Array,
        triangles: npt.NDArray[np.int32],
        frame: U8Array,
        left: int,
        top: int,
        out_bgr: U8Array,
        out_matte: U8Array,
        depth: F32Array,
        threads: int = 1,
    ) -> None: ...


class Painter(Protocol):
    """Draws a face and blends it, as :meth:`FramePath.paint` does; None where it cannot.

    The face is the first eight arrays of :func:`mien._kernels.raster_face`.
    """

    def __call__(
        self,
        arrays: FaceArrays,
        frame: U8Array,
        at: tuple[int, int],
        size: tuple[int, int],
        radius: int,
    ) -> tuple[U8Array, U8Array] | None: ...


class FallingBack:
    """Draws on the GPU until that fails, and on the CPU from then on.

    The frame at which it fails is lost: the error goes to the guard.

    Attributes:
        lost: why the GPU is no longer used; empty while it is.
        afterwards: what becomes of faces then, in words.
    """

    def __init__(self, gpu: Gpu, path: FramePath, cpu: Rasteriser) -> None:
        self._gpu, self._path, self._cpu = gpu, path, cpu
        self.lost = ""
        self.afterwards = "faces are drawn on the CPU from now on"

    def give_up(self, why: str) -> None:
        """Draws on the CPU from the next face on; between faces."""
        self.lost = self.lost or why

    @property
    def gpu_ms(self) -> float:
        """See :attr:`FramePath.gpu_ms`."""
        return self._path.gpu_ms

    def lend(self, frame: SharedFrame) -> None:
        """Draws from pixels that are on this GPU already."""
        if frame.index == self._gpu.index:
            self._path.shared = frame

    def __call__(self, *arguments: Any, **named: Any) -> None:
        """See :class:`Rasteriser`."""
        if self.lost:
            self._cpu(*arguments, **named)
            return
        with self._watching():
            self._path(*arguments, **named)

    def paint(
        self,
        arrays: FaceArrays,
        frame: U8Array,
        at: tuple[int, int],
        size: tuple[int, int],
        radius: int,
    ) -> tuple[U8Array, U8Array] | None:
        """See :meth:`FramePath.paint`; None where the GPU is lost, or cannot soften so far."""
        if self.lost or radius > MOST_RADIUS:
            return None
        with self._watching():
            return self._path.paint(DrawnFace(*arrays), frame, at, size, radius)

    @contextmanager
    def _watching(self) -> Iterator[None]:
        try:
            yield
        except DeviceError as error:
            self.lost = error.what
            logger.warning("%s; %s", error.what, self.afterwards)
            raise

    def close(self) -> None:
        """Frees the GPU."""
        try:
            self._path.close()
        except DeviceError as error:
            logger.debug("leaving a GPU that failed: %s", error)
        self._gpu.close()
