"""``mien bench swap`` runs, and writes figures that hang together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.conftest import PERSONA, Mien
from tests.cli.conftest import demo_frames as demo_frames
from tests.cli.conftest import home as home
from tests.cli.conftest import mien as mien
from tests.cli.conftest import quick as quick


@pytest.mark.usefixtures("home", "quick")
def test_figures_hang_together(mien: Mien, tmp_path: Path) -> None:
    file = tmp_path / "swap.json"
    small = ("--frames", "12", "--size", "320x180", "--no-yardstick")
    result = mien("bench", "swap", "-p", PERSONA, *small, "--json", file)
    assert result.code == 0, result.err
    found = json.loads(file.read_text())
    assert found["frames"] == found["swapped"] == 12
    assert found["size"] == "320x180"
    assert set(found["stages_ms"]) >= {"track", "swap", "composite", "mark"}
    assert found["total_ms"]["p50"] <= found["total_ms"]["p95"] <= found["total_ms"]["max"]
    assert found["peak_rss_mb"] > 50
    assert found["yardstick_ms"] == {}
    for stage in found["stages_ms"]:
        assert stage in result.out


@pytest.mark.usefixtures("home", "quick")
def test_wrong_use_leaves_no_file(mien: Mien, tmp_path: Path) -> None:
    file = tmp_path / "swap.json"
    assert mien("bench", "swap", "-p", "nobody-here", "--json", file).code == 3
    missing = ("--frames", "10", "--size", "320x180", "--no-yardstick", "--truth", tmp_path / "no")
    assert mien("bench", "swap", "-p", PERSONA, *missing, "--json", file).code == 3
    assert list(tmp_path.glob("*.json")) == []
