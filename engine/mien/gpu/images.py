"""Compiled kernels for a GPU: from the wheel, from a checkout's build, or compiled here.

The wheel carries one fatbin for each file of ``kernels/cuda`` where nvcc was there when it was
built, and the sources in any case.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.errors import DeviceError, GpuLostError, MienError
from mien.gpu.driver import Gpu
from mien.gpu.nvrtc import Nvrtc, fingerprint, load_nvrtc, toolkit_headers
from mien.inference.engine_cache import write_atomically
from mien.inference.model import cache_folder

logger = logging.getLogger(__name__)

SOURCES = ("raster", "frame", "networks", "patch", "yuv", "filtered_lrelu")
_PACKAGE = Path(__file__).parent
_CHECKOUT = Path(__file__).parents[3]
_DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where kernels are looked for.

    Attributes:
        fatbins: folders of ``NAME.fatbin``, the first that has one wins.
        sources: folders of kernels: with ``cuda/NAME.cu`` and ``include``.
        cache: where what NVRTC made is kept; None for nowhere.
    """

    fatbins: Sequence[Path]
    sources: Sequence[Path]
    cache: Path | None


def usual_places() -> Places:
    """The wheel's own, then those of the checkout that this runs from."""
    return Places(
        fatbins=[_PACKAGE / "fatbin", _CHECKOUT / "build" / "cuda"],
        sources=[_PACKAGE / "source", _CHECKOUT / "kernels"],
        cache=cache_folder() / "kernels",
    )


def compiled_sources(places: Places | None = None) -> list[str]:
    """The sources for which there is a fatbin."""
    places = places or usual_places()
    return [name for name in SOURCES if _fatbin(places, name) is not None]


class KernelLibrary:
    """The kernels of one GPU, loaded when first asked for.

    Attributes:
        origins: where each loaded source came from, in words.
    """

    def __init__(
        self,
        gpu: Gpu,
        places: Places | None = None,
        nvrtc: Callable[[], Nvrtc] = load_nvrtc,
    ) -> None:
        self._gpu = gpu
        self._places = places or usual_places()
        self._nvrtc = nvrtc
        self._modules: dict[str, Any] = {}
        self._functions: dict[str, Any] = {}
        self.origins: dict[str, str] = {}

    def function(self, source: str, kernel: str) -> Any:
        """A PyCUDA function.

        Raises:
            DeviceError: no compiled kernels fit the GPU and none can be compiled; the message
                gives every reason.
        """
        found = self._functions.get(kernel)
        if found is None:
            module = self._modules.get(source)
            if module is None:
                module = self._modules[source] = self._load(source)
            with self._gpu.current(f"looking for {kernel}"):
                found = self._functions[kernel] = module.get_function(kernel)
        return found

    def _load(self, source: str) -> Any:
        reasons = []
        for origin, read in self._ways(source):
            try:
                image = read()
                with self._gpu.current(f"loading {source}"):
                    module = self._gpu.cuda.module_from_buffer(image)
            except GpuLostError:
                raise
            except MienError as error:
                reasons.append(f"{origin}: {error.what}")
                logger.debug("kernels %s not from %s: %s", source, origin, error)
                continue
            self.origins[source] = origin
            if reasons:
                logger.warning("%s kernels from %s; %s", source, origin, "; ".join(reasons))
            return module
        major, minor = self._gpu.capability
        raise DeviceError(
            f"no {source} kernels for {self._gpu.name} (sm_{major}{minor}). " + "; ".join(reasons),
            "pip install nvidia-cuda-nvrtc, or use --device cpu",
        )

    def _ways(self, source: str) -> Iterator[tuple[str, Callable[[], bytes]]]:
        fatbin = _fatbin(self._places, source)
        if fatbin is not None:
            yield str(fatbin), fatbin.read_bytes
        else:
            yield "a fatbin", _none_built
        yield "NVRTC", lambda: self._compile(source)

    def _compile(self, source: str) -> bytes:
        root = next((folder for folder in self._places.sources if (folder / "cuda").is_dir()), None)
        if root is None:
            raise DeviceError("the sources of the kernels are not there", "reinstall mien")
        compiler = self._nvrtc()
        own = [root / "include", root / "cuda"]
        path = root / "cuda" / f"{source}.cu"
        capability = self._gpu.capability
        cached = None
        if self._places.cache is not None:
            mark = fingerprint(path, own, compiler.version)
            name = f"{source}-sm_{capability[0]}{capability[1]}-{mark[:16]}.cubin"
            cached = self._places.cache / name
            data = _checked_bytes(cached)
            if data is not None:
                return data
        data = compiler.compile(path, [*own, *toolkit_headers()], capability)
        if cached is not None:
            try:
                write_atomically(cached, hashlib.sha256(data).digest() + data)
            except MienError as error:
                logger.debug("%s", error)  # compiled again next time
        return data

    def close(self) -> None:
        """Unloads the kernels."""
        with self._gpu.current("unloading kernels"):
            self._functions.clear()
            self._modules.clear()


def _fatbin(places: Places, source: str) -> Path | None:
    paths = (folder / f"{source}.fatbin" for folder in places.fatbins)
    return next((path for path in paths if path.is_file()), None)


def _none_built() -> bytes:
    raise DeviceError("none came with this installation")


def _checked_bytes(path: Path) -> bytes | None:
    """A cached cubin; None where there is none or it is damaged, and then it is made anew."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    digest, image = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    if hashlib.sha256(image).digest() != digest:
        logger.warning("%s is damaged and is compiled anew", path)
        return None
    return image
