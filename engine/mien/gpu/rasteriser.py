"""The mesh swapper's drawing on a GPU, for pictures that lie on the host.

What moves: up, the face's rectangle of the frame and 20 KB of vertices; down, the patch and its
matte. Textures that cannot change stay on the GPU.
"""

from __future__ import annotations

import logging
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mien.errors import DeviceError
from mien.gpu.driver import Gpu
from mien.gpu.kernels import GpuKernels
from mien.gpu.memory import DeviceArray
from mien.gpu.transfers import Bundle, Transfers
from mien.types import F32Array, U8Array

logger = logging.getLogger(__name__)

_MOST_TEXTURES = 16
# Attributes are planes in single precision: samples of the performer's own pixels may lie this
# far outside the corners' box.
_REACH = 3


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


class GpuRasteriser:
    """Draws on the GPU and brings the patch back; ``depth`` is left as it is.

    One thread at a time. ``close`` frees what it holds, but not the GPU.
    """

    def __init__(self, gpu: Gpu, kernels: GpuKernels | None = None) -> None:
        self._gpu = gpu
        self._kernels = kernels or GpuKernels(gpu)
        self.transfers = Transfers(gpu, self._kernels.pool)
        self._textures: dict[tuple[Any, ...], tuple[Any, DeviceArray]] = {}
        self._frame: DeviceArray | None = None
        self._out: tuple[tuple[int, int], Bundle, DeviceArray] | None = None

    @property
    def allocations(self) -> int:
        """How often memory was taken, on either side; stands still in the steady state."""
        return self._kernels.pool.allocations + self.transfers.allocations

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
    ) -> None:
        """See :func:`mien._kernels.raster_face`.

        Raises:
            DeviceError: the GPU failed; see :class:`mien.errors.GpuLostError`.
            ValueError: arrays that do not fit.
        """
        size = out_matte.shape
        if size[0] == 0 or size[1] == 0:
            return
        if triangles.size and not 0 <= triangles.min() <= triangles.max() < len(vertices):
            raise ValueError(f"expected triangles of vertices 0..{len(vertices) - 1}")
        stream = self._gpu.stream
        skin, weights = self._kept(texture, stream), self._kept(aux, stream)
        places, faces = self._kept(uv, stream), self._kept(triangles, stream)
        pixels = self._upload_frame(frame, (left, top), (size[0], size[1]), source_xy, stream)
        lists = self.transfers.upload([vertices, source_xy, gain, offset], stream)
        bundle, far = self._room((size[0], size[1]))
        bgr, matte = bundle.arrays
        corners, sources, gains, offsets = lists.arrays
        self._kernels.raster_face(
            *(skin, weights, places, corners, sources, gains, offsets, faces, pixels),
            *(left, top, bgr, matte, far, stream),
        )
        host_bgr, host_matte = self.transfers.download(bundle, stream)
        np.copyto(out_bgr, host_bgr)
        np.copyto(out_matte, host_matte)

    def _kept(self, value: npt.NDArray[Any], stream: Any) -> DeviceArray:
        """The array on the GPU: from before, where it cannot have changed since."""
        if value.flags.writeable:
            return self.transfers.upload([value], stream).arrays[0]
        key = (value.ctypes.data, value.shape, value.strides, value.dtype.str)
        found = self._textures.get(key)
        if found is None:
            while len(self._textures) >= _MOST_TEXTURES:
                self._textures.pop(next(iter(self._textures)))
            # The reference keeps the address from being given to another array.
            found = value, self.transfers.upload([value], stream).arrays[0]
            self._textures[key] = found
        return found[1]

    def _upload_frame(
        self,
        frame: U8Array,
        at: tuple[int, int],
        size: tuple[int, int],
        source_xy: F32Array,
        stream: Any,
    ) -> DeviceArray:
        """A frame on the GPU of which the part that is looked at is this one's."""
        pixels = self._frame
        if pixels is None or pixels.shape != frame.shape:
            pixels = self._frame = self._kernels.pool.array(frame.shape, np.uint8)
        height, width = frame.shape[:2]
        left, top, right, bottom = 0, 0, width, height
        if source_xy.size and bool(np.isfinite(source_xy).all()):
            low = np.clip(source_xy.min(axis=0), 0, (width - 1, height - 1)).astype(int) - _REACH
            high = np.clip(source_xy.max(axis=0), 0, (width - 1, height - 1)).astype(int) + _REACH
            left, top = max(min(at[0], int(low[0])), 0), max(min(at[1], int(low[1])), 0)
            right = min(max(at[0] + size[1], int(high[0]) + 1), width)
            bottom = min(max(at[1] + size[0], int(high[1]) + 1), height)
        self.transfers.upload_part(frame, pixels, (left, top, right, bottom), stream)
        return pixels

    def _room(self, size: tuple[int, int]) -> tuple[Bundle, DeviceArray]:
        if self._out is None or self._out[0] != size:
            self._out = None  # back to the pool before more is taken
            pool = self._kernels.pool
            bundle = Bundle(pool, [((*size, 3), np.uint8), (size, np.uint8)])
            self._out = size, bundle, pool.array(size, np.float32)
        return self._out[1], self._out[2]

    def close(self) -> None:
        """Frees all memory and unloads the kernels."""
        self._textures.clear()
        self._frame = self._out = None
        self.transfers.close()
        self._kernels.close()


class FallingBack:
    """Draws on the GPU until that fails, and on the CPU from then on.

    The frame at which it fails is lost: the error goes to the guard.

    Attributes:
        lost: why the GPU is no longer used; empty while it is.
    """

    def __init__(self, gpu: Gpu, rasteriser: GpuRasteriser, cpu: Rasteriser) -> None:
        self._gpu, self._rasteriser, self._cpu = gpu, rasteriser, cpu
        self.lost = ""

    def __call__(self, *arguments: Any, **named: Any) -> None:
        """See :class:`Rasteriser`."""
        if self.lost:
            self._cpu(*arguments, **named)
            return
        try:
            self._rasteriser(*arguments, **named)
        except DeviceError as error:
            self.lost = error.what
            logger.warning("%s; faces are drawn on the CPU from now on", error.what)
            raise

    def close(self) -> None:
        """Frees the GPU."""
        try:
            self._rasteriser.close()
        except DeviceError as error:
            logger.debug("leaving a GPU that failed: %s", error)
        self._gpu.close()
