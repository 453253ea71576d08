"""The few calls of the CUDA driver that PyCUDA does not wrap: graphs, foreign streams.

Loaded on first use and not before: most machines have no libcuda.
"""

from __future__ import annotations

import ctypes
import sys
from functools import lru_cache
from typing import Any

from mien.errors import DeviceError, GpuLostError

_CAPTURE_THREAD_LOCAL = 1  # other threads' CUDA calls do not break the capture
_EVENT_NO_TIMING = 2
# Deinitialised, unavailable, uncorrectable, illegal address, timeout, destroyed, assert, hardware
# stack, illegal instruction, misaligned, address space, PC, launch failed, external, unknown.
_LOST = frozenset((4, 46, 214, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 727, 999))


class _UpdateResult(ctypes.Structure):
    """CUgraphExecUpdateResultInfo; result 0 is success."""

    _fields_ = (
        ("result", ctypes.c_int),
        ("node", ctypes.c_void_p),
        ("from_node", ctypes.c_void_p),
    )


class CudaDriver:
    """Thin calls into libcuda; the calling thread must hold a current context.

    Args:
        library: the loaded shared object.
    """

    def __init__(self, library: Any) -> None:
        self._library = library

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._library, name)(*arguments)
        if status != 0:
            text = ctypes.c_char_p()
            self._library.cuGetErrorString(status, ctypes.byref(text))
            said = text.value.decode() if text.value else f"error {status}"
            kind = GpuLostError if status in _LOST else DeviceError
            raise kind(f"{name} failed: {said}", "see the NVIDIA driver's log")

    def begin_capture(self, stream: int) -> None:
        """What the stream is given from now on is recorded, not run."""
        self._call("cuStreamBeginCapture_v2", ctypes.c_void_p(stream), _CAPTURE_THREAD_LOCAL)

    def end_capture(self, stream: int) -> int:
        """Ends the recording; the graph's handle."""
        graph = ctypes.c_void_p()
        self._call("cuStreamEndCapture", ctypes.c_void_p(stream), ctypes.byref(graph))
        if not graph.value:
            raise DeviceError("the CUDA graph capture came back empty")
        return graph.value

    def node_count(self, graph: int) -> int:
        """How many pieces of work a recording holds."""
        count = ctypes.c_size_t()
        self._call("cuGraphGetNodes", ctypes.c_void_p(graph), None, ctypes.byref(count))
        return int(count.value)

    def instantiate(self, graph: int) -> int:
        """A graph that can be launched; the recording is destroyed."""
        executable = ctypes.c_void_p()
        try:
            self._call(
                "cuGraphInstantiateWithFlags",
                ctypes.byref(executable),
                ctypes.c_void_p(graph),
                ctypes.c_ulonglong(0),
            )
        finally:
            self.discard(graph)
        return executable.value or 0

    def update(self, executable: int, graph: int) -> bool:
        """Gives a launchable graph the arguments of a recording of the same work (CUDA 12).

        False where the work is another: then a new one must be made.
        """
        info = _UpdateResult()
        status = self._library.cuGraphExecUpdate_v2(
            ctypes.c_void_p(executable), ctypes.c_void_p(graph), ctypes.byref(info)
        )
        return bool(status == 0 and info.result == 0)

    def discard(self, graph: int) -> None:
        """Frees a recording."""
        self._call("cuGraphDestroy", ctypes.c_void_p(graph))

    def launch(self, executable: int, stream: int) -> None:
        """Queues the whole graph."""
        self._call("cuGraphLaunch", ctypes.c_void_p(executable), ctypes.c_void_p(stream))

    def destroy(self, executable: int) -> None:
        """Frees a launchable graph."""
        self._call("cuGraphExecDestroy", ctypes.c_void_p(executable))

    def synchronize_stream(self, stream: int) -> None:
        """Blocks the host until the stream is idle."""
        self._call("cuStreamSynchronize", ctypes.c_void_p(stream))

    def make_wait(self, waiting: int, writer: int) -> None:
        """What ``waiting`` is given from now on starts after what ``writer`` has been given."""
        event = ctypes.c_void_p()
        self._call("cuEventCreate", ctypes.byref(event), _EVENT_NO_TIMING)
        try:
            self._call("cuEventRecord", event, ctypes.c_void_p(writer))
            self._call("cuStreamWaitEvent", ctypes.c_void_p(waiting), event, 0)
        finally:
            self._call("cuEventDestroy_v2", event)


@lru_cache(maxsize=1)
def load_driver() -> CudaDriver:
    """The driver of this machine.

    Raises:
        DeviceError: there is none.
    """
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        return CudaDriver(ctypes.CDLL(name))
    except OSError as error:
        raise DeviceError(
            f"there is no NVIDIA driver on this machine ({name} is not there)",
            "install the driver, or use the CPU",
        ) from error
