"""``mien bench swap``: the whole loop on this machine, beside a yardstick and the truth."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from mien.errors import MediaError
from mien.swappers import chosen_swapper
from mien_benchmarks.swap_speed import LOOP, BenchSettings, measure_swap
from mien_benchmarks.truth_measure import TruthSettings, measure_truth
from mien_benchmarks.truth_report import show_truth
from mien_streamer.cli import options
from mien_streamer.cli.app import bench_app
from mien_streamer.cli.console import say, stdout
from mien_streamer.cli.setup import find_persona, open_library
from mien_streamer.cli.values import parse_size
from mien_streamer.sinks.partial import PartialFile, write_error


@bench_app.command(
    epilog="Examples: [bold]mien bench swap --json swap.json[/bold], "
    "[bold]mien bench swap --truth SET[/bold]; more of that in [bold]mien bench truth[/bold]"
)
def swap(
    persona: options.PersonaOption = "ada",
    frames: Annotated[
        int, typer.Option(min=10, max=1_000_000, help="Frames to measure, after a warm-up.")
    ] = 300,
    size: Annotated[str, typer.Option(metavar="WxH", help="Size of the frames.")] = "1280x720",
    clip: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Clip to run on; the bundled one if none.")
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(metavar="SET", help="Also score against the true swaps of this set."),
    ] = None,
    yardstick: Annotated[
        bool,
        typer.Option(
            "--yardstick/--no-yardstick", help="MediaPipe FaceMesh on the same frames, if there."
        ),
    ] = True,
    swapper: options.SwapperOption = "mesh",
    threads: options.ThreadsOption = 1,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all figures here.")
    ] = None,
) -> None:
    """Measure the swap: times of every stage, memory, likeness to the true swap."""
    part = PartialFile(json) if json is not None else None
    try:
        worn = find_persona(persona)
        settings = BenchSettings(
            frames=frames,
            size=parse_size(size),
            clip=clip,
            swapper=swapper,
            threads=threads,
            yardstick=yardstick,
        )
        result = measure_swap(worn, settings)
        _show_speed(result)
        if truth is not None:
            if not truth.is_dir():
                raise MediaError(f"no such folder: {truth}", "name the folder of a truth set")
            scored = TruthSettings(rows=(chosen_swapper(swapper),), threads=threads)
            result["truth"], _ = measure_truth(truth, scored, open_library())
            show_truth(result["truth"], stdout)
        if part is not None:
            try:
                text = json_format.dumps(result, indent=2) + "\n"
                part.path.write_text(text, encoding="utf-8")
            except OSError as error:
                raise write_error(part.target, error) from error
            part.commit()
            part = None
    finally:
        if part is not None:
            part.discard()


def _show_speed(result: dict[str, Any]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("ms per frame")
    for heading in ("p50", "p95", "p99", "max"):
        table.add_column(heading, justify="right")
    table.add_column("cpu p50", justify="right")
    rows = {**result["stages_ms"], LOOP: result["total_ms"], **result["yardstick_ms"]}
    for name, times in rows.items():
        cpu = result["cpu_ms"].get(name)
        table.add_row(
            name,
            *(f"{times[key]:.2f}" for key in ("p50", "p95", "p99", "max")),
            f"{cpu['p50']:.2f}" if cpu is not None else "",
        )
    stdout.print(table)
    say(
        f"{result['fps']:.0f} fps at {result['size']}, face {result['face_px']:.0f} px high, "
        f"{result['swapped']} of {result['frames']} swapped, "
        f"peak memory {result['peak_rss_mb']:.0f} MB"
    )
    for name, ratio in result["ratio_to_yardstick"].items():
        say(f"{ratio['wall']:.2f} x {name} by the clock, {ratio['cpu']:.2f} x in processor time")
    say(f"on {result['device']}, load {result['load_average'][0]:.1f}")
