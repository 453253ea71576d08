"""Memory of the GPU and pinned memory of the host, taken once and used again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.gpu.driver import Gpu

# Rows start at multiples of this, so that 16-byte loads and whole sectors are always in order.
PITCH_BYTES = 256
_LEAST_BLOCK = 512


@dataclass(slots=True)
class DeviceArray:
    """A picture or list in GPU memory; rows may lie apart, elements of a row touch.

    Attributes:
        pointer: device address of the first element.
        shape: sizes.
        dtype: NumPy type.
        pitch: bytes from row to row (of the first axis).
        owner: keeps the memory; None where someone else does.
    """

    pointer: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    pitch: int
    owner: Any = field(default=None, repr=False)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row without what lies between rows."""
        return int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        strides = [self.dtype.itemsize]
        for size in reversed(self.shape[2:]):
            strides.append(strides[-1] * size)
        inner = tuple(reversed(strides)) if len(self.shape) > 1 else ()
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.pointer, False),
            "strides": (self.pitch, *inner),
            "version": 3,
            "stream": None,
        }

    def part(self, left: int, top: int, width: int, height: int) -> DeviceArray:
        """A rectangle of it, without a copy."""
        rows, columns, *rest = self.shape
        if not (0 <= left <= left + width <= columns and 0 <= top <= top + height <= rows):
            raise ValueError(
                f"expected a part inside {columns} x {rows}, got {width} x {height} "
                f"at ({left}, {top})"
            )
        element = int(np.prod(rest, dtype=np.int64)) * self.dtype.itemsize
        start = self.pointer + top * self.pitch + left * element
        return DeviceArray(start, (height, width, *rest), self.dtype, self.pitch, self.owner)


def device_array(value: Any) -> DeviceArray:
    """Somebody's device array as mien's, without a copy.

    Raises:
        TypeError: it is no device array.
        ValueError: elements of a row do not touch, or rows run backwards.
    """
    if isinstance(value, DeviceArray):
        return value
    interface = getattr(value, "__cuda_array_interface__", None)
    if interface is None:
        raise TypeError(f"expected an array in CUDA memory, got {type(value).__name__}")
    shape = tuple(int(size) for size in interface["shape"])
    dtype = np.dtype(interface["typestr"])
    packed = [dtype.itemsize]
    for size in reversed(shape[1:]):
        packed.append(packed[-1] * size)
    packed.reverse()
    strides = interface.get("strides")
    strides = packed[: len(shape)] if strides is None else [int(step) for step in strides]
    inner = zip(shape[1:], strides[1:], packed[1:], strict=False)
    if any(step != wanted for size, step, wanted in inner if size > 1):
        raise ValueError(f"the device array {shape} has gaps inside its rows; make it contiguous")
    pitch = strides[0] if shape and shape[0] > 1 else packed[0]
    if pitch < packed[0]:
        raise ValueError(f"the device array {shape} has rows that overlap or run backwards")
    return DeviceArray(int(interface["data"][0]), shape, dtype, pitch, value)


class DevicePool:
    """Blocks of device memory that are given back and used again.

    What is given back may still be read by work queued before on the same stream: whoever
    takes it must queue on that stream too. ``close`` frees everything.

    Attributes:
        allocations: how often the driver was asked; stands still in the steady state.
    """

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        self._free: dict[int, list[Any]] = {}
        self._all: list[Any] = []
        self.allocations = 0

    def take(self, nbytes: int) -> Block:
        """At least so many bytes, aligned to 256."""
        size = size_class(nbytes)
        kept = self._free.get(size)
        if kept:
            return Block(self, size, kept.pop())
        with self._gpu.current(f"taking {size / 1e6:.1f} MB"):
            memory = self._gpu.cuda.mem_alloc(size)
        self.allocations += 1
        self._all.append(memory)
        return Block(self, size, memory)

    def array(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> DeviceArray:
        """An array whose rows are aligned (lists, of one axis, are packed)."""
        kind = np.dtype(dtype)
        row = int(np.prod(shape[1:], dtype=np.int64)) * kind.itemsize
        pitch = -(-row // PITCH_BYTES) * PITCH_BYTES if len(shape) > 1 else row
        return self._array(shape, kind, max(pitch, kind.itemsize))

    def packed(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> DeviceArray:
        """An array whose rows touch."""
        kind = np.dtype(dtype)
        row = int(np.prod(shape[1:], dtype=np.int64)) * kind.itemsize
        return self._array(shape, kind, max(row, kind.itemsize))

    def _array(self, shape: tuple[int, ...], kind: np.dtype[Any], pitch: int) -> DeviceArray:
        block = self.take(max(pitch * shape[0], 1))
        return DeviceArray(block.pointer, shape, kind, pitch, block)

    def _back(self, size: int, memory: Any) -> None:
        if self._all:
            self._free.setdefault(size, []).append(memory)

    def close(self) -> None:
        """Frees everything; blocks that are still held become invalid."""
        memory, self._all, self._free = self._all, [], {}
        if memory:
            with self._gpu.current("freeing memory"):
                for one in memory:
                    one.free()


class Block:
    """Device memory of a pool, back in it when this object goes."""

    def __init__(self, pool: DevicePool, size: int, memory: Any) -> None:
        self._pool, self._memory = pool, memory
        self.size = size
        self.pointer = int(memory)

    def __del__(self) -> None:
        self._pool._back(self.size, self._memory)


def size_class(nbytes: int) -> int:
    """Rounded up to a quarter of a power of two: at most a quarter is wasted."""
    size = max(nbytes, _LEAST_BLOCK)
    step = max(1 << (size.bit_length() - 3), PITCH_BYTES)
    return -(-size // step) * step


class PinnedRing:
    """A few buffers of pinned memory, used in turn, so that copies need not be waited for.

    Args:
        gpu: whose copies.
        slots: how many copies may be under way.
    """

    def __init__(self, gpu: Gpu, slots: int = 3) -> None:
        self._gpu = gpu
        self._buffers: list[Any] = [None] * slots
        self._events: list[Any] = [None] * slots
        self._next = 0
        self.allocations = 0
        self.waits = 0

    def take(self, nbytes: int) -> tuple[int, npt.NDArray[np.uint8]]:
        """A buffer that no copy is using; waits for the oldest copy only if it must.

        Returns:
            The slot's number, for :meth:`sent`, and (nbytes,) uint8. Call inside
            ``Gpu.current``.
        """
        slot, self._next = self._next, (self._next + 1) % len(self._buffers)
        cuda, event = self._gpu.cuda, self._events[slot]
        if event is None:
            self._events[slot] = cuda.Event(cuda.event_flags.DISABLE_TIMING)
        elif not event.query():
            self.waits += 1
            event.synchronize()
        buffer = self._buffers[slot]
        if buffer is None or buffer.nbytes < nbytes:
            self._buffers[slot] = buffer = cuda.pagelocked_empty(size_class(nbytes), np.uint8)
            self.allocations += 1
        return slot, buffer[:nbytes]

    def sent(self, slot: int, stream: Any) -> None:
        """Marks the slot as in use until what is on the stream now is done."""
        self._events[slot].record(stream)

    def close(self) -> None:
        """Frees the buffers."""
        with self._gpu.current("freeing pinned memory"):
            self._buffers = [None] * len(self._buffers)
            self._events = [None] * len(self._events)
