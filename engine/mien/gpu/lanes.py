"""What a frame's one copy in a direction holds, and the memory at both of its ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.gpu.driver import Gpu
from mien.gpu.memory import PITCH_BYTES, Block, DeviceArray, DevicePool, size_class

# Every other length has to be told to the graph: a copy is cut to size only after so many in a row
# that were this much too long. A large and a small face may so take turns.
_MOST_SLACK = 1.5
_PATIENCE = 60


@dataclass(frozen=True, slots=True)
class Placed:
    """An array's place in a copy.

    Attributes:
        offset: bytes from the copy's begin.
        shape, dtype: as in NumPy.
        pitch: bytes from row to row.
    """

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    pitch: int

    def on_device(self, base: int) -> DeviceArray:
        """It, where the copy's device end begins at ``base``."""
        return DeviceArray(base + self.offset, self.shape, self.dtype, self.pitch)

    def in_host(self, buffer: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """It, as a view of the copy's host end."""
        strides = self.on_device(0).__cuda_array_interface__["strides"]
        return np.ndarray(self.shape, self.dtype, buffer, offset=self.offset, strides=strides)


class Layout:
    """Gives arrays their places, one after another.

    Attributes:
        nbytes: of all.
    """

    def __init__(self) -> None:
        self.nbytes = 0

    def place(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Placed:
        """Room for an array: rows of pictures are aligned, those of lists touch."""
        kind = np.dtype(dtype)
        row = int(np.prod(shape[1:], dtype=np.int64)) * kind.itemsize
        is_list = len(shape) < 2 or (len(shape) == 2 and kind.itemsize > 1)
        pitch = row if is_list else -(-row // PITCH_BYTES) * PITCH_BYTES
        placed = Placed(self.nbytes, shape, kind, max(pitch, kind.itemsize))
        self.nbytes += -(-placed.pitch * shape[0] // PITCH_BYTES) * PITCH_BYTES
        return placed


class Lane:
    """Pinned memory, device memory, and one copy between them whose length seldom changes.

    Whoever fills it has waited for the copy before; ``close`` frees the pinned memory, the
    pool frees the rest.

    Attributes:
        nbytes: what a copy moves.
        allocations: how often pinned memory was taken.
    """

    def __init__(self, gpu: Gpu, pool: DevicePool) -> None:
        self._gpu, self._pool = gpu, pool
        self._block: Block | None = None
        self._pinned: npt.NDArray[np.uint8] = np.empty(0, np.uint8)
        self.nbytes = self.allocations = 0
        self._too_long = 0

    @property
    def pointer(self) -> int:
        """Where the device's end begins."""
        assert self._block is not None
        return self._block.pointer

    @property
    def key(self) -> tuple[int, int, int]:
        """What a recorded copy depends on."""
        return self.pointer, self._pinned.ctypes.data, self.nbytes

    def fit(self, nbytes: int) -> None:
        """Makes room for so many bytes and settles how many the copies move."""
        if nbytes <= self.nbytes:
            self._too_long = self._too_long + 1 if self.nbytes > _MOST_SLACK * nbytes else 0
            if self._too_long < _PATIENCE:
                return
        self._too_long = 0
        if self._block is None or self._block.size < nbytes:
            self._block = None  # back to the pool before more is taken
            self._block = self._pool.take(nbytes + nbytes // 4)
            with self._gpu.current("taking pinned memory"):
                self._pinned = self._gpu.cuda.pagelocked_empty(self._block.size, np.uint8)
            self.allocations += 1
        self.nbytes = min(size_class(nbytes), self._block.size)

    def fill(self, place: Placed, value: npt.NDArray[Any]) -> None:
        """Writes an array into the host's end."""
        np.copyto(place.in_host(self._pinned), value)

    def host(self, place: Placed) -> npt.NDArray[Any]:
        """An array of the host's end, valid until the next copy."""
        return place.in_host(self._pinned)

    def send(self, stream: Any) -> None:
        """Queues the copy to the device; call inside ``Gpu.current``."""
        self._gpu.cuda.memcpy_htod_async(self.pointer, self._pinned[: self.nbytes], stream)

    def receive(self, stream: Any, source: int | None = None) -> None:
        """Queues the copy from the device's end, or from other memory as long."""
        target = self._pinned[: self.nbytes]
        at = self.pointer if source is None else source
        self._gpu.cuda.memcpy_dtoh_async(target, at, stream)

    def close(self) -> None:
        """Frees the pinned memory."""
        with self._gpu.current("freeing pinned memory"):
            self._pinned = np.empty(0, np.uint8)
            self._block = None
            self.nbytes = 0
