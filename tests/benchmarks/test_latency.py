"""The bar code, and the bench on the ways that need no browser."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("aiortc", reason="the extra 'webrtc' is not installed")
pytest.importorskip("aiohttp", reason="the extra 'webrtc' is not installed")

from tests.cli.conftest import Mien
from tests.cli.conftest import mien as mien

from mien_benchmarks.bar_code import CELLS, cells_of, checksum, paint, read
from mien_benchmarks.latency_report import html_report
from mien_benchmarks.latency_ways import percentiles


@pytest.mark.parametrize("size", [(720, 1280), (360, 640), (181, 333)])
@pytest.mark.parametrize("number", [0, 1, 0xFFFF, 0x1234])
def test_a_number_is_read_back_after_a_lossy_codec(size: tuple[int, int], number: int) -> None:
    picture = np.full((*size, 3), 120, np.uint8)
    paint(picture, number)
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 20])[1]
    blurred = cv2.GaussianBlur(cv2.imdecode(data, cv2.IMREAD_COLOR), (5, 5), 1.2)
    assert read(np.asarray(blurred, np.uint8)) == number
    half = cv2.resize(blurred, (size[1] // 2, size[0] // 2), interpolation=cv2.INTER_AREA)
    assert read(np.asarray(half, np.uint8)) == number


def test_a_damaged_or_missing_code_is_no_number() -> None:
    picture = np.full((360, 640, 3), 120, np.uint8)
    assert read(picture) is None
    paint(picture, 77)
    picture[:30, 26 * 8 : 26 * 9] = 255 - picture[:30, 26 * 8 : 26 * 9]
    assert read(picture) is None


def test_the_page_draws_the_same_code() -> None:
    page = files("mien_benchmarks").joinpath("pages", "latency.html").read_text(encoding="utf-8")
    assert f"CELLS = {CELLS};" in page
    formula = re.search(r"checksum = \(n\) => (.+);", page)
    assert formula is not None
    assert formula[1] == "((n ^ n >> 4 ^ n >> 8 ^ n >> 12) * 7 + 5) & 15"
    assert checksum(0x1234) == eval(formula[1], {"n": 0x1234})
    assert len(cells_of(5)) == CELLS


def test_percentiles_of_nothing_are_zero() -> None:
    assert percentiles([])["p99"] == 0.0
    assert percentiles([3.0, 1.0, 2.0]) == {"p50": 2.0, "p95": 3.0, "p99": 3.0, "max": 3.0}


@pytest.mark.parametrize("way", ["peer", "camera"])
def test_the_bench_measures_and_reports(mien: Mien, tmp_path: Path, way: str) -> None:
    figures, report = tmp_path / "l.json", tmp_path / "l.html"
    result = mien(
        "bench", "latency", "--way", way, "--size", "320x180", "--seconds", "1.5",
        "--rounds", "1", "--json", figures, "--html", report,
    )  # fmt: skip
    assert result.code == 0, result.err
    data = json.loads(figures.read_text())
    [(name, measured)] = data["ways"].items()
    assert measured["pictures"] > 15
    assert 0 < measured["p50"] <= measured["p95"] < 2000
    assert data["server"]["frames"] > 15
    assert data["settings"]["way"] == way
    page = report.read_text()
    assert name in page
    assert "<polyline" in page
    assert html_report(data) == page


def test_an_odd_size_is_refused(mien: Mien) -> None:
    result = mien("bench", "latency", "--way", "peer", "--size", "321x180")
    assert result.code == 2
    assert "odd" in result.err
