"""Copies between host and GPU: many arrays in one copy, through pinned memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.gpu.driver import Gpu
from mien.gpu.memory import PITCH_BYTES, DeviceArray, DevicePool, PinnedRing

Spec = tuple[tuple[int, ...], npt.DTypeLike]


class Bundle:
    """Arrays side by side in one block of device memory.

    Args:
        pool: whose memory.
        specs: shape and type of each; rows of pictures are aligned, those of lists (at most
            four numbers a row) touch.

    Attributes:
        arrays: the device arrays.
        nbytes: of all, gaps included.
    """

    def __init__(self, pool: DevicePool, specs: Sequence[Spec]) -> None:
        self.arrays: list[DeviceArray] = []
        self._offsets: list[int] = []
        at = 0
        shaped = []
        for shape, dtype in specs:
            kind = np.dtype(dtype)
            row = int(np.prod(shape[1:], dtype=np.int64)) * kind.itemsize
            pitch = row if _is_list(shape) else -(-row // PITCH_BYTES) * PITCH_BYTES
            shaped.append((shape, kind, max(pitch, kind.itemsize)))
            self._offsets.append(at)
            at += -(-shaped[-1][2] * shape[0] // PITCH_BYTES) * PITCH_BYTES
        self.nbytes = at
        block = pool.take(max(at, 1))
        for offset, (shape, kind, pitch) in zip(self._offsets, shaped, strict=True):
            self.arrays.append(DeviceArray(block.pointer + offset, shape, kind, pitch, block))
        self.pointer = block.pointer

    def host(self, buffer: npt.NDArray[np.uint8]) -> list[npt.NDArray[Any]]:
        """The same arrays as views of host memory that holds a copy of the block."""
        views: list[npt.NDArray[Any]] = []
        for offset, array in zip(self._offsets, self.arrays, strict=True):
            packed = array.__cuda_array_interface__["strides"]
            views.append(
                np.ndarray(array.shape, array.dtype, buffer, offset=offset, strides=packed)
            )
        return views


class Transfers:
    """Uploads and downloads on one GPU; only downloads wait for it."""

    def __init__(self, gpu: Gpu, pool: DevicePool) -> None:
        self._gpu, self._pool = gpu, pool
        self._up, self._down = PinnedRing(gpu), PinnedRing(gpu, slots=1)
        self.uploads = self.downloads = 0

    def upload(
        self, values: Sequence[npt.NDArray[Any]], stream: Any, into: Bundle | None = None
    ) -> Bundle:
        """Queues one copy of all arrays to the GPU.

        Args:
            values: any strides.
            stream: where the copy is queued.
            into: a bundle of these shapes to be filled; a new one if None.
        """
        bundle = into or Bundle(self._pool, [(value.shape, value.dtype) for value in values])
        with self._gpu.current("uploading"):
            slot, buffer = self._up.take(bundle.nbytes)
            for view, value in zip(bundle.host(buffer), values, strict=True):
                np.copyto(view, value)
            self._gpu.cuda.memcpy_htod_async(bundle.pointer, buffer, stream)
            self._up.sent(slot, stream)
        self.uploads += 1
        return bundle

    def download(self, bundle: Bundle, stream: Any) -> list[npt.NDArray[Any]]:
        """One copy of all arrays to the host, and waits for it.

        Returns:
            Views of pinned memory, valid until the next download.
        """
        with self._gpu.current("downloading"):
            slot, buffer = self._down.take(bundle.nbytes)
            self._gpu.cuda.memcpy_dtoh_async(buffer, bundle.pointer, stream)
            stream.synchronize()
            self._down.sent(slot, stream)
        self.downloads += 1
        return bundle.host(buffer)

    @property
    def allocations(self) -> int:
        """How often pinned memory was taken."""
        return self._up.allocations + self._down.allocations

    def close(self) -> None:
        """Frees the pinned memory."""
        self._up.close()
        self._down.close()


def _is_list(shape: tuple[int, ...]) -> bool:
    """Points, vertices and the like: few numbers a row."""
    return len(shape) < 2 or (len(shape) == 2 and shape[1] <= 4)
