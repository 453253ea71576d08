"""PyCUDA itself, where it is installed, over a libcuda that runs kernels on the host."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.gpu.emulation import HERE, KERNELS, compiler

ROOT = KERNELS.parent


def cuda_headers() -> Path | None:
    folders = sorted(Path("/usr/local").glob("cuda*/include"))
    return next((folder for folder in folders if (folder / "cuda.h").is_file()), None)


def why_not() -> str:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        pass
    else:
        return "a real driver is here"
    if find_spec("pycuda") is None:
        return "PyCUDA is not installed"
    if cuda_headers() is None or compiler() is None:
        return "needs cuda.h and a C++ compiler"
    return ""


def played_libcuda(folder: Path) -> Path:
    """The library; calls that PyCUDA links to and nobody makes fail."""
    objects = []
    flags = [
        "-O1",
        "-fPIC",
        "-std=c++17",
        "-DMIEN_SCALAR",
        "-ffp-contract=off",
        "-U_FORTIFY_SOURCE",
    ]
    flags += ["-Wno-unknown-pragmas", "-Wno-deprecated-declarations"]
    flags += [f"-I{path}" for path in (HERE, KERNELS / "include", KERNELS / "cuda")]
    for name in ("emulator", "libcuda"):
        objects.append(str(folder / f"{name}.o"))
        command = [str(compiler()), *flags, f"-idirafter{cuda_headers()}", "-c"]
        subprocess.run([*command, str(HERE / f"{name}.cpp"), "-o", objects[-1]], check=True)

    def symbols(path: str, kind: str) -> set[str]:
        said = subprocess.run(["nm", *kind.split(), path], capture_output=True, text=True)
        return set(re.findall(r"\bcu[A-Z]\w+", said.stdout))

    spec = find_spec("pycuda._driver")
    assert spec is not None
    assert spec.origin is not None
    missing = symbols(spec.origin, "-D --undefined-only") - symbols(objects[1], "--defined-only")
    rest = folder / "rest.cpp"
    rest.write_text("".join(f'extern "C" int {name}() {{ return 801; }}\n' for name in missing))
    library = folder / "libcuda.so.1"
    command = [str(compiler()), "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", str(library)]
    subprocess.run([*command, *objects, str(rest)], check=True)
    return library


@pytest.mark.slow
@pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")
def test_pycuda_draws_the_same_pictures_over_a_played_driver(tmp_path: Path) -> None:
    library = played_libcuda(tmp_path)
    environment = {
        **os.environ,
        "LD_PRELOAD": str(library),
        "LD_LIBRARY_PATH": str(tmp_path),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "engine"), *sys.path]),
    }
    command = [sys.executable, "-m", "tests.gpu.through_pycuda", str(tmp_path)]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("same pictures\n")
