"""Checks of device arrays, in the words of the CPU kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.gpu.memory import DeviceArray, device_array
from mien.gpu.packing import View, view


def expect(name: str, value: Any, dtype: npt.DTypeLike, shape: Sequence[int | None]) -> DeviceArray:
    """The array, of this type and shape; None fits any size.

    Raises:
        TypeError: no device array, or another type.
        ValueError: another shape.
    """
    array = device_array(value)
    kind = np.dtype(dtype)
    wanted = ", ".join("any" if size is None else str(size) for size in shape)
    said = f"expected {name} ({wanted}) {kind}, got {array.shape} {array.dtype}"
    if array.dtype != kind:
        raise TypeError(said)
    fits = len(array.shape) == len(shape)
    if not fits or any(w is not None and w != s for w, s in zip(shape, array.shape, strict=True)):
        raise ValueError(said)
    if array.pitch % kind.itemsize:
        raise ValueError(f"expected {name} with rows a whole number of elements apart")
    return array


def expect_picture(
    name: str, value: Any, channels: int, dtype: npt.DTypeLike = np.uint8
) -> DeviceArray:
    """A picture with at least one pixel."""
    array = expect(name, value, dtype, (None, None, channels))
    if 0 in array.shape:
        raise ValueError(f"expected {name} with at least one pixel, got {array.shape}")
    return array


def expect_list(
    name: str, value: Any, dtype: npt.DTypeLike, shape: Sequence[int | None]
) -> DeviceArray:
    """A list whose rows touch."""
    array = expect(name, value, dtype, shape)
    if array.shape[0] > 1 and array.pitch != array.row_bytes:
        raise ValueError(f"expected {name} packed, got rows that lie apart")
    return array


def expect_planes(
    bgr: Any, y: Any, chroma: Sequence[Any]
) -> tuple[DeviceArray, tuple[View, View, View], int]:
    """The picture, the views of y, u and v, and the step from one chroma sample to the next."""
    picture = expect("bgr", bgr, np.uint8, (None, None, 3))
    height, width = picture.shape[:2]
    luma = expect("y", y, np.uint8, (height, width))
    half = ((height + 1) // 2, (width + 1) // 2)
    if len(chroma) == 1:
        both = expect("uv", chroma[0], np.uint8, (*half, 2))
        return picture, (view(luma), view(both), view(both, offset=1)), 2
    u = expect("u", chroma[0], np.uint8, half)
    v = expect("v", chroma[1], np.uint8, half)
    return picture, (view(luma), view(u), view(v)), 1


def check_range(name: str, value: int, low: int, high: int) -> None:
    """Raises ValueError outside low..high."""
    if not low <= value <= high:
        raise ValueError(f"expected {name} {low}..{high}, got {value}")


def check_inside(left: int, top: int, size: Sequence[int], frame: Sequence[int]) -> None:
    """Raises ValueError where a patch reaches out of its frame."""
    (height, width), (rows, columns) = size, frame
    if left < 0 or top < 0 or left + width > columns or top + height > rows:
        raise ValueError(
            f"expected a patch inside the frame of {rows} x {columns}, got {height} x {width} at "
            f"left {left}, top {top}"
        )
