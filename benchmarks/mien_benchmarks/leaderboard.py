"""Results from many machines: read, checked field by field, and put into Markdown tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from mien.errors import MediaError
from mien_benchmarks import kernels_report
from mien_benchmarks.kernels import FORMAT as KERNELS_FORMAT
from mien_benchmarks.swap_speed import FORMAT as SWAP_FORMAT

_PERCENTILES = ("p50", "p95", "p99", "max")
_MOST_MB = 64.0
"""The times of a million frames take fifty; more is something else."""


def read_results(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """Every result in some folders, in the order of their names.

    Raises:
        MediaError: a folder holds none, or a file there is none, and why.
    """
    results = []
    for folder in folders:
        paths = sorted(folder.glob("*.json"))
        if not paths:
            raise MediaError(
                f"there is no result in {folder}",
                "mien bench kernels --json FILE, or mien bench swap --json FILE",
            )
        results += [read_result(path) for path in paths]
    return results


def read_result(path: Path) -> dict[str, Any]:
    """A result of ``mien bench kernels`` or ``mien bench swap``, checked.

    Raises:
        MediaError: it is neither, or a figure is missing or cannot be true.
    """
    try:
        if path.stat().st_size > _MOST_MB * 1e6:
            raise MediaError(f"{path} is larger than {_MOST_MB:g} MB", "is it a result?")
        result = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MediaError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise MediaError(f"{path} is not JSON: {error}") from error
    kind = result.get("format") if isinstance(result, dict) else None
    if kind == KERNELS_FORMAT:
        return kernels_report.read_result(path)
    if kind != SWAP_FORMAT:
        known = f"expected format {KERNELS_FORMAT!r} or {SWAP_FORMAT!r}"
        got = f"got {kind!r}" if kind is not None else "there is none"
        raise MediaError(
            f"{path} is no result of mien bench kernels or mien bench swap", f"{known}, {got}"
        )
    try:
        _check_swap(result)
    except _WrongError as wrong:
        raise MediaError(f"{path}: {wrong}", "write it anew: mien bench swap --json FILE") from None
    return dict(result)


class _WrongError(Exception):
    """What is wrong with a field."""


def _check_swap(result: dict[str, Any]) -> None:
    for name in ("device", "size", "persona"):
        _field(result, name, str)
    settings = _field(result, "settings", dict)
    _field(settings, "swapper", str, "settings.")
    size = _field(settings, "size", list, "settings.")
    whole = [isinstance(side, int) and side > 0 for side in size]
    if len(size) != 2 or not all(whole) or result["size"] != f"{size[0]}x{size[1]}":
        raise _WrongError(f"size {result['size']!r} and settings.size {size!r} do not agree")
    frames, swapped = _number(result, "frames", 1), _number(result, "swapped", 0)
    if swapped > frames:
        raise _WrongError(f"swapped is {swapped:g}, of {frames:g} frames")
    for name in ("fps", "face_px", "peak_rss_mb"):
        _number(result, name, 0)
    load = _field(result, "load_average", list)
    if not load or not isinstance(load[0], int | float):
        raise _WrongError(f"load_average is {load!r}, not a list of numbers")
    total = _field(result, "total_ms", dict)
    times = [_number(total, name, 0, "total_ms.") for name in _PERCENTILES]
    if times != sorted(times):
        said = ", ".join(f"{key} {time:g}" for key, time in zip(_PERCENTILES, times, strict=True))
        raise _WrongError(f"total_ms falls: {said}")
    if times[0] <= 0.0:
        raise _WrongError("total_ms.p50 is 0")
    for stage, spread in _field(result, "stages_ms", dict).items():
        if not isinstance(spread, dict):
            raise _WrongError(f"stages_ms.{stage} is {spread!r}, not times by percentile")
        _number(spread, "p50", 0, f"stages_ms.{stage}.")
    if result.get("gpu_ms") is not None:
        busy = _field(result, "gpu_ms", dict)
        _number(busy, "p50", 0, "gpu_ms.")
        if _number(busy, "busy_share", 0, "gpu_ms.") > 1.0:
            raise _WrongError(f"gpu_ms.busy_share is {busy['busy_share']:g}, more than all")
        path = _field(result, "gpu_frame_path", dict)
        _field(_field(path, "gpu", dict, "gpu_frame_path."), "name", str, "gpu_frame_path.gpu.")


def _field(holder: dict[str, Any], name: str, kind: type, where: str = "") -> Any:
    if name not in holder:
        raise _WrongError(f"{where}{name} is missing")
    if not isinstance(holder[name], kind):
        words: dict[type, str] = {str: "text", dict: "an object", list: "a list"}
        raise _WrongError(f"{where}{name} is {holder[name]!r}, not {words[kind]}")
    return holder[name]


def _number(holder: dict[str, Any], name: str, least: float, where: str = "") -> float:
    if name not in holder:
        raise _WrongError(f"{where}{name} is missing")
    value = holder[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise _WrongError(f"{where}{name} is {value!r}, not a number")
    if value < least:
        raise _WrongError(f"{where}{name} is {value:g}, less than {least:g}")
    return float(value)


def tables(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: a table for each kind of result that there is, under a heading."""
    kinds: list[tuple[str, str, Callable[[list[dict[str, Any]]], str]]] = [
        ("Kernels, median ms", KERNELS_FORMAT, kernels_report.leaderboard),
        ("The swap, ms a frame", SWAP_FORMAT, swap_table),
    ]
    parts = []
    for heading, kind, table in kinds:
        own = [result for result in results if result["format"] == kind]
        if own:
            parts.append(f"### {heading}\n\n{table(own)}")
    return "\n\n".join(parts)


def swap_table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: a row a result, the quickest of each size first."""
    head = (
        *("machine", "size", "swapper", "p50", "p95", "p99", "frames/s", "swapped", "face px"),
        *("GPU ms", "GPU busy", "MB", "load", "commit"),
    )
    lines = [_row(head), "|---|---|---|" + "---:|" * (len(head) - 4) + "---|"]

    def order(result: dict[str, Any]) -> tuple[int, float]:
        width, height = result["settings"]["size"]
        return width * height, result["total_ms"]["p50"]

    for result in sorted(results, key=order):
        total, busy = result["total_ms"], result.get("gpu_ms")
        machine = result["device"]
        if busy is not None:
            machine = f"{result['gpu_frame_path']['gpu']['name']}; {machine}"
        lines.append(
            _row(
                (
                    *(machine, result["size"], result["settings"]["swapper"]),
                    *(f"{total[name]:.2f}" for name in ("p50", "p95", "p99")),
                    f"{result['fps']:.1f}",
                    f"{result['swapped'] / result['frames']:.0%}",
                    f"{result['face_px']:.0f}",
                    f"{busy['p50']:.2f}" if busy is not None else "-",
                    f"{busy['busy_share']:.0%}" if busy is not None else "-",
                    f"{result['peak_rss_mb']:.0f}",
                    f"{result['load_average'][0]:.1f}",
                    str(result.get("commit") or "-"),
                )
            )
        )
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    safe = (cell.replace("|", "/").replace("\n", " ") for cell in cells)
    return "| " + " | ".join(safe) + " |"
