"""The fakes offer nothing that TensorRT lacks, and the runner's types fit its stubs."""

from __future__ import annotations

import ast
import enum
import inspect
import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from tests.inference.fakes import tensorrt as fake

RECORD = json.loads(Path(__file__).parent.joinpath("fakes", "tensorrt_api.json").read_text())
ROOT = Path(__file__).resolve().parents[2]


def public_names(kind: type) -> set[str]:
    """What a fake offers, own names only."""
    names = {name for name in vars(kind) if not name.startswith("_")}
    names |= {name for name in inspect.get_annotations(kind) if not name.startswith("_")}
    if issubclass(kind, enum.Enum):
        names = set(kind.__members__)
    return names


@pytest.mark.parametrize("kind", fake.API, ids=lambda kind: kind.__name__)
def test_the_fake_offers_only_what_the_real_bindings_hold(kind: type) -> None:
    """The record was taken from the extension module of TensorRT 11.4 and the stubs of 10.13."""
    assert kind.__name__ in RECORD["classes"]
    assert public_names(kind) <= set(RECORD["classes"][kind.__name__])


def test_the_severities_and_functions_are_real_too() -> None:
    assert set(fake.ILogger.Severity.__members__) <= set(RECORD["classes"]["ILogger"])
    assert RECORD["functions"] == ["nptype"]


def test_the_runner_uses_no_module_name_that_the_fake_lacks() -> None:
    module = fake.make_module()
    for name in ("tensorrt.py", "tensorrt_build.py"):
        source = ROOT.joinpath("engine", "mien", "inference", name).read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source)):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id in ("trt", "tensorrt")
            ):
                assert hasattr(module, node.attr), f"{name}: tensorrt.{node.attr}"


def repaired(stub: str) -> str:
    """A stub file without the few lines that are not Python: those accept anything."""
    lines = stub.splitlines()
    for _ in range(200):
        try:
            ast.parse("\n".join(lines))
        except SyntaxError as error:
            at = (error.lineno or 1) - 1
            head = lines[at].split("(")[0]
            indent = head[: len(head) - len(head.lstrip())]
            if head.lstrip().startswith("def "):
                lines[at] = f"{head}(self, *args: typing.Any, **kwargs: typing.Any) -> typing.Any:"
            elif ": " in lines[at]:
                lines[at] = f"{lines[at].split(':')[0]}: typing.Any"
            else:
                lines[at] = f"{indent}pass"
        else:
            return "\n".join(lines)
    raise AssertionError("the stubs are beyond repair")


@pytest.mark.slow
def test_the_types_fit_the_published_stubs(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="mypy is not installed")
    try:
        files = metadata.files("tensorrt-stubs") or []
    except metadata.PackageNotFoundError:
        pytest.skip("tensorrt-stubs is not installed")
    for file in files:
        if file.suffix == ".pyi":
            target = tmp_path / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(repaired(Path(str(file.locate())).read_text(encoding="utf-8")))
    modules = [f"engine/mien/inference/{name}.py" for name in ("tensorrt", "tensorrt_build")]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), *modules],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stdout.splitlines() if line.startswith("engine/mien/inference")]
    assert not ours, done.stdout
    assert "errors prevented further checking" not in done.stdout, done.stdout


def test_a_wrong_name_would_be_found() -> None:
    class ICudaEngine(fake.ICudaEngine):
        def get_binding_shape(self, name: str) -> tuple[int, ...]:  # of TensorRT 8
            return ()

    assert not public_names(ICudaEngine) <= set(RECORD["classes"]["ICudaEngine"])
