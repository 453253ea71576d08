"""Backends: the CPU's kernels, a GPU's, and the CUDA sources compiled for the host."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mien.gpu import SOURCES, Gpu, GpuKernels, KernelLibrary, Places, process_fleet
from mien.inference import cuda_driver
from tests.gpu.backends import CpuBackend, GpuBackend
from tests.gpu.emulation import EmulatedCuda, Emulator, UpdatingLibcuda, build, compiler
from tests.inference.fakes.cuda import FakeContext


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Emulator:
    if sys.platform != "linux" or compiler() is None:
        pytest.skip("the CUDA sources are run on the host only under Linux with a C++ compiler")
    return Emulator(build(tmp_path_factory.mktemp("emulator")))


class Machine:
    """A machine that believes it has a GPU: ``cuda`` is PyCUDA's driver, ``places`` fatbins."""

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        self.cuda = EmulatedCuda(emulator)
        self.libcuda = UpdatingLibcuda()
        for name in SOURCES:
            (folder / f"{name}.fatbin").write_bytes(f"fatbin {name}".encode())
        self.places = Places(fatbins=[folder], sources=[], cache=None)

    def kernels(self, gpu: Gpu) -> GpuKernels:
        return GpuKernels(gpu, KernelLibrary(gpu, self.places))


@pytest.fixture
def machine(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(emulator, tmp_path)
    package = types.ModuleType("pycuda")
    package.driver = made.cuda  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", made.cuda)  # type: ignore[arg-type]
    driver = cuda_driver.CudaDriver(made.libcuda)
    for module in ("mien.gpu.graph", "mien.gpu.choice", "mien_benchmarks.frame_path"):
        monkeypatch.setattr(f"{module}.load_driver", lambda: driver)
    monkeypatch.setattr("mien.gpu.images.usual_places", lambda: made.places)
    monkeypatch.setattr("mien.gpu.choice._RACE_RUNS", 1)
    FakeContext.depth = FakeContext.detached = 0
    process_fleet.cache_clear()  # it remembers cards that were lost
    return made


@pytest.fixture
def gpu(machine: Machine) -> Iterator[Gpu]:
    with Gpu() as opened:
        yield opened
    assert FakeContext.depth == 0
    assert FakeContext.detached == 1


@pytest.fixture(
    params=[
        "cpu",
        pytest.param("cuda", marks=pytest.mark.gpu),
        "cuda sources on the host",
        "cuda sources on the host, aligned rows",
    ]
)
def backend(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "cpu":
        yield CpuBackend()
        return
    if request.param == "cuda":
        with Gpu() as opened:
            kernels = GpuKernels(opened)
            yield GpuBackend(opened, kernels)
            kernels.close()
        return
    machine = request.getfixturevalue("machine")
    opened = request.getfixturevalue("gpu")
    kernels = machine.kernels(opened)
    made = GpuBackend(opened, kernels)
    made.aligned = request.param.endswith("aligned rows")
    yield made
    kernels.close()
    assert not machine.cuda.live, "device memory was not freed"
