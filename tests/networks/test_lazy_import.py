"""Neither mien nor its networks import PyTorch before a generator is wanted."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from mien.errors import MissingError
from mien.networks import PRESETS, load_generator, random_generator
from tests.networks.golden import DATA

_IMPORT = """
import sys
import mien, mien.networks
from mien.networks import read_checkpoint, export_onnx
c = read_checkpoint(sys.argv[1])
export_onnx(c, sys.argv[2])
for name in ("torch", "pickle5", "dill"):
    assert name not in sys.modules, name
"""


def test_reading_and_exporting_need_no_torch(tmp_path: object) -> None:
    arguments = [str(DATA / "t64.safetensors"), f"{tmp_path}/t64.onnx"]
    subprocess.run([sys.executable, "-c", _IMPORT, *arguments], check=True)


def test_import_alone_loads_nothing_heavy() -> None:
    code = "import sys, mien.networks; print([m for m in ('torch', 'onnx') if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_missing_torch_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    calls: list[Callable[[], object]] = [
        lambda: load_generator(DATA / "t64.safetensors"),
        lambda: random_generator(PRESETS["live"]),
    ]
    for call in calls:
        with pytest.raises(MissingError) as caught:
            call()
        assert caught.value.hint == 'pip install "mien[neural]"'
