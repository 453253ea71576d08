"""Arrays of other libraries on a CUDA device: where they lie and when they are ready."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(slots=True)
class CudaArray:
    """A packed array in device memory that someone else owns.

    Attributes:
        pointer: device address.
        shape: sizes.
        dtype: NumPy type name.
        stream: handle of the stream that writes it; None when it is ready as it stands.
        owner: keeps the memory alive.
    """

    pointer: int
    shape: tuple[int, ...]
    dtype: str
    stream: int | None
    owner: Any

    def wait(self) -> None:
        """Blocks the host until the writer is done."""
        if self.stream is not None:
            from mien.inference.cuda_driver import load_driver

            load_driver().synchronize_stream(self.stream)


def describe_cuda_array(value: Any) -> CudaArray:
    """Address and kind of a device array of PyTorch, CuPy, PyCUDA or any DLPack library.

    Raises:
        TypeError: not memory of a CUDA device.
        ValueError: not packed.
    """
    owner = value
    if not hasattr(value, "__cuda_array_interface__"):
        owner = _from_dlpack(value)
    try:
        interface = owner.__cuda_array_interface__
    except (AttributeError, RuntimeError, TypeError) as error:
        raise TypeError(
            f"expected an array in CUDA memory, got {type(value).__name__}: {error}"
        ) from error
    shape = tuple(int(size) for size in interface["shape"])
    dtype = np.dtype(interface["typestr"])
    strides = interface.get("strides")
    if strides is not None and tuple(strides) != _packed_strides(shape, dtype.itemsize):
        raise ValueError(f"the device array {shape} is not packed; call .contiguous() first")
    return CudaArray(interface["data"][0], shape, str(dtype), _stream(owner, interface), owner)


def _from_dlpack(value: Any) -> Any:
    if not hasattr(value, "__dlpack__"):
        raise TypeError(f"expected an array in CUDA memory, got {type(value).__name__}")
    try:
        import torch
    except ImportError as error:
        raise TypeError(
            f"{type(value).__name__} offers only DLPack, and reading that needs PyTorch"
        ) from error
    return torch.utils.dlpack.from_dlpack(value)


def _packed_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    strides, step = [], itemsize
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def _stream(owner: Any, interface: dict[str, Any]) -> int | None:
    """The writer's stream: PyTorch does not tell it through the interface."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(owner, torch.Tensor):
        return int(torch.cuda.current_stream(owner.device).cuda_stream)
    stream = interface.get("stream")
    return None if stream is None else int(stream)
