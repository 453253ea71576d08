"""PyCUDA's driver module and libcuda, played by host memory."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np


class FakeStream:
    """Work runs at once, unless the stream is being recorded."""

    by_handle: ClassVar[dict[int, FakeStream]] = {}

    def __init__(self) -> None:
        self.handle = 0x1000 + len(FakeStream.by_handle)
        self.recording: list[Callable[[], None]] | None = None
        self.synchronized = 0
        FakeStream.by_handle[self.handle] = self

    def submit(self, work: Callable[[], None]) -> None:
        if self.recording is not None:
            self.recording.append(work)
        else:
            work()

    def synchronize(self) -> None:
        self.synchronized += 1


class FakeAllocation:
    """Device memory: bytes of the host at a true address."""

    live: ClassVar[set[int]] = set()

    def __init__(self, size: int) -> None:
        self.bytes = np.zeros(size, np.uint8)
        FakeAllocation.live.add(id(self))

    def __int__(self) -> int:
        return int(self.bytes.ctypes.data)

    def free(self) -> None:
        FakeAllocation.live.remove(id(self))


class FakeContext:
    depth = 0
    detached = 0

    def push(self) -> None:
        FakeContext.depth += 1

    @staticmethod
    def pop() -> None:
        FakeContext.depth -= 1

    def detach(self) -> None:
        FakeContext.detached += 1


class FakePycuda:
    """Plays ``pycuda.driver``; attributes say what the machine is like."""

    class Context:
        @staticmethod
        def pop() -> None:
            FakeContext.pop()

    class device_attribute:
        MULTIPROCESSOR_COUNT = 16

    def __init__(self) -> None:
        self.devices = ["Fake H100"]
        self.capability = (9, 0)
        self.init_error: Exception | None = None
        self.copies: list[str] = []
        self.Stream = FakeStream
        fake = self
        FakeAllocation.live.clear()
        FakeStream.by_handle.clear()
        FakeContext.depth = FakeContext.detached = 0

        class Device:
            def __init__(self, index: int) -> None:
                self._index = index

            @staticmethod
            def count() -> int:
                return len(fake.devices)

            def name(self) -> str:
                return fake.devices[self._index]

            def compute_capability(self) -> tuple[int, int]:
                return fake.capability

            def get_attribute(self, attribute: int) -> int:
                assert attribute == FakePycuda.device_attribute.MULTIPROCESSOR_COUNT
                return 3

            def retain_primary_context(self) -> FakeContext:
                return FakeContext()

        self.Device = Device

    def init(self) -> None:
        if self.init_error is not None:
            raise self.init_error

    def mem_alloc(self, size: int) -> FakeAllocation:
        assert FakeContext.depth == 1, "no current context"
        return FakeAllocation(size)

    def pagelocked_empty(self, shape: Any, dtype: Any) -> Any:
        return np.empty(shape, dtype)

    def memcpy_htod_async(self, target: FakeAllocation, source: Any, stream: FakeStream) -> None:
        self.copies.append("htod")
        ctypes.memmove(int(target), source.ctypes.data, source.nbytes)

    def memcpy_dtoh_async(self, target: Any, source: FakeAllocation, stream: FakeStream) -> None:
        self.copies.append("dtoh")
        ctypes.memmove(target.ctypes.data, int(source), target.nbytes)

    def memcpy_dtod_async(self, target: int, source: int, size: int, stream: FakeStream) -> None:
        self.copies.append("dtod")
        ctypes.memmove(target, source, size)


class FakeLibcuda:
    """Plays libcuda for :class:`mien.inference.cuda_driver.CudaDriver`."""

    def __init__(self) -> None:
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.executables: dict[int, list[Callable[[], None]]] = {}
        self.launches = 0
        self.waits: list[tuple[int, int]] = []
        self.fails: set[str] = set()
        self.status = 901  # of what fails
        self._event_of: dict[int, int] = {}
        self._next = 0x100

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("cu"):
            raise AttributeError(name)
        work = getattr(type(self), f"_{name}", None)
        if work is None:
            raise AttributeError(name)

        def call(*arguments: Any) -> int:
            if name in self.fails:
                return self.status
            work(self, *arguments)
            return 0

        return call

    def _new(self) -> int:
        self._next += 1
        return self._next

    def _cuGetErrorString(self, status: int, text: Any) -> None:
        text._obj.value = b"operation would make the legacy stream depend on a capturing one"

    def _cuStreamBeginCapture_v2(self, stream: Any, mode: int) -> None:
        FakeStream.by_handle[stream.value].recording = []

    def _cuStreamEndCapture(self, stream: Any, graph: Any) -> None:
        source = FakeStream.by_handle[stream.value]
        assert source.recording is not None
        graph._obj.value = self._new()
        self.graphs[graph._obj.value] = source.recording
        source.recording = None

    def _cuGraphGetNodes(self, graph: Any, nodes: Any, count: Any) -> None:
        count._obj.value = len(self.graphs[graph.value])

    def _cuGraphInstantiateWithFlags(self, executable: Any, graph: Any, flags: Any) -> None:
        executable._obj.value = self._new()
        self.executables[executable._obj.value] = self.graphs[graph.value]

    def _cuGraphDestroy(self, graph: Any) -> None:
        del self.graphs[graph.value]

    def _cuGraphExecDestroy(self, executable: Any) -> None:
        del self.executables[executable.value]

    def _cuGraphLaunch(self, executable: Any, stream: Any) -> None:
        self.launches += 1
        for work in self.executables[executable.value]:
            work()

    def _cuStreamSynchronize(self, stream: Any) -> None:
        self.waits.append((0, stream.value))

    def _cuEventCreate(self, event: Any, flags: int) -> None:
        event._obj.value = self._new()

    def _cuEventRecord(self, event: Any, stream: Any) -> None:
        self._event_of[event.value] = stream.value

    def _cuStreamWaitEvent(self, stream: Any, event: Any, flags: int) -> None:
        self.waits.append((stream.value, self._event_of[event.value]))

    def _cuEventDestroy_v2(self, event: Any) -> None:
        del self._event_of[event.value]


class DeviceTensor:
    """Someone else's device memory, as CuPy would hand it over."""

    def __init__(self, values: Any, stream: int | None = None) -> None:
        self.values = np.ascontiguousarray(values)
        self.stream = stream
        self.strides: tuple[int, ...] | None = None

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.values.shape,
            "typestr": self.values.dtype.str,
            "data": (self.values.ctypes.data, False),
            "strides": self.strides,
            "version": 3,
            "stream": self.stream,
        }
