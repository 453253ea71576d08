"""Records which names of TensorRT's Python API exist, without running any of it.

    python tools/record_tensorrt_api.py BINDINGS.whl STUBS.whl > RECORD.json

RECORD.json is ``tests/inference/fakes/tensorrt_api.json``.

BINDINGS is a wheel of ``tensorrt-cu13-bindings`` (or another): its extension module cannot be
imported without NVIDIA's libraries, but holds every name as text. STUBS is a wheel of
``tensorrt-stubs``, which says to which class a name belongs. Both come from
``pip download --no-deps``.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import zipfile
from pathlib import Path

# Only what is near the runner: all names would be thousands.
CLASSES = (
    "Builder",
    "DataType",
    "IBuilderConfig",
    "ICudaEngine",
    "IExecutionContext",
    "IHostMemory",
    "ILogger",
    "INetworkDefinition",
    "IProgressMonitor",
    "ITimingCache",
    "MemoryPoolType",
    "NetworkDefinitionCreationFlag",
    "OnnxParser",
    "ParserError",
    "Runtime",
    "TensorIOMode",
)


def main(bindings: Path, stubs: Path) -> None:
    """Prints the record as JSON."""
    module = next(
        content
        for name, content in members(bindings, ".so")
        if name.endswith(("tensorrt.so", "tensorrt.pyd"))
    )
    python = b"\n".join(content for _, content in members(bindings, "__init__.py"))
    declared = declarations(
        next(c for n, c in members(stubs, ".pyi") if n.endswith("tensorrt.pyi")).decode()
    )
    record = {
        "bindings": bindings.name,
        "stubs": stubs.name,
        "module_sha256": hashlib.sha256(module).hexdigest(),
        "functions": [name for name in ("nptype",) if f"def {name}(".encode() in python],
        "classes": {
            # A name ends with a NUL byte; a linker may have merged it into a longer one's tail.
            kind: sorted(name for name in declared[kind] if name.encode() + b"\0" in module)
            for kind in CLASSES
            if kind in declared and kind.encode() + b"\0" in module
        },
    }
    json.dump(record, sys.stdout, indent=1)
    print()


def members(wheel: Path, suffix: str) -> list[tuple[str, bytes]]:
    """Files of a wheel by the end of their name."""
    with zipfile.ZipFile(wheel) as archive:
        return [(name, archive.read(name)) for name in archive.namelist() if name.endswith(suffix)]


def declarations(stub: str) -> dict[str, set[str]]:
    """Public members of every class of a stub file; nested classes count as members.

    By lines, since the published stubs are not quite Python: one function has a parameter
    without a default after one with a default.
    """
    found: dict[str, set[str]] = {}
    names: set[str] = set()
    for line in stub.splitlines():
        if match := re.match(r"class (\w+)", line):
            names = found.setdefault(match[1], set())
        elif match := re.match(r" {4}(?:def (\w+)\(|class (\w+)|(\w+): )", line):
            name = match[1] or match[2] or match[3]
            if not name.startswith("__"):
                names.add(name)
    return found


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
