"""``mien bench show``: what cues cost a live show."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from mien_benchmarks.show import NEAR_S, ShowBenchSettings, measure_show
from mien_streamer.cli import options
from mien_streamer.cli.app import bench_app
from mien_streamer.cli.console import say, stdout
from mien_streamer.cli.values import parse_size
from mien_streamer.sinks.partial import PartialFile, write_error


@bench_app.command(
    epilog="Examples: [bold]mien bench show --json show.json[/bold] (five minutes), "
    "[bold]mien bench show --minutes 1 --every 0.7[/bold]",
)
def show(
    minutes: Annotated[
        float, typer.Option(min=0.05, max=600.0, callback=options.finite, help="Length.")
    ] = 5.0,
    every: Annotated[
        float,
        typer.Option(
            min=0.1,
            max=600.0,
            metavar="SECONDS",
            callback=options.finite,
            help="Time between cues.",
        ),
    ] = 2.0,
    size: Annotated[str, typer.Option(metavar="WxH", help="Size of the frames.")] = "1280x720",
    clip: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Clip to run on; the bundled one if none.")
    ] = None,
    swapper: options.SwapperOption = "mesh",
    device: options.DeviceOption = "cpu",
    threads: options.ThreadsOption = 1,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all figures here.")
    ] = None,
) -> None:
    """Measure a live show: frames lost near cues, and frames from a cue to the change."""
    part = PartialFile(json) if json is not None else None
    try:
        settings = ShowBenchSettings(
            minutes=minutes,
            every_s=every,
            size=parse_size(size),
            clip=clip,
            swapper=swapper,
            device=device,
            threads=threads,
        )
        result = measure_show(settings)
        _show(result)
        if part is not None:
            try:
                part.path.write_text(json_format.dumps(result, indent=2) + "\n", encoding="utf-8")
            except OSError as error:
                raise write_error(part.target, error) from error
            part.commit()
            part = None
    finally:
        if part is not None:
            part.discard()


def _show(result: dict[str, Any]) -> None:
    drops, cues = result["drops"], result["cues"]
    table = Table(box=None, pad_edge=False)
    for heading in ("frames", "drawn", "lost", "lost per 1000"):
        table.add_column(heading, justify="left" if heading == "frames" else "right")
    for name, drawn, lost in (
        (f"within {NEAR_S} s of a cue", drops["frames_near_cues"], drops["near_cues"]),
        ("elsewhere", drops["frames_elsewhere"], drops["elsewhere"]),
    ):
        rate = 1000.0 * lost / max(drawn + lost, 1)
        table.add_row(name, str(drawn), str(lost), f"{rate:.1f}")
    stdout.print(table)
    table = Table(box=None, pad_edge=False)
    for heading in ("from a cue received", "p50", "p99", "max"):
        table.add_column(heading, justify="left" if heading.startswith("from") else "right")
    to_change, to_drawn = result["frames_to_change"], result["received_to_drawn_ms"]
    row = (f"{to_change[key]:.0f}" for key in ("p50", "p99", "max"))
    table.add_row("to the first changed frame, frames", *row)
    if to_drawn is not None:
        row = (f"{to_drawn[key]:.1f}" for key in ("p50", "p99", "max"))
        table.add_row("until that is drawn, ms", *row)
    stdout.print(table)
    say(
        f"{result['frames']} frames in {result['seconds']:.0f} s ({result['fps']:.1f} fps), "
        f"{result['dropped']} dropped, {result['guarded']} guarded, "
        f"{cues['seen']} of {cues['sent']} cues seen"
    )
    say(f"on {result['device']}, load {result['load_average'][0]:.1f}")
