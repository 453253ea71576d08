"""``mien bench swap --device``: the card's times beside the loop's, and the page."""

from __future__ import annotations

import re
from typing import Any

import pytest

from mien.errors import DeviceError
from mien.gpu import Gpu
from mien_benchmarks import commands, swap_speed
from mien_benchmarks.frame_path import measure_frame_path, open_gpu
from mien_benchmarks.plots import bars, curve
from mien_benchmarks.swap_report import page
from mien_benchmarks.swap_speed import BenchSettings, measure_swap
from tests.gpu.conftest import Machine
from tests.gpu.test_in_the_pipeline import persona


def test_the_way_of_a_frame_step_by_step(machine: Machine, gpu: Gpu) -> None:
    result = measure_frame_path(gpu, (160, 90), 4)
    assert list(result["bgr"]["steps_ms"]) == ["upload", "cover", "composite", "download"]
    assert list(result["nv12"]["steps_ms"]) == [
        "upload", "to BGR", "cover", "composite", "to NV12", "download",
    ]  # fmt: skip
    for form in ("bgr", "nv12"):
        one = result[form]
        assert one["gpu_ms"]["p50"] == one["steps_ms"]["cover"]["p50"] == 0.25
        assert one["host_gap_ms"]["p50"] == pytest.approx(one["call_ms"]["p50"] - 0.25, abs=2e-3)
    assert result["nv12"]["bytes_up"] > 160 * 90 * 3 // 2
    assert result["nv12"]["bytes_down"] >= 160 * 90 * 3 // 2
    assert result["gpu"]["name"] == "Fake H100"
    assert result["gpu"]["no_graph_because"] == ""
    assert not machine.cuda.live


def test_a_gpu_that_is_not_there(machine: Machine) -> None:
    machine.cuda.devices = []
    opened, why_not = open_gpu("auto")
    assert opened is None
    assert "no CUDA device" in why_not
    with pytest.raises(DeviceError):
        open_gpu("cuda:0")
    assert open_gpu("cpu") == (None, "not asked for")


@pytest.fixture
def result(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Of the loop over a played GPU."""
    monkeypatch.setattr(swap_speed, "WARM_UP", 2)
    monkeypatch.setattr(swap_speed, "MEMORY_FRAMES", 1)
    monkeypatch.setattr(swap_speed, "PATH_RUNS", 2)
    monkeypatch.setattr("mien.perception.tracker.networks_for", lambda device: _networks())
    return measure_swap(
        persona(),
        BenchSettings(frames=10, size=(160, 120), swapper="mesh", yardstick=False, device="cuda:0"),
    )


def _networks() -> Any:
    from mien.perception._session import Network

    return Network


def test_the_loop_over_a_gpu(result: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert result["swapped"] == 10
    assert result["gpu_ms"]["p50"] == 0.25  # a face a frame
    assert 0 < result["gpu_ms"]["busy_share"] < 1
    assert result["no_gpu_because"] == ""
    assert result["where"][0].startswith("faces are drawn and blended on cuda:0")
    assert len(result["series_ms"]["total"]) == 10
    assert result["jitter"]["p99_over_p50"] >= 1
    text = page(result)
    for wanted in ("Fake H100", "composite", "to NV12", "host gap", "4:2:0 frames"):
        assert wanted in text
    assert text.count("<svg") == 4
    assert not re.findall(r"(?:src|href)=|https?:", text)
    commands._show_speed(result)
    said = capsys.readouterr().out
    assert "bgr: composite" in said
    assert "of the loop's time" in said

    alone = {**result, "gpu_frame_path": None, "gpu_ms": None, "no_gpu_because": "none <here>"}
    assert "No GPU: none &lt;here&gt;." in page(alone)
    assert page(alone).count("<svg") == 2


def test_bars_and_curves_are_to_scale() -> None:
    text = bars({"a": {"p50": 1.0, "p99": 2.0}, "b": {"p50": 0.5, "p99": 0.5}})
    widths = [float(width) for width in re.findall(r'<rect [^>]*width="([\d.]+)"', text)]
    assert widths[0] == pytest.approx(2 * widths[1], abs=0.2)
    line = curve([1.0, 3.0, 2.0], {"p50": 2.0})
    [points] = re.findall(r'points="([^"]+)"', line)
    heights = [float(point.split(",")[1]) for point in points.split()]
    assert heights[1] < heights[2] < heights[0]
    assert heights[0] - heights[2] == pytest.approx(heights[2] - heights[1], abs=0.2)
    assert "p50 2" in line
