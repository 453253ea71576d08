"""Compiling the kernels on the user's machine, where no compiled ones fit.

NVRTC comes with every CUDA toolkit and as the package ``nvidia-cuda-nvrtc``. It knows no
standard library; the few names of it that the kernels use are given here.
"""

from __future__ import annotations

import ctypes
import glob
import hashlib
import site
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from mien.errors import DeviceError

_INTEGERS = """
typedef signed char int8_t; typedef unsigned char uint8_t;
typedef short int16_t; typedef unsigned short uint16_t;
typedef int int32_t; typedef unsigned int uint32_t;
typedef long long int64_t; typedef unsigned long long uint64_t;
namespace std { using ::int8_t; using ::uint8_t; using ::int16_t; using ::uint16_t;
using ::int32_t; using ::uint32_t; using ::int64_t; using ::uint64_t; }
"""
_SIZES = """
typedef decltype(sizeof(0)) size_t;
typedef decltype(static_cast<char*>(nullptr) - static_cast<char*>(nullptr)) ptrdiff_t;
namespace std { using ::size_t; using ::ptrdiff_t; }
"""
_STANDARD = {
    "cstdint": "#pragma once\n" + _INTEGERS,
    "cstddef": "#pragma once\n" + _SIZES,
    "cmath": "#pragma once\n",
    "cstring": "#pragma once\n",
}


class Nvrtc:
    """Calls into the compiler library."""

    def __init__(self, library: Any, path: str) -> None:
        self._library = library
        self.path = path

    @property
    def version(self) -> str:
        """Such as ``13.0``."""
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
        return f"{major.value}.{minor.value}"

    def compile(self, source: Path, folders: Sequence[Path], capability: tuple[int, int]) -> bytes:
        """A cubin of a ``.cu`` file for one architecture.

        Raises:
            DeviceError: the compiler refuses it; the message has its first complaint.
        """
        names = list(_STANDARD)
        texts = [_STANDARD[name] for name in names]
        program = ctypes.c_void_p()
        strings = ctypes.c_char_p * len(names)
        status = self._library.nvrtcCreateProgram(
            ctypes.byref(program),
            source.read_bytes(),
            source.name.encode(),
            len(names),
            strings(*(text.encode() for text in texts)),
            strings(*(name.encode() for name in names)),
        )
        if status != 0:
            raise DeviceError(f"NVRTC cannot start (error {status})", "reinstall the CUDA toolkit")
        try:
            return self._compiled(program, source, folders, capability)
        finally:
            self._library.nvrtcDestroyProgram(ctypes.byref(program))

    def _compiled(
        self,
        program: ctypes.c_void_p,
        source: Path,
        folders: Sequence[Path],
        capability: tuple[int, int],
    ) -> bytes:
        options = [
            f"--gpu-architecture=sm_{capability[0]}{capability[1]}",
            "--std=c++17",
            "-fmad=false",
            "-default-device",
            *(f"--include-path={folder}" for folder in folders),
        ]
        arguments = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        if self._library.nvrtcCompileProgram(program, len(options), arguments) != 0:
            said = self._text(program, "ProgramLog")
            complaint = next((line for line in said.splitlines() if "error" in line), said[:200])
            raise DeviceError(
                f"NVRTC {self.version} cannot compile {source.name}: {complaint.strip()}",
                "install a wheel of mien with compiled kernels",
            )
        size = ctypes.c_size_t()
        self._library.nvrtcGetCUBINSize(program, ctypes.byref(size))
        data = ctypes.create_string_buffer(size.value)
        if self._library.nvrtcGetCUBIN(program, data) != 0 or size.value == 0:
            raise DeviceError(f"NVRTC gave nothing for {source.name}", "reinstall the CUDA toolkit")
        return data.raw

    def _text(self, program: ctypes.c_void_p, what: str) -> str:
        size = ctypes.c_size_t()
        getattr(self._library, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
        text = ctypes.create_string_buffer(max(size.value, 1))
        getattr(self._library, f"nvrtcGet{what}")(program, text)
        return text.value.decode("utf-8", "replace")


@lru_cache(maxsize=1)
def load_nvrtc() -> Nvrtc:
    """This machine's NVRTC.

    Raises:
        DeviceError: there is none.
    """
    for name in _candidates():
        try:
            return Nvrtc(ctypes.CDLL(name), name)
        except OSError:
            continue
    raise DeviceError(
        "there is no NVRTC on this machine", "pip install nvidia-cuda-nvrtc, or a CUDA toolkit"
    )


def _candidates() -> list[str]:
    if sys.platform == "win32":
        return [f"nvrtc64_{major}0_0.dll" for major in (13, 12)]
    names = [f"libnvrtc.so.{major}" for major in (13, 12)]
    for folder in [*site.getsitepackages(), *sys.path]:
        names += sorted(glob.glob(f"{folder}/nvidia/*/lib/libnvrtc.so.*"), reverse=True)
    names += sorted(glob.glob("/usr/local/cuda*/lib64/libnvrtc.so.1[23]"), reverse=True)
    return names


def toolkit_headers() -> list[Path]:
    """Folders with ``cuda_fp16.h``: of a toolkit, or of the package ``nvidia-cuda-runtime``."""
    found = [Path(folder) for folder in sorted(glob.glob("/usr/local/cuda*/include"))]
    for folder in [*site.getsitepackages(), *sys.path]:
        found += [Path(one) for one in sorted(glob.glob(f"{folder}/nvidia/*/include"))]
    return [folder for folder in found if (folder / "cuda_fp16.h").is_file()][-1:]


def fingerprint(source: Path, folders: Sequence[Path], compiler: str) -> str:
    """Changes when the source, a header of mien's or the compiler does."""
    digest = hashlib.sha256(compiler.encode())
    headers = [path for folder in folders for path in sorted(folder.rglob("*.[hc]*"))]
    for path in [source, *headers]:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()
