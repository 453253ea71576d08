"""Sizes that the host counts on are those that the CUDA compiler gives."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mien.errors import DeviceError
from mien.gpu.nvrtc import load_nvrtc, toolkit_headers
from tests.gpu.emulation import KERNELS, Emulator

SOURCES = sorted((KERNELS / "cuda").glob("*.cu"))


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not on this machine")
@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_parameters_are_laid_out_as_nvcc_lays_them_out(
    source: Path, emulator: Emulator, tmp_path: Path
) -> None:
    out = tmp_path / "out.ptx"
    command = ["nvcc", "-std=c++17", "-ptx", "-arch=compute_80", "-I", str(KERNELS / "include")]
    subprocess.run([*command, "-o", str(out), str(source)], check=True, timeout=300)
    kernels = re.findall(r"\.entry (\w+)\((.*?)\n\)", out.read_text(), re.DOTALL)
    assert kernels
    scalars = {"32": 4, "64": 8}
    for kernel, text in kernels:
        sizes = []
        for line in text.strip().splitlines():
            if found := re.search(r"\.align (\d+) \.b8 \w+\[(\d+)\]", line):
                sizes.append((int(found[2]), int(found[1])))
            else:
                found = re.search(r"\.param \.[a-z](\d+)", line)
                assert found is not None, line
                sizes.append((scalars[found[1]],) * 2)
        assert emulator.parameters(kernel) == sizes, kernel


def why_no_nvrtc() -> str:
    try:
        load_nvrtc()
    except DeviceError as error:
        return error.what
    return "" if toolkit_headers() else "no cuda_fp16.h on this machine"


@pytest.mark.skipif(bool(why_no_nvrtc()), reason=why_no_nvrtc() or "-")
@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_nvrtc_compiles_what_nvcc_compiles(source: Path) -> None:
    folders = [KERNELS / "include", KERNELS / "cuda", *toolkit_headers()]
    assert load_nvrtc().compile(source, folders, (7, 5)).startswith(b"\x7fELF")


@pytest.mark.skipif(bool(why_no_nvrtc()), reason=why_no_nvrtc() or "-")
def test_nvrtc_says_what_is_wrong(tmp_path: Path) -> None:
    source = tmp_path / "broken.cu"
    source.write_text('extern "C" __global__ void f() { nonsense; }')
    with pytest.raises(DeviceError, match=r"cannot compile broken\.cu: .*nonsense"):
        load_nvrtc().compile(source, [], (9, 0))
