"""``mien bench generator``: a picture of a generator on a runner, in milliseconds."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.table import Table

from mien_benchmarks.generator import GeneratorBenchSettings, measure_generator
from mien_streamer.cli.app import bench_app
from mien_streamer.cli.console import say, stdout
from mien_streamer.cli.generator_options import (
    ModelOption,
    PrecisionName,
    RandomOption,
    find_model,
    work_folder,
)
from mien_streamer.sinks.partial import PartialFile, write_error

RunnerChoice = Literal["auto", "onnxruntime", "tensorrt", "torch"]


@bench_app.command(
    epilog="Examples: [bold]mien bench generator --model t64 --runner onnxruntime[/bold], "
    "[bold]mien bench generator --random t256 --runner torch --json t256.json[/bold]"
)
def generator(
    model: ModelOption = None,
    random: RandomOption = None,
    runner: Annotated[RunnerChoice, typer.Option(help="What runs it.")] = "auto",
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="Where it may run.")
    ] = "auto",
    precision: Annotated[
        PrecisionName | None, typer.Option(help="fp16 on CUDA and fp32 on the CPU if not given.")
    ] = None,
    threads: Annotated[int, typer.Option(min=0, max=1024, help="On the CPU; 0: all.")] = 1,
    compile: Annotated[
        bool, typer.Option("--compile", help="torch only: compile the module first.")
    ] = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="torch on the CPU only: without the fused kernel.")
    ] = False,
    runs: Annotated[int, typer.Option(min=3, max=1_000_000, help="Most pictures.")] = 100,
    budget: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="Stop sooner after this long.")
    ] = 20.0,
    folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where exports and engines are kept.")
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all figures here.")
    ] = None,
) -> None:
    """Measure a generator: times, share of the machine's peak, memory."""
    root = work_folder(folder)
    part = PartialFile(json) if json is not None else None
    try:
        settings = GeneratorBenchSettings(
            runner=runner,
            device=device,
            precision=precision,
            threads=threads,
            compile=compile,
            fused=not plain,
            runs=runs,
            budget_s=budget,
            folder=root,
        )
        result = measure_generator(find_model(model, random, folder=root), settings)
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
    table = Table(box=None, pad_edge=False)
    table.add_column("ms per picture")
    for heading in ("p50", "p95", "p99", "max"):
        table.add_column(heading, justify="right")
    for name, times in (("wall", result["ms"]), ("CPU time", result["cpu_ms"])):
        table.add_row(name, *(f"{times[key]:.2f}" for key in ("p50", "p95", "p99", "max")))
    stdout.print(table)
    say(
        f"{result['model']}: {result['pictures']} pictures with {result['runner']} in "
        f"{result['precision']} on {result['device']}, {result['fps']:.2f} a second"
    )
    cost, share = result["cost"], result["share_of_peak"]
    if cost is not None:
        line = f"{cost['gmac']:.1f} GMAC a picture, {result['gmac_per_s']:.1f} GMAC/s"
        if share is not None:
            line += f", {share:.0%} of the {result['peak_gmac_per_s']:.0f} of a matrix product"
        say(line)
    memory = f"peak memory {result['peak_rss_mb']:.0f} MB, loaded in {result['load_s']:.1f} s"
    if result["gpu_memory_mb"] is not None:
        memory += f", {result['gpu_memory_mb']:.0f} MB in use on the GPU"
    say(memory)
    say(result["reason"])
