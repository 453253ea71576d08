"""Safetensors, read as views with every length checked before it is used.

The library of that name copies whole files and lacks bfloat16 for NumPy; the format is a
length, a JSON table and raw numbers, so reading it takes little.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.errors import ModelError

_MAX_HEADER_BYTES = 4 << 20
_MAX_TENSORS = 10_000
_MAX_DIMENSIONS = 8
_BFLOAT16 = "BF16"
_TYPES = {
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    _BFLOAT16: "<u2",
    "I8": "i1",
    "I16": "<i2",
    "I32": "<i4",
    "I64": "<i8",
    "U8": "u1",
}


def damaged(reason: str) -> ModelError:
    """The error for a file that does not check out."""
    return ModelError(f"the safetensors file is damaged: {reason}", "copy or convert it again")


@dataclass(frozen=True, slots=True, eq=False)
class LazyArray:
    """Where an array lies; nothing is allocated until :meth:`read`."""

    data: memoryview
    dtype: str
    shape: tuple[int, ...]

    def read(self) -> npt.NDArray[np.float32]:
        """The numbers as a float32 array of their own."""
        values = np.frombuffer(self.data, dtype=_TYPES[self.dtype])
        if self.dtype == _BFLOAT16:
            values = (values.astype("<u4") << 16).view("<f4")
        return np.array(values, dtype=np.float32).reshape(self.shape)


def read_arrays(data: memoryview) -> dict[str, LazyArray]:
    """Every array of a file by name.

    Raises:
        ModelError: the file is truncated or its table does not fit its data.
    """
    length = int.from_bytes(data[:8], "little")
    if length > min(_MAX_HEADER_BYTES, len(data) - 8):
        raise damaged("its table reaches beyond the file")
    try:
        table = json.loads(bytes(data[8 : 8 + length]))
    except (ValueError, RecursionError) as error:
        raise damaged("its table is not JSON") from error
    if not isinstance(table, dict) or len(table) > _MAX_TENSORS:
        raise damaged("its table holds no list of tensors")
    body = data[8 + length :]
    return {k: _locate(k, v, body) for k, v in table.items() if k != "__metadata__"}


def _locate(name: str, entry: Any, body: memoryview) -> LazyArray:
    label = f"tensor {name!r:.80}"
    if not isinstance(entry, dict):
        raise damaged(f"{label} has no description")
    dtype, shape, offsets = (entry.get(k) for k in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str) or dtype not in _TYPES:
        raise damaged(f"{label} has an unknown type {dtype!r:.20}")
    sizes, ends = _integers(shape, label), _integers(offsets, label)
    if len(sizes) > _MAX_DIMENSIONS or len(ends) != 2:
        raise damaged(f"{label} has an impossible shape")
    begin, end = ends
    if not begin <= end <= len(body):
        raise damaged(f"{label} reaches beyond the file")
    if end - begin != math.prod(sizes) * np.dtype(_TYPES[dtype]).itemsize:
        raise damaged(f"{label} has another size than its shape says")
    return LazyArray(body[begin:end], dtype, sizes)


def _integers(value: Any, label: str) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(n) is int and 0 <= n < 1 << 48 for n in value):
        raise damaged(f"{label} has an impossible shape")
    return tuple(value)
