"""Reads safetensors bytes that may be hostile, with every size checked first.

The layout is that of the safetensors format (Hugging Face): an 8-byte little-endian
header length, a JSON header, then the tensors' bytes. Only what a persona needs is
understood: uint8 and float32, no metadata, no gaps, no overlaps.
"""

from __future__ import annotations

import json
from math import prod
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

MAX_HEADER_BYTES = 16 * 1024
MAX_TENSORS = 32
MAX_DIMENSIONS = 4

Tensor = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
_DTYPES: dict[str, np.dtype[np.uint8] | np.dtype[np.float32]] = {
    "U8": np.dtype(np.uint8),
    "F32": np.dtype(np.float32),
}


class TensorFormatError(ValueError):
    """The bytes are not safetensors as a persona holds them."""


def parse_tensors(data: bytes) -> dict[str, Tensor]:
    """The tensors in ``data``, as arrays of their own.

    Shapes are checked against the bytes that are really there before anything is
    allocated.

    Raises:
        TensorFormatError: saying what is wrong.
    """
    if len(data) < 8:
        raise TensorFormatError("it is too short for a header")
    header_bytes = int.from_bytes(data[:8], "little")
    if header_bytes > min(MAX_HEADER_BYTES, len(data) - 8):
        raise TensorFormatError(f"its header claims {header_bytes} bytes")
    header = parse_json(data[8 : 8 + header_bytes])
    if not isinstance(header, dict) or not 0 < len(header) <= MAX_TENSORS:
        raise TensorFormatError("its header is not a short list of tensors")
    body = memoryview(data)[8 + header_bytes :]
    spans: list[tuple[int, int]] = []
    tensors: dict[str, Tensor] = {}
    for name, entry in header.items():
        dtype, shape, start, end = _parse_entry(name, entry)
        itemsize = dtype.itemsize
        if end > len(body) or prod(shape) * itemsize != end - start or start % itemsize:
            raise TensorFormatError(f"tensor {name[:40]!r} does not fit its bytes")
        spans.append((start, end))
        flat: npt.NDArray[Any] = np.frombuffer(body[start:end], dtype=dtype).copy()
        tensors[name] = flat.reshape(shape)
    _check_spans(spans, len(body))
    return tensors


def parse_json(data: bytes) -> object:
    """The JSON value in ``data``; rejects NaN, deep nesting and broken text.

    Raises:
        TensorFormatError: for anything that is not plain JSON.
    """
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_reject_constant)
    except (ValueError, RecursionError) as error:
        raise TensorFormatError("its JSON cannot be read") from error


def _reject_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _parse_entry(
    name: str, entry: object
) -> tuple[np.dtype[np.uint8] | np.dtype[np.float32], tuple[int, ...], int, int]:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise TensorFormatError(f"tensor {name[:40]!r} is not described as it should be")
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(kind, str) or kind not in _DTYPES:
        raise TensorFormatError(f"tensor {name[:40]!r} is of a type that is not allowed")
    if not _is_sizes(shape) or not 1 <= len(shape) <= MAX_DIMENSIONS or 0 in shape:
        raise TensorFormatError(f"tensor {name[:40]!r} has an impossible shape")
    if not _is_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise TensorFormatError(f"tensor {name[:40]!r} has impossible offsets")
    return _DTYPES[kind], tuple(shape), offsets[0], offsets[1]


def _is_sizes(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, int) and not isinstance(item, bool) and 0 <= item < 2**31 for item in value
    )


def _check_spans(spans: list[tuple[int, int]], total: int) -> None:
    position = 0
    for start, end in sorted(spans):
        if start != position:
            raise TensorFormatError("its tensors overlap or leave gaps")
        position = end
    if position != total:
        raise TensorFormatError("it has bytes after its last tensor")
