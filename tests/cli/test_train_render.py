"""``mien train`` says so where it is asked to render on a GPU that is not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("numba", reason="needs the extra 'train'")
pytest.importorskip("scipy", reason="needs the extra 'train'")

import torch

from tests.cli.conftest import Result

RENDERS = ("takes", "portraits", "truth", "faces")


@pytest.mark.parametrize("what", RENDERS)
def test_a_gpu_that_is_not_there(
    mien: Callable[..., Result], tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    out = tmp_path / "out"
    refused = mien("train", what, tmp_path, out, "--device", "cuda")
    assert refused.code == 4
    assert "no CUDA device" in refused.err
    assert "--device cpu" in refused.err
    assert not out.exists()


@pytest.mark.parametrize("what", RENDERS)
def test_a_device_that_is_none(mien: Callable[..., Result], tmp_path: Path, what: str) -> None:
    refused = mien("train", what, tmp_path, tmp_path / "out", "--device", "tpu")
    assert refused.code == 2
    assert "auto, cpu, cuda" in refused.err
