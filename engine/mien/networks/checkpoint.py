"""Weight files: one value in memory, two formats on disk, nothing in them ever runs.

* ``.pkl``: NVIDIA's StyleGAN3 snapshots, read by an interpreter that cannot call anything.
* ``.safetensors`` with a ``.json`` of the same name that holds ``init_kwargs``: mien's own.

Reading needs neither PyTorch nor Python's pickle.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import mmap
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.errors import ModelError, OutputError
from mien.networks._nvidia_pickle import read_generator
from mien.networks._safetensors import LazyArray, read_arrays
from mien.networks._torch_storage import LazyTensor
from mien.networks.stylegan3.config import GeneratorConfig
from mien.networks.stylegan3.layout import designed_constants, tensor_shapes

F32Array = npt.NDArray[np.float32]

MAX_FILE_BYTES = 8 << 30
_MAX_SETTINGS_BYTES = 1 << 20
FORMAT = "mien.stylegan3"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """A generator's settings and weights.

    Attributes:
        init_kwargs: the architecture, under the names that files use.
        tensors: float32 arrays by name; complete and of the right shapes.
        class_name: what the file calls the network.
    """

    init_kwargs: dict[str, Any]
    tensors: dict[str, F32Array]
    class_name: str = "Generator"

    @property
    def config(self) -> GeneratorConfig:
        """The architecture as a validated value."""
        return GeneratorConfig.from_init_kwargs(self.init_kwargs)

    def sha256(self) -> str:
        """Digest of settings and weights, the same whatever file they came from."""
        settings = json.dumps(self.config.to_init_kwargs(), sort_keys=True)
        digest = hashlib.sha256(settings.encode())
        for name in sorted(self.tensors):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(self.tensors[name], dtype="<f4").tobytes())
        return digest.hexdigest()


def read_checkpoint(path: str | Path) -> Checkpoint:
    """The generator in a weight file.

    Args:
        path: a StyleGAN3 ``.pkl``, or a ``.safetensors`` with its ``.json`` beside it. The
            content decides, not the name.

    Raises:
        ModelError: the file is missing, truncated, hostile or holds another network.
    """
    path = Path(path)
    with _mapped(path) as data:
        return _read(path, data)


def save_checkpoint(checkpoint: Checkpoint, path: str | Path) -> Path:
    """Writes ``path`` (.safetensors) and the ``.json`` beside it; never half of a file.

    Raises:
        ModelError: the checkpoint is incomplete.
        OutputError: the files cannot be written.
    """
    from safetensors.numpy import save

    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"expected a name that ends in .safetensors, got {path.name}")
    check_tensors(checkpoint.config, checkpoint.tensors)
    tensors = {k: np.ascontiguousarray(v, np.float32) for k, v in checkpoint.tensors.items()}
    tensors = {k: v.reshape(checkpoint.tensors[k].shape) for k, v in tensors.items()}
    settings = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "class_name": checkpoint.class_name,
        "init_kwargs": checkpoint.config.to_init_kwargs(),
        "weights_sha256": checkpoint.sha256(),
    }
    _write(path, save(tensors, metadata={"format": FORMAT}))
    _write(path.with_suffix(".json"), json.dumps(settings, indent=1).encode() + b"\n")
    return path


def check_tensors(config: GeneratorConfig, tensors: Mapping[str, Any]) -> None:
    """Raises ModelError unless ``tensors`` are exactly those of ``config``, by name and shape."""
    expected = tensor_shapes(config)
    missing = sorted(set(expected) - set(tensors))
    extra = sorted(set(tensors) - set(expected))
    wrong = sorted(k for k in expected if k in tensors and tensors[k].shape != expected[k])
    for names, what in ((missing, "lacks"), (extra, "has unexpected"), (wrong, "has misshapen")):
        if names:
            listed = ", ".join(f"{n:.80}" for n in names[:3])
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise ModelError(
                f"the file {what} tensors: {listed}{more}",
                "its weights and settings do not belong together, or it is no StyleGAN3 file",
            )


def _read(path: Path, data: memoryview) -> Checkpoint:
    head = bytes(data[:9])
    sources: dict[str, LazyTensor | LazyArray] = {}
    # Safetensors first: the low byte of its length may look like a pickle's start.
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= len(data) - 8:
        class_name, init_kwargs = _read_settings(path.with_suffix(".json"))
        sources.update(read_arrays(data))
    elif head[:1] == b"\x80":
        class_name, init_kwargs, tensors = read_generator(data)
        sources.update(tensors)
    else:
        raise _unknown_format(path, head)
    config = GeneratorConfig.from_init_kwargs(init_kwargs)
    return Checkpoint(
        init_kwargs=config.to_init_kwargs(),
        tensors=_collect(config, sources, budget_bytes=4 * len(data) + (1 << 20)),
        class_name=class_name,
    )


def _collect(
    config: GeneratorConfig, sources: dict[str, LazyTensor | LazyArray], *, budget_bytes: int
) -> dict[str, F32Array]:
    """The arrays, after shapes are known to fit and their sum to be in proportion.

    Half-precision files double in size; one storage that many tensors share could grow
    without bound, so the sum may not exceed ``budget_bytes``.
    """
    constants = {k: v for k, v in designed_constants(config).items() if k not in sources}
    check_tensors(config, sources | constants)
    total_bytes = sum(4 * math.prod(source.shape) for source in sources.values())
    if total_bytes > budget_bytes:
        raise ModelError(
            f"the file claims {total_bytes >> 20} MiB of weights, more than it can hold",
            "the file is damaged or hostile",
        )
    tensors = {name: source.read() for name, source in sources.items()} | constants
    for name, values in tensors.items():
        if not np.isfinite(values).all():
            raise ModelError(
                f"the weights in {name} are not finite", "the file is damaged; copy it again"
            )
    return tensors


def _read_settings(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        if path.stat().st_size > _MAX_SETTINGS_BYTES:
            raise ModelError(f"{path.name} is too large for settings", "is it the right file?")
        settings = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ModelError(
            f"{path.name} is missing beside the weights", "it holds the network's init_kwargs"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path.name} cannot be read: {error}", "it must be JSON") from error
    kwargs = settings.get("init_kwargs") if isinstance(settings, dict) else None
    if not isinstance(kwargs, dict):
        raise ModelError(f"{path.name} holds no init_kwargs", "it must describe the network")
    class_name = settings.get("class_name", "Generator")
    if class_name != "Generator":
        raise ModelError(
            f"{path.name} describes another network: {class_name!r:.60}",
            "only StyleGAN3 generators can be loaded",
        )
    return class_name, kwargs


@contextlib.contextmanager
def _mapped(path: Path) -> Iterator[memoryview]:
    """The file as a read-only view that costs no memory of its own."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if not 16 <= size <= MAX_FILE_BYTES:
                raise ModelError(
                    f"{path.name} is {size} bytes, which no weight file is",
                    "the download was cut off, or it is another kind of file",
                )
            mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot open {path}: {error}", "check the path") from error
    data = memoryview(mapping)
    try:
        yield data
    finally:
        # A traceback may still hold views into the file; the mapping then goes with them.
        with contextlib.suppress(BufferError):
            data.release()
            mapping.close()


def _unknown_format(path: Path, head: bytes) -> ModelError:
    if head[:4] == b"PK\x03\x04":
        return ModelError(
            f"{path.name} is a zip archive (torch.save or .npz), not a StyleGAN3 snapshot",
            "use NVIDIA's .pkl, or .safetensors with a .json that holds init_kwargs",
        )
    if head[:2] == b"\x1f\x8b":
        return ModelError(f"{path.name} is compressed", "unpack it with gunzip first")
    return ModelError(
        f"{path.name} is neither a StyleGAN3 .pkl nor .safetensors",
        "hand in NVIDIA's .pkl, or .safetensors with its .json",
    )


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(f"cannot write {path}: {error}", "check the folder and space") from error
