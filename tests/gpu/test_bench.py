"""``mien bench kernels``: figures, the page, and the table over many machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mien.errors import DeviceError, MediaError
from mien_benchmarks import kernels
from mien_benchmarks.kernels import KernelBenchSettings, measure_kernels
from mien_benchmarks.kernels_report import leaderboard, page, read_result
from mien_streamer.cli.main import run
from tests.gpu.conftest import Machine

NAMES = {"blend", "blur_matte", "light_transfer", "bgr_to_nv12", "nv12_to_bgr", "raster_face"}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "COPY_BYTES", 1 << 20)


def measured(device: str) -> dict[str, Any]:
    return measure_kernels(KernelBenchSettings(size=(66, 51), runs=3, device=device))


def test_every_kernel_is_measured_and_told(tmp_path: Path) -> None:
    result = measured("cpu")
    assert {row["kernel"] for row in result["kernels"] if row["by"] == "mien"} == NAMES
    assert result["gpu"] is None
    for row in result["kernels"]:
        assert row["gb_s"] >= 0
        assert row["ms"]["p50"] <= row["ms"]["max"]
    blend = next(row for row in result["kernels"] if row["by"] == "NumPy")
    assert blend["bytes"] == 10 * 66 * 51
    text = page(result)
    assert all(name in text for name in NAMES)
    assert "no GPU: not asked for" in text


def test_the_gpus_columns_come_from_its_own_clock(machine: Machine) -> None:
    result = measured("cuda:0")
    rows = {row["kernel"]: row for row in result["kernels"] if row["by"] == "Fake H100"}
    assert set(rows) == NAMES
    assert all(row["ms"]["p50"] == 0.25 for row in rows.values())
    # A copy of 1 MiB in 0.25 ms, read and written.
    assert result["copy_gb_s"]["gpu"] == pytest.approx(2 * (1 << 20) / 0.25e6, abs=0.01)
    assert result["gpu"]["capability"] == "9.0"
    assert not machine.cuda.live
    table = leaderboard([result])
    assert "| Fake H100 | 66x51 | 0.250 |" in table


def test_a_gpu_that_was_asked_for_must_be_there(machine: Machine) -> None:
    machine.cuda.devices = []
    with pytest.raises(DeviceError):
        measured("cuda:0")
    assert measured("auto")["no_gpu_because"].startswith("there is no CUDA device")


def test_results_of_others_become_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = measured("cpu")
    result["device"] = "a | b"
    (tmp_path / "one.json").write_text(json.dumps(result), encoding="utf-8")
    result["device"] = "second"
    (tmp_path / "two.json").write_text(json.dumps(result), encoding="utf-8")
    assert run(["bench", "leaderboard", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[0].startswith("| machine | size | blend |")
    assert {line.split(" | ")[0] for line in lines[2:]} == {"| a / b", "| second"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("[]", "no result of mien bench kernels"),
        ('{"format": "mien-kernels-0"}', "no result of mien bench kernels"),
        ('{"format": "mien-kernels-1"}', "lacks a figure"),
        ('{"format": "mien-kernels-1", "kernels": [{"ms": {"p50": "x"}}]}', "lacks a figure"),
    ],
)
def test_files_that_are_no_results_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(MediaError, match=message):
        read_result(path)
    assert run(["bench", "leaderboard", str(tmp_path)]) == 3
