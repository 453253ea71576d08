"""``mien bench kernels``: figures, the page, and the table over many machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.errors import DeviceError, MediaError
from mien.gpu import Gpu, Transfers
from mien_benchmarks import kernel_cases, kernels
from mien_benchmarks.kernel_cases import make_cases
from mien_benchmarks.kernel_torch import torch_times, torch_work
from mien_benchmarks.kernels import KernelBenchSettings, measure_kernels
from mien_benchmarks.kernels_report import leaderboard, page, read_result
from mien_streamer.cli import run
from tests.gpu.conftest import Machine

NAMES = {
    "blend",
    "blur_matte",
    "light_transfer",
    "bgr_to_nv12",
    "nv12_to_bgr",
    "raster_face",
    "sample_points",
    "filtered_lrelu",
}
ON_GPU = {*NAMES, "warp_crop"}  # the CPU takes its crops with OpenCV


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "COPY_BYTES", 1 << 20)
    monkeypatch.setattr(kernel_cases, "CHANNELS", 2)
    monkeypatch.setattr(kernel_cases, "SIDE", 16)


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
    assert set(rows) == ON_GPU
    assert all(row["ms"]["p50"] == 0.25 for row in rows.values())
    # A copy of 1 MiB in 0.25 ms, read and written.
    assert result["copy_gb_s"]["gpu"] == pytest.approx(2 * (1 << 20) / 0.25e6, abs=0.01)
    assert result["gpu"]["capability"] == "9.0"
    assert not machine.cuda.live
    table = leaderboard([result])
    assert "| Fake H100 | 66x51 | 0.250 |" in table


@pytest.mark.parametrize("kernel", ["blend", "blur_matte", "warp_crop", "filtered_lrelu"])
def test_pytorch_does_the_same_work(kernel: str, machine: Machine, gpu: Gpu) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    [case] = [one for one in make_cases((66, 50), 1) if one.name == kernel]
    work = torch_work(case, "cpu")
    assert work is not None
    with torch.inference_mode():
        theirs = work().numpy()
    kernels = machine.kernels(gpu)
    transfers = Transfers(gpu, kernels.pool)
    bundle = transfers.upload(list(case.arrays), gpu.stream)
    case.on_gpu(kernels, bundle.arrays)
    which = 1 if kernel in ("warp_crop", "filtered_lrelu") else 0
    ours = transfers.download(bundle, gpu.stream)[which]
    # Bytes are rounded alike; crops lie on 1/128 pixels; sums are taken in another order.
    bound = {"blend": 0, "blur_matte": 0, "warp_crop": 2 / 128, "filtered_lrelu": 1e-4}[kernel]
    assert np.abs(ours.astype(np.float64) - theirs).max() <= bound
    transfers.close()
    kernels.close()


def test_pytorch_is_left_out_where_it_has_no_gpu() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    if torch.cuda.is_available():
        pytest.skip("it has one here")
    assert list(torch_times(list(make_cases((66, 50), 1)), 0, 1, 1)) == []


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
    assert lines[0] == "### Kernels, median ms"
    assert lines[2].startswith("| machine | size | blend |")
    assert {line.split(" | ")[0] for line in lines[4:]} == {"| a / b", "| second"}


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
