"""One way to call the kernels of the CPU, of a GPU, and of the CUDA sources on the host."""

from __future__ import annotations

from typing import Any

import numpy as np

from mien import _kernels
from mien.gpu import DeviceArray, Gpu, GpuKernels


class CpuBackend:
    """``mien._kernels`` as it is."""

    name = "cpu"

    def __call__(self, kernel: str, *arguments: Any, **named: Any) -> None:
        getattr(_kernels, kernel)(*arguments, **named)


class GpuBackend:
    """Host arrays go up with the gaps between their rows, and come back changed.

    Args:
        aligned: rows start at multiples of 256 bytes, as the engine lays them out; else just
            where the host's do.
    """

    name = "cuda"

    def __init__(self, gpu: Gpu, kernels: GpuKernels) -> None:
        self.gpu, self.kernels = gpu, kernels
        self.aligned = False

    def __call__(self, kernel: str, *arguments: Any, **named: Any) -> None:
        held: list[tuple[Any, DeviceArray]] = []

        def sent(value: Any) -> Any:
            if not isinstance(value, np.ndarray):
                return value
            array = self._send(value)
            held.append((value, array))
            return array

        up = [sent(value) for value in arguments]
        up_named = {name: sent(value) for name, value in named.items()}
        getattr(self.kernels, kernel)(*up, **up_named)
        for value, array in held:
            if value.flags.writeable:
                self._fetch(value, array)

    def _send(self, value: Any) -> DeviceArray:
        pool, cuda = self.kernels.pool, self.gpu.cuda
        if value.size == 0:
            return DeviceArray(0, value.shape, value.dtype, max(value.strides[0], 1))
        # Lists and crops for networks, which are floats, are packed on the host and on the GPU.
        if self.aligned and value.ndim > 1 and value.dtype == np.uint8:
            array = pool.array(value.shape, value.dtype)
        else:
            pitch = value.strides[0]
            block = pool.take(pitch * value.shape[0])
            array = DeviceArray(block.pointer, value.shape, value.dtype, pitch, block)
        with self.gpu.current():
            staging = cuda.pagelocked_empty(array.pitch * value.shape[0], np.uint8)
            np.copyto(_as(array, staging), value)
            cuda.memcpy_htod_async(array.pointer, staging, self.gpu.stream)
            self.gpu.stream.synchronize()
        return array

    def _fetch(self, value: Any, array: DeviceArray) -> None:
        if value.size == 0:
            return
        with self.gpu.current():
            staging = self.gpu.cuda.pagelocked_empty(array.pitch * value.shape[0], np.uint8)
            self.gpu.cuda.memcpy_dtoh_async(staging, array.pointer, self.gpu.stream)
            self.gpu.stream.synchronize()
        np.copyto(value, _as(array, staging))


def _as(array: DeviceArray, staging: Any) -> Any:
    strides = array.__cuda_array_interface__["strides"]
    return np.ndarray(array.shape, array.dtype, staging, strides=strides)
