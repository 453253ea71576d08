"""What lacks, breaks or vanishes: one clear line and the next best path."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien import _kernels
from mien.errors import DeviceError, GpuLostError, UsageError
from mien.gpu import (
    DrawnFace,
    FallingBack,
    FramePath,
    Gpu,
    GpuKernels,
    KernelLibrary,
    Places,
    place,
)
from mien.gpu.choice import parse_device
from mien.gpu.nvrtc import fingerprint
from tests.gpu.conftest import Machine
from tests.gpu.emulation import KERNELS, LaunchError, LogicError, OutOfMemoryError
from tests.gpu.test_host import face


def without(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, name, None)  # type: ignore[arg-type]


def test_no_pycuda(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "pycuda")
    with pytest.raises(DeviceError, match="PyCUDA cannot be imported") as caught:
        Gpu()
    assert caught.value.hint == 'pip install "mien[gpu]"'


def test_no_gpu(machine: Machine) -> None:
    machine.cuda.devices = []
    with pytest.raises(DeviceError, match="no CUDA device"):
        Gpu()


def test_an_old_driver(machine: Machine) -> None:
    machine.cuda.driver_version = 11040
    with pytest.raises(DeviceError, match=r"runs CUDA 11\.4, and mien needs 12\.0"):
        Gpu()


def test_a_gpu_of_before_turing(machine: Machine) -> None:
    machine.cuda.capability = (7, 0)
    with pytest.raises(DeviceError, match=r"compute capability 7\.0, and mien needs 7\.5"):
        Gpu()


def test_a_gpu_that_is_not_there(machine: Machine) -> None:
    with pytest.raises(DeviceError, match="no GPU cuda:3; this machine has 1"):
        Gpu(3)


def test_out_of_memory(machine: Machine, gpu: Gpu) -> None:
    kernels = machine.kernels(gpu)
    machine.cuda.fail["mem_alloc"] = OutOfMemoryError("cuMemAlloc failed: out of memory")
    with pytest.raises(DeviceError, match=r"Fake H100 is out of memory while taking 7\.3 MB"):
        kernels.pool.array((1080, 1920, 3), np.uint8)
    machine.cuda.fail.clear()
    kernels.pool.array((1080, 1920, 3), np.uint8)
    kernels.close()


def test_a_fatbin_without_this_architecture_goes_to_nvrtc(
    machine: Machine, gpu: Gpu, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    machine.cuda.refused.add(b"fatbin patch")
    compiled: list[Any] = []

    class Compiler:
        version = "13.0"

        def compile(self, source: Path, folders: Any, capability: tuple[int, int]) -> bytes:
            compiled.append((source.name, capability))
            return b"cubin of NVRTC"

    places = Places(fatbins=machine.places.fatbins, sources=[KERNELS], cache=tmp_path / "cache")
    library = KernelLibrary(gpu, places, Compiler)  # type: ignore[arg-type]
    library.function("patch", "mien_blend")
    assert compiled == [("patch.cu", (9, 0))]
    assert library.origins == {"patch": "NVRTC"}
    assert "no kernel image" in caplog.text

    # Kept for the next start, and made again when the file was damaged.
    [kept] = (tmp_path / "cache").iterdir()
    KernelLibrary(gpu, places, Compiler).function("patch", "mien_blend")  # type: ignore[arg-type]
    assert len(compiled) == 1
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    KernelLibrary(gpu, places, Compiler).function("patch", "mien_blend")  # type: ignore[arg-type]
    assert len(compiled) == 2
    assert machine.cuda.loaded == [b"cubin of NVRTC"] * 3


def test_neither_fatbin_nor_nvrtc(machine: Machine, gpu: Gpu) -> None:
    machine.cuda.refused.add(b"fatbin yuv")

    def none() -> Any:
        raise DeviceError("there is no NVRTC on this machine")

    places = Places(fatbins=machine.places.fatbins, sources=[KERNELS], cache=None)
    with pytest.raises(DeviceError, match=r"sm_90.*no kernel image.*no NVRTC") as caught:
        KernelLibrary(gpu, places, none).function("yuv", "mien_bgr_to_yuv")
    assert "--device cpu" in caught.value.hint


def test_the_fingerprint_changes_with_any_header(tmp_path: Path) -> None:
    source, header = tmp_path / "a.cu", tmp_path / "b.hpp"
    source.write_text("kernel")
    header.write_text("one")
    first = fingerprint(source, [tmp_path], "13.0")
    assert first == fingerprint(source, [tmp_path], "13.0")
    assert first != fingerprint(source, [tmp_path], "12.9")
    header.write_text("two")
    assert first != fingerprint(source, [tmp_path], "13.0")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (LaunchError("cuLaunchKernel failed: unspecified launch failure"), GpuLostError),
        (LogicError("cuLaunchKernel failed: an illegal memory access"), GpuLostError),
        (LogicError("cuLaunchKernel failed: context is destroyed"), GpuLostError),
        (OutOfMemoryError("cuLaunchKernel failed: out of memory"), DeviceError),
    ],
)
def test_a_gpu_that_fails_goes_to_the_guard_once_and_then_to_the_cpu(
    machine: Machine, error: Exception, kind: type[DeviceError], caplog: pytest.LogCaptureFixture
) -> None:
    gpu = Gpu()
    draw = FallingBack(gpu, FramePath(gpu, machine.kernels(gpu)), _kernels.raster_face)
    values, bgr, matte, depth = face()
    draw(*values, bgr, matte, depth)
    expected = bgr.copy()
    machine.cuda.fail["mien_frame_composite"] = error
    with pytest.raises(DeviceError) as caught:
        draw(*values, bgr, matte, depth)
    assert type(caught.value) is kind
    bgr[:] = 0
    draw(*values, bgr, matte, depth)
    draw(*values, bgr, matte, depth)
    assert np.array_equal(bgr, expected)
    assert caplog.text.count("drawn on the CPU from now on") == 1
    machine.cuda.fail["wait"] = error
    draw.close()


@pytest.mark.parametrize(
    ("text", "device"),
    [("auto", "auto"), ("cpu", "cpu"), ("cuda", "cuda:0"), ("cuda:2", "cuda:2")],
)
def test_devices_are_named(text: str, device: str) -> None:
    assert parse_device(text) == device


@pytest.mark.parametrize("text", ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "CPU", "cuda:0 "])
def test_other_names_are_wrong_use(text: str) -> None:
    with pytest.raises(UsageError, match="no device"):
        parse_device(text)


def test_auto_without_a_gpu_says_why_it_is_the_cpu(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "pycuda")
    placed = place("auto")
    assert placed.device == "cpu"
    assert placed.draw is _kernels.raster_face
    [line] = placed.lines()
    assert line.startswith("everything runs on the CPU; PyCUDA cannot be imported")
    placed.close()


def test_a_gpu_that_was_asked_for_is_never_replaced_silently(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "pycuda")
    with pytest.raises(DeviceError):
        place("cuda:0")


def test_auto_takes_the_quicker_and_says_so(machine: Machine) -> None:
    placed = place("auto")  # the sources on the host are slower than the CPU's own kernels
    assert placed.device == "cpu"
    assert "quicker than cuda:0 (Fake H100)" in placed.reason
    assert not machine.cuda.live
    placed = place("cuda:0")
    assert placed.device == "cuda:0 (Fake H100)"
    assert placed.reason.startswith("asked for; a face took")
    placed.close()
    assert not machine.cuda.live


def test_a_gpu_that_draws_another_face_is_not_used(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = FramePath.paint

    def wrong(self: FramePath, face: DrawnFace, *arguments: Any) -> Any:
        other = replace(face, gain=face.offset, offset=face.gain)
        return right(self, other, *arguments)

    monkeypatch.setattr(FramePath, "paint", wrong)
    with pytest.raises(DeviceError, match="does not draw the same face as the CPU"):
        place("cuda:0")
    assert place("auto").device == "cpu"
    assert not machine.cuda.live


def test_the_gpus_kernels_are_called_like_the_cpus() -> None:
    import inspect

    for name in dir(GpuKernels):
        if name.startswith("_") or not hasattr(_kernels, name):
            continue
        text = str(getattr(_kernels, name).__nb_signature__[0][0])
        on_cpu = [part.split(":")[0].strip() for part in text[text.index("(") + 1 :].split(",")]
        on_cpu = [part for part in on_cpu if part.isidentifier()]
        on_cpu = [part for part in on_cpu if part not in ("threads", "level")]
        on_gpu = [p for p in inspect.signature(getattr(GpuKernels, name)).parameters]
        assert on_gpu[1:-1] == on_cpu, name
        assert on_gpu[-1] == "stream"


@pytest.mark.parametrize("lost", [False, True])
def test_the_mesh_swapper_draws_on_the_gpu_what_it_draws_on_the_cpu(
    machine: Machine, lost: bool
) -> None:
    from mien.config import PipelineConfig
    from mien.swappers.mesh import MeshSwapper

    values, bgr, matte, depth = face()
    expected = bgr.copy()
    _kernels.raster_face(*values, expected, matte, depth)
    swapper = MeshSwapper(PipelineConfig(device="cuda:0"))
    assert swapper.where[0].startswith("faces are drawn and blended on cuda:0 (Fake H100)")
    if lost:
        machine.cuda.fail["wait"] = LaunchError("cuStreamSynchronize failed: launch failure")
        with pytest.raises(GpuLostError):
            swapper._raster(*values, bgr, matte, depth)
    swapper._raster(*values, bgr, matte, depth)
    assert np.array_equal(bgr, expected)
    swapper.close()
