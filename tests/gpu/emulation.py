"""The CUDA sources, compiled for the host, and a driver that runs them there.

The driver plays ``pycuda.driver``: memory is the host's, launches go to the compiled kernels with
the very bytes that the engine packed, and everything is written down.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.inference.fakes.cuda import FakeContext, FakeLibcuda, FakePycuda, FakeStream

HERE = Path(__file__).parent / "emulator"
KERNELS = Path(__file__).parents[2] / "kernels"


def compiler() -> str | None:
    """A C++ compiler that knows GNU extensions."""
    return next((path for name in ("g++", "c++", "clang++") if (path := shutil.which(name))), None)


def build(folder: Path) -> Path:
    """Compiles kernels/cuda/*.cu for the host; seconds."""
    library = folder / "emulator.so"
    command = [str(compiler()), "-std=c++17", "-O1", "-shared", "-fPIC", "-DMIEN_SCALAR"]
    command += ["-U_FORTIFY_SOURCE"]  # its longjmp takes a jump to another stack for an attack
    command += ["-ffp-contract=off", "-Wall", "-Wextra", "-Wno-unknown-pragmas"]
    for include in (HERE, KERNELS / "include", KERNELS / "cuda"):
        command += ["-I", str(include)]
    command += ["-o", str(library), str(HERE / "emulator.cpp")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        raise AssertionError(f"the CUDA sources do not compile for the host:\n{done.stderr}")
    return library


class Emulator:
    """The compiled kernels."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))

    def parameters(self, kernel: str) -> list[tuple[int, int]]:
        """Size and alignment of each; empty for an unknown kernel."""
        out = (ctypes.c_long * 32)()
        count = self._library.emulator_parameters(kernel.encode(), out)
        return [(out[2 * i], out[2 * i + 1]) for i in range(count)]

    def launch(self, kernel: str, grid: Any, block: Any, buffer: bytes) -> int:
        """0, or an error of the driver."""
        sizes = [(ctypes.c_uint * 3)(*(*size, 1, 1)[:3]) for size in (grid, block)]
        data = ctypes.create_string_buffer(buffer, len(buffer))
        return int(self._library.emulator_launch(kernel.encode(), *sizes, data, len(buffer)))


class Error(Exception):
    """``pycuda.driver.Error``."""


class OutOfMemoryError(Error):
    """``pycuda.driver.MemoryError``."""


class LaunchError(Error):
    """``pycuda.driver.LaunchError``."""


class LogicError(Error):
    """``pycuda.driver.LogicError``."""


class _Allocation:
    def __init__(self, cuda: EmulatedCuda, size: int) -> None:
        # Memory of a GPU is not cleared, and starts at multiples of 256.
        self._bytes = np.full(size + 256, 0xA5, np.uint8)
        self._start = -(-self._bytes.ctypes.data // 256) * 256
        self._cuda = cuda
        self.size = size
        cuda.live[self._start] = self

    def __int__(self) -> int:
        return self._start

    def free(self) -> None:
        del self._cuda.live[self._start]


class EmulatedCuda(FakePycuda):
    """Plays ``pycuda.driver``.

    Attributes:
        trace: every call that takes memory, copies, launches or waits.
        fail: kernel or call name -> what is raised there.
        refused: images that no GPU takes.
        capability, driver_version, devices: the machine.
    """

    Error, MemoryError, LaunchError, LogicError = Error, OutOfMemoryError, LaunchError, LogicError

    class event_flags:
        DISABLE_TIMING = 2

    def __init__(self, emulator: Emulator) -> None:
        super().__init__()
        self.emulator = emulator
        self.trace: list[tuple[str, Any]] = []
        self.fail: dict[str, Exception] = {}
        self.refused: set[bytes] = set()
        self.driver_version = 13000
        self.live: dict[int, _Allocation] = {}
        self.loaded: list[bytes] = []
        fake = self

        class Event:
            def __init__(self, flags: int = 0) -> None:
                self.done = True

            def record(self, stream: FakeStream) -> None:
                fake.note("event", stream.handle)

            def query(self) -> bool:
                return self.done

            def time_till(self, later: Event) -> float:
                return 0.25

            def synchronize(self) -> None:
                fake.note("wait", "event")

        class Stream(FakeStream):
            def synchronize(self) -> None:
                super().synchronize()
                assert self.recording is None, "a wait inside a recording"
                fake.note("wait", "stream")

        class Memcpy2D:
            src_pitch = dst_pitch = width_in_bytes = height = 0

            def set_src_host(self, source: Any) -> None:
                self._source = source

            def set_dst_device(self, pointer: int) -> None:
                self._target = int(pointer)

            def __call__(self, stream: FakeStream) -> None:
                fake.note("htod2d", self.width_in_bytes * self.height)
                source, target = self._source.ctypes.data, self._target
                width, height = self.width_in_bytes, self.height
                fake.check(target, self.dst_pitch * (height - 1) + width)
                steps = self.src_pitch, self.dst_pitch

                def work() -> None:
                    for row in range(height):
                        to, at = target + row * steps[1], source + row * steps[0]
                        ctypes.memmove(to, at, width)

                stream.submit(work)

        self.Event, self.Stream, self.Memcpy2D = Event, Stream, Memcpy2D

    def get_driver_version(self) -> int:
        return self.driver_version

    def note(self, call: str, about: Any) -> None:
        """Writes a call down; raises what it was told to."""
        assert FakeContext.depth >= 1, f"{call} without a current context"
        self.trace.append((call, about))
        if call in self.fail:
            raise self.fail[call]

    def count(self, *calls: str) -> int:
        """How many of these calls there were."""
        return sum(call in calls for call, _ in self.trace)

    def check(self, pointer: int, size: int) -> None:
        """Fails unless the bytes lie inside one live allocation."""
        inside = any(
            start <= pointer and pointer + size <= start + block.size
            for start, block in self.live.items()
        )
        assert inside, f"{size} bytes at {pointer:#x} are no device memory"

    def mem_alloc(self, size: int) -> Any:
        self.note("mem_alloc", size)
        return _Allocation(self, size)

    def pagelocked_empty(self, shape: Any, dtype: Any) -> Any:
        self.note("pagelocked", shape)
        return np.full(shape, 0x5A, dtype)

    def memcpy_htod_async(self, target: Any, source: Any, stream: Any) -> None:
        self.note("htod", source.nbytes)
        self.check(int(target), source.nbytes)
        stream.submit(lambda: ctypes.memmove(int(target), source.ctypes.data, source.nbytes))

    def memcpy_dtoh_async(self, target: Any, source: Any, stream: Any) -> None:
        self.note("dtoh", target.nbytes)
        self.check(int(source), target.nbytes)
        stream.submit(lambda: ctypes.memmove(target.ctypes.data, int(source), target.nbytes))

    def memcpy_dtod_async(self, target: int, source: int, size: int, stream: Any) -> None:
        self.note("dtod", size)
        self.check(int(target), size)
        self.check(int(source), size)
        stream.submit(lambda: ctypes.memmove(int(target), int(source), size))

    def memset_d32_async(self, target: Any, value: int, count: int, stream: Any) -> None:
        self.note("memset", 4 * count)
        self.check(int(target), 4 * count)
        data = np.full(count, value, np.uint32)
        stream.submit(lambda: ctypes.memmove(int(target), data.ctypes.data, data.nbytes))

    def module_from_buffer(self, image: bytes) -> Any:
        self.note("module", len(image))
        if image in self.refused:
            raise LogicError("cuModuleLoadDataEx failed: no kernel image is available")
        self.loaded.append(image)
        return _Module(self)


class _Module:
    def __init__(self, cuda: EmulatedCuda) -> None:
        self._cuda = cuda

    def get_function(self, name: str) -> _Function:
        if not self._cuda.emulator.parameters(name):
            raise LogicError("cuModuleGetFunction failed: named symbol not found")
        return _Function(self._cuda, name)


class _Function:
    """Takes what PyCUDA takes; checks it against the compiled signature."""

    def __init__(self, cuda: EmulatedCuda, name: str) -> None:
        self._cuda, self._name = cuda, name

    def __call__(
        self, packed: Any, *, grid: Any, block: Any, stream: FakeStream, shared: int
    ) -> None:
        cuda = self._cuda
        about = {"kernel": self._name, "grid": grid, "block": block, "shared": shared}
        cuda.note("launch", about)
        buffer = packed.tobytes()
        assert 1 <= np.prod(block) <= 1024, f"no GPU takes a block of {block}"
        assert len(grid) in (2, 3)
        assert all(
            1 <= size <= most for size, most in zip(grid, (2**31 - 1, 65535, 65535), strict=False)
        )
        assert shared <= 48 * 1024, "needs an attribute to be set"
        at = 0
        for size, alignment in cuda.emulator.parameters(self._name):
            at = -(-at // alignment) * alignment + size
        assert len(buffer) == at, f"{self._name} takes {at} bytes, got {len(buffer)}"
        stream.submit(self._work(grid, block, buffer))

    def _work(self, grid: Any, block: Any, buffer: bytes) -> Callable[[], None]:
        def work() -> None:
            if self._name in self._cuda.fail:
                raise self._cuda.fail[self._name]
            status = self._cuda.emulator.launch(self._name, grid, block, buffer)
            assert status == 0, f"{self._name}: error {status}"

        return work


class UpdatingLibcuda(FakeLibcuda):
    """libcuda whose launchable graphs take new arguments over.

    Attributes:
        same_work: what an update finds.
    """

    same_work = True

    def _cuGraphExecUpdate_v2(self, executable: Any, graph: Any, info: Any) -> None:
        if not self.same_work:
            info._obj.result = 2
            return
        self.executables[executable.value] = self.graphs[graph.value]
