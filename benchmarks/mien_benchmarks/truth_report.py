"""The truth benchmark's figures as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from mien_benchmarks.truth_bench import ALL
from mien_benchmarks.truth_motion import SIGNALS

_LIKENESS = (
    "error", "toneless", "descr.", "near", "detail", "flicker", "matte", "occl.", "ms, IQR",
)  # fmt: skip
_MOTION = (*SIGNALS, "|", *SIGNALS, "expr.", "deg")


def show_truth(result: dict[str, Any], console: Console) -> None:
    """Prints two tables for every group of clips, and what was skipped."""
    for group, rows in _grouped(result).items():
        title = _title(group, rows)
        console.print(_table(title, _LIKENESS, {n: _likeness(row) for n, row in rows.items()}))
        console.print()
        title = "motion: with the maker's parameters | with the truth as tracked"
        console.print(_table(title, _MOTION, {n: _motion(row) for n, row in rows.items()}))
        _tell_losses(rows, console)
        console.print()
    for name, clips in result["skipped"].items():
        for why in dict.fromkeys(clips.values()):
            where = [clip for clip, reason in clips.items() if reason == why]
            console.print(f"{name} left out of {', '.join(where)}: {why}")


def markdown(result: dict[str, Any]) -> str:
    """The same two tables over all groups, for a document."""
    rows = [
        (f"{group}: {name}", row)
        for group, rows in _grouped(result).items()
        for name, row in rows.items()
    ]
    return "\n".join(
        _markdown_table(headings, [(name, cells(row)) for name, row in rows])
        for headings, cells in ((_LIKENESS, _likeness), (_MOTION, _motion))
    )


def _markdown_table(headings: Sequence[str], rows: Sequence[tuple[str, list[str]]]) -> str:
    # A bar alone would end the cell; what stands behind it is starred instead.
    bar = headings.index("|") if "|" in headings else len(headings)
    headings = [*headings[: bar + 1], *(f"{heading}*" for heading in headings[bar + 1 :])]
    lines = [
        "| " + " | ".join([name, *(cell for cell in cells if cell != "|")]) + " |"
        for name, cells in (("", list(headings)), *rows)
    ]
    lines.insert(1, "|---" * (lines[0].count("|") - 1) + "|")
    return "\n".join(lines) + "\n"


def _grouped(result: dict[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """Rows by group; all clips together last, if there are several groups."""
    groups = result["groups"]
    found = {}
    for group in groups if len(groups) == 1 else [*groups, ALL]:
        rows = {
            name: row["groups"][group]
            for name, row in result["rows"].items()
            if group in row["groups"]
        }
        clips = max(row["clips"] for row in rows.values())
        # Figures over other clips than the rest cannot be compared with theirs.
        found[group] = {name: row for name, row in rows.items() if row["clips"] == clips}
    return found


def _title(group: str, rows: dict[str, dict[str, Any]]) -> str:
    first = next(iter(rows.values()))
    return f"{group}: {first['clips']} clips, {first['frames']} frames"


def _tell_losses(rows: dict[str, dict[str, Any]], console: Console) -> None:
    for name, row in rows.items():
        if row["missed"]:
            console.print(f"{name} swapped nothing in {row['missed']} of {row['frames']} frames")
        if row["face_found"] < 1:
            console.print(f"{name}: a face was found in {percent(row['face_found'])} of the frames")


def _likeness(row: dict[str, Any]) -> list[str]:
    ms = row["ms"]
    return [
        number(row["relative_error"], 3),
        number(row["relative_less_tone"], 3),
        number(row["descriptor"], 3),
        percent(row["nearest"]),
        number(row["detail"], 2),
        number(row["flicker"], 2),
        number(row["matte_iou"], 3),
        number(row["occlusion_iou"], 3),
        f"{ms['p50']:.0f} {ms['p25']:.0f}-{ms['p75']:.0f}" if ms else "-",
    ]


def _motion(row: dict[str, Any]) -> list[str]:
    pairs = [row["agreement"][signal] for signal in SIGNALS]
    return [
        *(number(pair["parameters"], 2) for pair in pairs),
        "|",
        *(number(pair["tracked"], 2) for pair in pairs),
        number(row["expression"], 2),
        number(row["pose_error_deg"], 1),
    ]


def _table(title: str, headings: Sequence[str], rows: Mapping[str, Sequence[str]]) -> Table:
    table = Table(
        box=None, pad_edge=False, collapse_padding=True, title=title, title_justify="left"
    )
    table.add_column("", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for name, cells in rows.items():
        table.add_row(name, *cells)
    return table


def number(value: float | None, places: int) -> str:
    """With so many places, a dash for None."""
    return "-" if value is None else f"{value:.{places}f}"


def percent(value: float | None) -> str:
    """A share as whole percent, a dash for None."""
    return "-" if value is None else f"{100 * value:.0f}%"
