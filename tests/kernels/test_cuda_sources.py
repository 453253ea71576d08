"""The CUDA sources compile wherever nvcc exists; nothing runs here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

KERNELS = Path(__file__).parents[2] / "kernels"
SOURCES = sorted((KERNELS / "cuda").glob("*.cu"))


def test_there_are_sources() -> None:
    assert SOURCES


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not on this machine")
@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_source_compiles_without_warnings(source: Path, tmp_path: Path) -> None:
    # One architecture and its PTX; `make cuda-check` compiles all of them.
    command = ["nvcc", "-std=c++17", "-fmad=false", "-Werror", "all-warnings", "-fatbin"]
    command += ["-gencode", "arch=compute_80,code=[sm_80,compute_80]"]
    command += ["-I", str(KERNELS / "include"), "-o", str(tmp_path / "out.fatbin"), str(source)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert (tmp_path / "out.fatbin").stat().st_size > 0
