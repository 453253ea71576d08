"""``mien bench swap``: the whole loop on this machine, beside a yardstick and the truth."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from mien.errors import MediaError
from mien.swappers import chosen_swapper
from mien_benchmarks.swap_report import page
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
    device: options.DeviceOption = "cpu",
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all figures here.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with plots here.")
    ] = None,
) -> None:
    """Measure the swap: times of every stage, memory, likeness to the true swap."""
    parts = [PartialFile(path) if path is not None else None for path in (json, html)]
    try:
        worn = find_persona(persona)
        settings = BenchSettings(
            frames=frames,
            size=parse_size(size),
            clip=clip,
            swapper=swapper,
            threads=threads,
            yardstick=yardstick,
            device=device,
        )
        result = measure_swap(worn, settings)
        _show_speed(result)
        if truth is not None:
            if not truth.is_dir():
                raise MediaError(f"no such folder: {truth}", "name the folder of a truth set")
            scored = TruthSettings(rows=(chosen_swapper(swapper),), threads=threads)
            result["truth"], _ = measure_truth(truth, scored, open_library())
            show_truth(result["truth"], stdout)
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
    jitter = result["jitter"]
    say(
        f"neighbouring frames differ by {jitter['mean_step_ms']:.2f} ms, "
        f"p99 is {jitter['p99_over_p50']:.2f} x p50"
    )
    for line in result["where"]:
        say(line)
    _show_gpu(result)
    say(f"on {result['device']}, load {result['load_average'][0]:.1f}")


def _show_gpu(result: dict[str, Any]) -> None:
    path = result["gpu_frame_path"]
    if path is None:
        if result["settings"]["device"] != "cpu":
            say(f"no GPU: {result['no_gpu_because']}")
        return
    table = Table(box=None, pad_edge=False)
    for heading in (f"{path['gpu']['name']}, ms", "p50", "p95", "p99", "max"):
        table.add_column(heading, justify="right" if heading[0] in "pm" else "left")
    for form in ("bgr", "nv12"):
        rows = {"whole graph": path[form]["gpu_ms"], "host gap": path[form]["host_gap_ms"]}
        for name, times in {**path[form]["steps_ms"], **rows}.items():
            cells = (f"{times[key]:.3f}" for key in ("p50", "p95", "p99", "max"))
            table.add_row(f"{form}: {name}", *cells)
    stdout.print(table)
    if result["gpu_ms"] is not None:
        say(
            f"the GPU worked {result['gpu_ms']['p50']:.2f} ms a frame, "
            f"{result['gpu_ms']['busy_share']:.0%} of the loop's time"
        )
