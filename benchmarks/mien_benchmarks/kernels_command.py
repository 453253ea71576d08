"""``mien bench kernels`` and ``mien bench leaderboard``."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from mien_benchmarks.kernels import KernelBenchSettings, measure_kernels
from mien_benchmarks.kernels_report import page
from mien_benchmarks.leaderboard import read_results, tables
from mien_streamer.cli import options
from mien_streamer.cli.app import bench_app
from mien_streamer.cli.console import say, stdout
from mien_streamer.cli.values import parse_size
from mien_streamer.sinks.partial import PartialFile, write_error


@bench_app.command(
    epilog="Example: [bold]mien bench kernels --json kernels.json --html kernels.html[/bold]"
)
def kernels(
    size: Annotated[str, typer.Option(metavar="WxH", help="Size of the frames.")] = "1920x1080",
    runs: Annotated[int, typer.Option(min=3, max=100_000, help="Of each kernel.")] = 50,
    threads: options.ThreadsOption = 1,
    device: options.DeviceOption = "auto",
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all figures here.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page here.")
    ] = None,
) -> None:
    """Measure every kernel alone, beside NumPy and OpenCV; on the GPU too if there is one."""
    parts = [PartialFile(path) if path is not None else None for path in (json, html)]
    try:
        settings = KernelBenchSettings(
            size=parse_size(size), runs=runs, threads=threads, device=device
        )
        result = measure_kernels(settings)
        _show(result)
        texts = (json_format.dumps(result, indent=2) + "\n", page(result))
        for part, text in zip(parts, texts, strict=True):
            if part is None:
                continue
            try:
                part.path.write_text(text, encoding="utf-8")
            except OSError as error:
                raise write_error(part.target, error) from error
            part.commit()
        parts = []
    finally:
        for part in parts:
            if part is not None:
                part.discard()


@bench_app.command(
    epilog="Example: [bold]mien bench leaderboard docs/results/kernels docs/results/swap[/bold]"
)
def leaderboard(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR", help="Hold results of mien bench kernels and mien bench swap."
        ),
    ],
) -> None:
    """Print Markdown tables of results from many machines."""
    typer.echo(tables(read_results(folders)))


def _show(result: dict[str, Any]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("kernel", "by", "ms p50", "p95", "p99", "MB", "GB/s", "of a copy"):
        table.add_column(heading, justify="left" if heading in ("kernel", "by") else "right")
    for row in result["kernels"]:
        ms = row["ms"]
        table.add_row(
            *(row["kernel"], row["by"]),
            *(f"{ms[key]:.3f}" for key in ("p50", "p95", "p99")),
            *(f"{row['bytes'] / 1e6:.1f}", f"{row['gb_s']:.1f}", f"{row['share_of_copy']:.0%}"),
        )
    stdout.print(table)
    for where, rate in result["copy_gb_s"].items():
        say(f"a plain copy reads and writes {rate:.1f} GB/s ({where})")
    say(f"on {result['device']}")
    if result["gpu"] is None:
        say(f"no GPU: {result['no_gpu_because']}")
