"""The committed stub says what the extension module offers."""

from __future__ import annotations

import ast
from importlib.resources import files
from pathlib import Path

import pytest

from mien import _kernels


def declarations(source: str) -> list[str]:
    """Everything that a stub declares, without its layout."""
    return [ast.unparse(node) for node in ast.parse(source).body]


def test_the_committed_stub_is_what_nanobind_writes() -> None:
    stubgen = pytest.importorskip("nanobind.stubgen", reason="nanobind is not installed")
    generator = stubgen.StubGen(module=_kernels)
    generator.put(_kernels)
    stub = Path(str(files("mien").joinpath("_kernels.pyi"))).read_text(encoding="utf-8")
    assert declarations(stub) == declarations(generator.get()), (
        "engine/mien/_kernels.pyi is out of date; run `make stub`"
    )


def test_every_function_has_a_docstring() -> None:
    for name in dir(_kernels):
        if not name.startswith("_"):
            assert getattr(_kernels, name).__doc__, name
