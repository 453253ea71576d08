"""Compiled TensorRT engines on disk: each is good for one GPU, TensorRT, model and setting.

One file holds a header that says what the engine was built for, and the engine. It is
written under another name and renamed, so that a build cut short leaves nothing behind; what
does not check out is never handed to TensorRT, which trusts what it deserialises.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mien.errors import OutputError

_MAGIC = b"mien-engine-1\n"
_MOST_HEADER_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineKey:
    """All that an engine depends on.

    Attributes:
        model_sha256: of the ONNX file.
        precision: what the ONNX file was exported in.
        gpu: the GPU's name.
        compute_capability: such as ``9.0``.
        tensorrt: full version.
        optimisation_level: 0..5, as built.
    """

    model_sha256: str
    precision: str
    gpu: str
    compute_capability: str
    tensorrt: str
    optimisation_level: int

    @property
    def file_name(self) -> str:
        """Readable, and another one for every other key."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
        gpu = "".join(c if c.isalnum() else "-" for c in self.gpu).strip("-")
        return f"{self.model_sha256[:8]}-{self.precision}-{gpu}-{digest[:12]}.engine"


class StaleEngineError(Exception):
    """A cached engine cannot be used; the text says why. It is rebuilt, not reported."""


class EngineCache:
    """A folder of engines and timing caches. Several processes may use it at once."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def path(self, key: EngineKey) -> Path:
        """Where the key's engine lies, or would."""
        return self.folder / key.file_name

    def load(self, key: EngineKey) -> bytes | None:
        """The engine, or None where none was built.

        Raises:
            StaleEngineError: there is one, but damaged or built for something else.
        """
        path = self.path(key)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StaleEngineError(f"{path.name} cannot be read: {error}") from error
        head, engine = _split(data, path.name)
        wanted = asdict(key)
        differing = [name for name in wanted if head.get("key", {}).get(name) != wanted[name]]
        if differing:
            raise StaleEngineError(f"{path.name} was built for another {', '.join(differing)}")
        if head.get("sha256") != hashlib.sha256(engine).hexdigest():
            raise StaleEngineError(f"{path.name} is damaged: its checksum does not match")
        return engine

    def store(self, key: EngineKey, engine: bytes, build_s: float) -> Path:
        """Keeps an engine.

        Raises:
            OutputError: the folder cannot be written.
        """
        head = json.dumps(
            {
                "key": asdict(key),
                "sha256": hashlib.sha256(engine).hexdigest(),
                "build_s": round(build_s, 3),
            }
        ).encode()
        path = self.path(key)
        write_atomically(path, _MAGIC + len(head).to_bytes(4, "little") + head + engine)
        return path

    def timing_cache_path(self, key: EngineKey) -> Path:
        """Measured kernel times: shared by all models on one GPU with one TensorRT."""
        gpu = "".join(c if c.isalnum() else "-" for c in key.gpu).strip("-")
        return self.folder / f"timing-{gpu}-{key.compute_capability}-{key.tensorrt}.cache"


def _split(data: bytes, name: str) -> tuple[dict[str, Any], bytes]:
    start = len(_MAGIC) + 4
    if len(data) < start or not data.startswith(_MAGIC):
        raise StaleEngineError(f"{name} is not an engine file of this mien, or was cut short")
    size = int.from_bytes(data[len(_MAGIC) : start], "little")
    if size > _MOST_HEADER_BYTES or start + size > len(data):
        raise StaleEngineError(f"{name} was cut short")
    try:
        head = json.loads(data[start : start + size])
    except ValueError as error:
        raise StaleEngineError(f"{name} has a damaged header") from error
    if not isinstance(head, dict) or not isinstance(head.get("key", {}), dict):
        raise StaleEngineError(f"{name} has a damaged header")
    return head, data[start + size :]


def file_sha256(path: str | Path) -> str:
    """Hex digest of a file, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, data: bytes) -> None:
    """All of the file or nothing of it.

    Raises:
        OutputError: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=path.name, suffix=".part", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}", "choose a folder that can be written"
        ) from error
