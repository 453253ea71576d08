"""Tensors inside a pickle, as views: PyTorch's legacy storage format, read without PyTorch.

A storage is a byte string that holds a stream of its own: five small pickles (magic number,
protocol, system, persistent id, list of keys), a count, and raw little-endian numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.networks._pickle_machine import Global, PickleMachine, broken

_MAGIC = 119547037146038801333356
_PROTOCOL = 1001
_INNER_OPCODES = 256
_MAX_DIMENSIONS = 8

_BFLOAT16 = "bfloat16"
_STORAGE_TYPES: dict[str, str] = {
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "DoubleStorage": "<f8",
    "BFloat16Storage": _BFLOAT16,
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}


@dataclass(frozen=True, slots=True, eq=False)
class LazyStorage:
    """The bytes of a storage's stream; parsed when a tensor needs them."""

    data: memoryview

    def values(self) -> npt.NDArray[np.generic]:
        """All numbers, one-dimensional, a view of the file (bfloat16: a float32 copy)."""
        machine_end, kind, numel = _read_header(self.data)
        if int.from_bytes(self.data[machine_end : machine_end + 8], "little") != numel:
            raise broken("a storage's size does not match its header")
        width = np.dtype("<u2" if kind == _BFLOAT16 else kind).itemsize
        raw = self.data[machine_end + 8 :]
        if len(raw) < numel * width:
            raise broken("it ends early, inside a tensor")
        raw = raw[: numel * width]
        if kind == _BFLOAT16:
            return (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
        return np.frombuffer(raw, dtype=kind)


def _read_header(data: memoryview) -> tuple[int, str, int]:
    """End of the header, element type and count of a storage's stream."""
    position = 0
    found: list[tuple[str, int]] = []

    def storage(identifier: object) -> object:
        found.append(_storage_identity(identifier))
        return None

    values: list[object] = []
    for _ in range(5):
        machine = PickleMachine(data, {}, persistent=storage, position=position)
        values.append(machine.run(max_opcodes=_INNER_OPCODES))
        position = machine.position
    system = values[2]
    if values[0] != _MAGIC or values[1] != _PROTOCOL or len(found) != 1:
        raise broken("a tensor's storage is in an unknown format")
    if isinstance(system, dict) and system.get("little_endian") is not True:
        raise broken("a tensor's storage is big-endian")
    return position, found[0][0], found[0][1]


def _storage_identity(identifier: object) -> tuple[str, int]:
    if not isinstance(identifier, tuple) or len(identifier) not in (5, 6):
        raise broken("a tensor's storage has an unknown identifier")
    tag, kind, _, _, numel = identifier[:5]
    if tag != "storage" or not isinstance(kind, Global) or kind.module != "torch":
        raise broken("a tensor's storage has an unknown type")
    element = _STORAGE_TYPES.get(kind.name)
    if element is None or not isinstance(numel, int) or numel < 0:
        raise broken("a tensor's storage has an unknown type")
    return element, numel


@dataclass(frozen=True, slots=True, eq=False)
class LazyTensor:
    """Shape and place of a tensor; nothing is allocated until :meth:`read`."""

    storage: LazyStorage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def read(self) -> npt.NDArray[np.float32]:
        """The numbers as a contiguous float32 array of their own.

        Raises:
            ModelError: the tensor reaches beyond its storage, overlaps itself or is damaged.
        """
        values = self.storage.values()
        count = math.prod(self.shape)
        last = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        if count > len(values) - self.offset or (count and last >= len(values)):
            raise broken("a tensor reaches beyond its storage")
        step = values.itemsize
        view = np.lib.stride_tricks.as_strided(
            values[self.offset :], self.shape, [s * step for s in self.strides], writeable=False
        )
        return np.array(view, dtype=np.float32, order="C")


def rebuild_tensor(arguments: tuple[object, ...]) -> LazyTensor:
    """What calling ``torch._utils._rebuild_tensor_v2`` with these arguments stands for."""
    if len(arguments) < 4:
        raise broken("a tensor without a shape")
    storage, offset, shape, strides = arguments[:4]
    if not isinstance(storage, LazyStorage) or not isinstance(offset, int) or offset < 0:
        raise broken("a tensor without a storage")
    sizes, steps = _extent(shape), _extent(strides)
    if len(sizes) != len(steps):
        raise broken("a tensor's shape and strides do not match")
    return LazyTensor(storage, offset, sizes, steps)


def rebuild_storage(arguments: tuple[object, ...]) -> LazyStorage:
    """What calling ``torch.storage._load_from_bytes`` with these arguments stands for."""
    if len(arguments) != 1 or not isinstance(arguments[0], memoryview):
        raise broken("a storage without data")
    return LazyStorage(arguments[0])


def rebuild_parameter(arguments: tuple[object, ...]) -> LazyTensor:
    """What calling ``torch._utils._rebuild_parameter`` with these arguments stands for."""
    if not arguments or not isinstance(arguments[0], LazyTensor):
        raise broken("a parameter without a tensor")
    return arguments[0]


def _extent(value: object) -> tuple[int, ...]:
    if not isinstance(value, tuple) or len(value) > _MAX_DIMENSIONS:
        raise broken("a tensor's shape is not a short tuple")
    if not all(type(n) is int and 0 <= n < 1 << 40 for n in value):
        raise broken("a tensor's shape holds something else than sizes")
    return value
