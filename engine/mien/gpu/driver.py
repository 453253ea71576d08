"""One GPU: its primary context, a stream, and errors in plain words.

PyCUDA is imported when the first :class:`Gpu` is made and not before: most machines have no
driver. The primary context is the one that PyTorch, CuPy and TensorRT use, so device memory
passes between them as it is.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from mien.errors import DeviceError, GpuLostError, MienError

logger = logging.getLogger(__name__)

LEAST_CAPABILITY = (7, 5)
LEAST_DRIVER = 12000
"""As the driver counts: 1000 * major + 10 * minor of the newest CUDA that it runs. Graph updates
in the form that mien calls came with 12.0."""

# What the driver says when the card, or the context on it, is gone for good.
_LOST = (
    "launch failure",
    "launch timed out",
    "launch out of resources",
    "illegal",
    "misaligned",
    "assert",
    "uncorrectable",
    "unavailable",
    "is destroyed",
    "not initialized",
    "deinitialized",
    "hardware stack",
    "no device",
    "no CUDA-capable device",
    "invalid device context",
    "unknown error",
    "external device",
)


def require_pycuda() -> Any:
    """``pycuda.driver``, initialised, with at least one device and a driver new enough.

    Raises:
        DeviceError: PyCUDA, the driver or a GPU is missing, or the driver is too old.
    """
    from mien.inference.tensorrt import require_pycuda as initialised

    cuda = initialised()
    version = int(cuda.get_driver_version())
    if version < LEAST_DRIVER:
        raise DeviceError(
            f"the NVIDIA driver is too old: it runs CUDA {_version(version)}, and mien needs "
            f"{_version(LEAST_DRIVER)}",
            "install a driver of version 525 or newer",
        )
    return cuda


class Gpu:
    """A GPU ready for kernels. One thread at a time may use it; :meth:`close` lets go of it.

    Args:
        index: which one, from 0.

    Attributes:
        name: the card's own name.
        capability: such as ``(9, 0)``.
        processors: how many multiprocessors it has.
        stream: PyCUDA stream that kernels run on unless another is given.
        cuda: ``pycuda.driver``.

    Raises:
        DeviceError: there is no such GPU, or it is too old for mien.
    """

    def __init__(self, index: int = 0) -> None:
        cuda = self.cuda = require_pycuda()
        count = int(cuda.Device.count())
        if not 0 <= index < count:
            raise DeviceError(
                f"there is no GPU cuda:{index}; this machine has {count}",
                f"use cuda:0{f' to cuda:{count - 1}' if count > 1 else ''}, or --device auto",
            )
        device = cuda.Device(index)
        self.index = index
        self.name = str(device.name())
        major, minor = device.compute_capability()
        self.capability = (int(major), int(minor))
        count_of = cuda.device_attribute.MULTIPROCESSOR_COUNT
        self.processors = max(int(device.get_attribute(count_of)), 1)
        if self.capability < LEAST_CAPABILITY:
            raise DeviceError(
                f"{self.name} has compute capability {major}.{minor}, and mien needs "
                f"{LEAST_CAPABILITY[0]}.{LEAST_CAPABILITY[1]} (Turing, 2018)",
                "use --device cpu",
            )
        self._closed = False
        with self.checked(f"opening {self.name}"):
            self._context = device.retain_primary_context()
        try:
            with self.current():
                self.stream = cuda.Stream()
        except MienError:
            self._context.detach()
            raise

    @property
    def label(self) -> str:
        """``cuda:0 (NVIDIA H100 80GB HBM3)``."""
        return f"cuda:{self.index} ({self.name})"

    @contextlib.contextmanager
    def checked(self, doing: str) -> Iterator[None]:
        """Turns the driver's complaints into errors that say what was being done.

        Raises:
            GpuLostError: the card or its context is gone; nothing on it can be used again.
            DeviceError: anything else, out of memory among it.
        """
        try:
            yield
        except self.cuda.Error as error:
            raise _translated(self.cuda, error, doing, self.name) from error

    @contextlib.contextmanager
    def current(self, doing: str = "using the GPU") -> Iterator[None]:
        """The context is the calling thread's inside; the driver's errors are translated."""
        if self._closed:
            raise RuntimeError("the GPU is closed")
        with self.checked(doing):
            self._context.push()
            try:
                yield
            finally:
                self.cuda.Context.pop()

    def synchronize(self) -> None:
        """Blocks until the stream is idle; where asynchronous faults come to light."""
        with self.current("waiting for the GPU"):
            self.stream.synchronize()

    def close(self) -> None:
        """Lets go of the context. What was made with this GPU must be closed before."""
        if self._closed:
            return
        self._closed = True
        del self.stream
        try:
            with self.checked("closing the GPU"):
                self._context.detach()
        except DeviceError as error:  # a card that is gone cannot be left in order
            logger.debug("%s", error)

    def __enter__(self) -> Gpu:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _translated(cuda: Any, error: Exception, doing: str, name: str) -> DeviceError:
    said = " ".join(str(error).split())
    if isinstance(error, cuda.MemoryError):
        return DeviceError(
            f"{name} is out of memory while {doing}: {said}",
            "close other programs that use the GPU, or use --device cpu",
        )
    if isinstance(error, cuda.LaunchError) or any(sign in said for sign in _LOST):
        return GpuLostError(
            f"{name} failed while {doing}: {said}",
            "look at the NVIDIA driver's log (dmesg | grep -i xid)",
        )
    return DeviceError(f"{name} refused while {doing}: {said}", "run mien doctor")


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"
