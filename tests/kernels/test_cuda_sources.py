"""The CUDA sources compile wherever nvcc exists; nothing runs here."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "kernels" / "cuda").glob("*.cu"))


def kernels_in_sources() -> set[str]:
    text = "".join(source.read_text(encoding="utf-8") for source in SOURCES)
    return set(re.findall(r"__global__[^;{]*?\b(mien_\w+)\(", text))


def test_the_documented_table_has_every_kernel() -> None:
    documented = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    assert kernels_in_sources()
    assert set(re.findall(r"^\| `(mien_\w+)` \|", documented, re.MULTILINE)) == kernels_in_sources()


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not on this machine")
def test_sources_compile_without_warnings_and_spill_nothing(tmp_path: Path) -> None:
    # One architecture; `make cuda-check` compiles all of them and compares the whole table.
    command = [sys.executable, str(ROOT / "tools" / "cuda_resources.py")]
    command += ["--architectures", "80", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| (\d+) \|$", done.stdout, re.MULTILINE))
    assert set(rows) == kernels_in_sources()
    assert set(rows.values()) == {"0"}
    assert {path.stem for path in tmp_path.glob("*.fatbin")} == {path.stem for path in SOURCES}
