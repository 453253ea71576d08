"""The truth benchmark's figures as tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from mien_benchmarks.truth_bench import ALL
from mien_benchmarks.truth_motion import SIGNALS

_LIKENESS = (
    "error", "less tone", "descr.", "nearest", "detail", "flicker", "matte", "occl.", "ms",
)  # fmt: skip


def show_truth(result: dict[str, Any], console: Console) -> None:
    """Prints two tables for every group of clips, and what was skipped."""
    groups = result["groups"]
    for group in groups if len(groups) == 1 else [*groups, ALL]:
        rows = {
            name: row["groups"][group]
            for name, row in result["rows"].items()
            if group in row["groups"]
        }
        first = next(iter(rows.values()))
        # Figures over other clips than the rest cannot be compared with theirs.
        rows = {name: row for name, row in rows.items() if row["clips"] == first["clips"]}
        title = f"{group}: {first['clips']} clips, {first['frames']} frames"
        console.print(_likeness(title, rows))
        console.print()
        console.print(_motion(rows))
        _tell_losses(rows, console)
        console.print()
    for name, clips in result["skipped"].items():
        for why in dict.fromkeys(clips.values()):
            where = [clip for clip, reason in clips.items() if reason == why]
            console.print(f"{name} left out of {', '.join(where)}: {why}")


def _tell_losses(rows: dict[str, dict[str, Any]], console: Console) -> None:
    for name, row in rows.items():
        if row["missed"]:
            console.print(f"{name} swapped nothing in {row['missed']} of {row['frames']} frames")
        if row["face_found"] < 1:
            console.print(f"{name}: a face was found in {percent(row['face_found'])} of the frames")


def _likeness(title: str, rows: dict[str, dict[str, Any]]) -> Table:
    table = _table(title, _LIKENESS)
    for name, row in rows.items():
        ms = row["ms"]
        table.add_row(
            name,
            number(row["relative_error"], 3),
            number(row["relative_less_tone"], 3),
            number(row["descriptor"], 3),
            percent(row["nearest"]),
            number(row["detail"], 2),
            number(row["flicker"], 2),
            number(row["matte_iou"], 3),
            number(row["occlusion_iou"], 3),
            f"{ms['p50']:.0f} ({ms['p25']:.0f}-{ms['p75']:.0f})" if ms else "-",
        )
    return table


def _motion(rows: dict[str, dict[str, Any]]) -> Table:
    title = "motion: with the maker's parameters | with the truth as tracked"
    table = _table(title, (*SIGNALS, "|", *SIGNALS, "expr.", "deg"))
    for name, row in rows.items():
        pairs = [row["agreement"][signal] for signal in SIGNALS]
        table.add_row(
            name,
            *(number(pair["parameters"], 2) for pair in pairs),
            "|",
            *(number(pair["tracked"], 2) for pair in pairs),
            number(row["expression"], 2),
            number(row["pose_error_deg"], 1),
        )
    return table


def _table(title: str, headings: Sequence[str]) -> Table:
    table = Table(
        box=None, pad_edge=False, collapse_padding=True, title=title, title_justify="left"
    )
    table.add_column("", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def number(value: float | None, places: int) -> str:
    """With so many places, a dash for None."""
    return "-" if value is None else f"{value:.{places}f}"


def percent(value: float | None) -> str:
    """A share as whole percent, a dash for None."""
    return "-" if value is None else f"{100 * value:.0f}%"
