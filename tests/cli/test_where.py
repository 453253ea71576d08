"""What runs where is a note, and none where there was nothing to choose."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from mien.errors import DeviceError
from mien.pipeline import Pipeline
from mien_streamer.cli import setup

PIPELINE = cast(Pipeline, SimpleNamespace(where=["faces are drawn on cuda:0", "marks on the CPU"]))


def _no_driver() -> Any:
    raise DeviceError("there is no NVIDIA driver", "")


@pytest.mark.parametrize(
    ("device", "driver", "lines"),
    [
        ("auto", object, 2),
        ("auto", _no_driver, 0),
        ("cpu", _no_driver, 2),
        ("cuda:0", object, 2),
    ],
)
def test_a_machine_without_a_gpu_is_not_told_so_each_time(
    device: str,
    driver: Any,
    lines: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(setup, "load_driver", driver)
    setup.tell_where(PIPELINE, device)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == lines
