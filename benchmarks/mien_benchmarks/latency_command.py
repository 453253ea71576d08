"""``mien bench latency``: lens to screen, beside stock aiortc."""

from __future__ import annotations

import json as json_format
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table

from mien.errors import UsageError
from mien_streamer import webrtc
from mien_streamer.cli import options
from mien_streamer.cli.app import bench_app
from mien_streamer.cli.console import say, say_warning, stdout
from mien_streamer.cli.report import device, versions
from mien_streamer.cli.setup import find_persona
from mien_streamer.cli.values import parse_size
from mien_streamer.sinks.partial import PartialFile, write_error

if TYPE_CHECKING:
    from mien_benchmarks.latency_ways import LatencySettings

_ENOUGH_READABLE = 0.8
"""Of the frames; with fewer, the slow ones may be the ones that are missing."""


@bench_app.command(
    epilog="Examples: [bold]mien bench latency --json l.json --html l.html[/bold], "
    "[bold]mien bench latency --work mesh --seconds 30[/bold], "
    "[bold]mien bench latency --way camera[/bold], "
    "[bold]mien bench latency --camera 0[/bold] (photons to photons)"
)
def latency(
    way: Annotated[
        Literal["auto", "browser", "peer", "camera"],
        typer.Option(
            help="A headless Chromium (with stock aiortc beside it), a peer in this process, or "
            "a file into a virtual camera. auto: the browser if there is one."
        ),
    ] = "auto",
    camera: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="Photons to photons instead: a window shows a code that changes, this camera (a "
            "number or part of its name) films it, the live loop's output is read. Point the "
            "camera at the whole window first. Needs a screen and the extra 'window'; --codec "
            "does not matter.",
        ),
    ] = None,
    work: Annotated[
        Literal["none", "mesh"], typer.Option(help="What is done to a picture on its way.")
    ] = "none",
    persona: options.PersonaOption = "ada",
    size: Annotated[str, typer.Option(metavar="WxH", help="Size of the pictures.")] = "1280x720",
    fps: Annotated[int, typer.Option(min=1, max=120, help="Pictures a second.")] = 30,
    codec: Annotated[Literal["H264", "VP8"], typer.Option(help="Both ways.")] = "H264",
    seconds: Annotated[
        float, typer.Option(min=1.0, max=3600.0, help="Length of each round.")
    ] = 10.0,
    rounds: Annotated[
        int, typer.Option(min=1, max=20, help="Rounds of each way, taken in turns.")
    ] = 2,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all figures here.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with plots here.")
    ] = None,
) -> None:
    """Measure how long a picture takes from lens to screen, and where the time goes."""
    if camera is not None and way != "auto":
        raise UsageError(
            f"--camera and --way {way} are two different measurements",
            "leave --way out to film the screen, or --camera to stay inside the machine",
        )
    if camera is None:
        webrtc.require()
    from mien_benchmarks.browser import why_no_browser
    from mien_benchmarks.latency_ways import LatencySettings

    if camera is not None:
        camera = camera.removeprefix("camera:")
    width, height = parse_size(size)
    if width % 2 or height % 2:
        raise UsageError(f"{size} has an odd side", "use even ones, like 1280x720")
    settings = LatencySettings(
        size=(width, height),
        fps=fps,
        codec=codec,
        seconds=seconds,
        rounds=rounds,
        work=work,
        persona=find_persona(persona) if work == "mesh" else None,
    )
    if camera is None and way == "auto":
        reason = why_no_browser()
        if reason:
            say_warning(f"measured without a browser: {reason}")
        way = "peer" if reason else "browser"
    result = _measure(way, settings) if camera is None else _film(camera, settings, rounds)
    result |= {
        "settings": {
            "way": way if camera is None else f"camera {camera}",
            "work": work,
            "size": size,
            "fps": fps,
            "codec": codec,
            "seconds": seconds,
            "rounds": rounds,
        },
        "device": device(),
        "versions": versions(),
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else [0.0] * 3,
    }
    _show(result)
    if json is not None:
        _write(json, json_format.dumps(result, indent=2) + "\n")
    if html is not None:
        from mien_benchmarks.latency_report import html_report

        _write(html, html_report(result))


def _film(camera: str, settings: LatencySettings, rounds: int) -> dict[str, Any]:
    """All rounds in one go: the camera is aimed once."""
    from mien_benchmarks.latency_photons import OUTPUT, measure_photons

    result = measure_photons(replace(settings, seconds=settings.seconds * rounds), camera, say)
    for name, figures in result["ways"].items():
        say(f"{name}: {figures['readable']:.1%} of {figures['sent']} frames readable")
    if result["ways"][OUTPUT]["readable"] < _ENOUGH_READABLE:
        say_warning(f"few frames were readable: {result['last_hint']}")
    return result


def _measure(way: str, settings: LatencySettings) -> dict[str, Any]:
    from mien_benchmarks import latency as measuring

    if way == "browser":
        return measuring.measure_browser(settings, say)
    if way == "peer":
        return measuring.measure_peer(settings)
    from mien_benchmarks.latency_camera import measure_camera

    return measure_camera(settings)


def _show(result: dict[str, Any]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("lens to screen, ms")
    filmed = all("readable" in figures for figures in result["ways"].values())
    counted = ("read", "frames") if filmed else ("shown", "drawn")
    for heading in ("p50", "p95", "p99", "max", *counted, "unread"):
        table.add_column(heading, justify="right")
    for name, figures in result["ways"].items():
        times = (f"{figures[key]:.1f}" for key in ("p50", "p95", "p99", "max"))
        counts = (str(figures[key]) for key in ("pictures", "sent", "unread"))
        table.add_row(name, *times, *counts)
    stdout.print(table)
    ways = result["ways"]
    if "stock" in ways and ways["stock"]["p50"] and ways["mien"]["p50"]:
        say(f"mien / stock aiortc: {ways['mien']['p50'] / ways['stock']['p50']:.2f} at the median")
    server = result["server"]
    stages = ", ".join(f"{name} {t['p50']:.1f}" for name, t in server["stages_ms"].items())
    say(
        f"in mien: {server['total_ms']['p50']:.1f} ms p50, {server['total_ms']['p95']:.1f} p95, "
        f"{server['dropped']} dropped of {server['frames']} ({stages})"
    )
    for name, figures in ways.items():
        known = {k: v for k, v in figures["browser_ms"].items() if v is not None}
        if known:
            say(f"{name}, in the browser: " + ", ".join(f"{k} {v} ms" for k, v in known.items()))
    say(f"on {result['device']}, load {result['load_average'][0]:.1f}")


def _write(path: Path, text: str) -> None:
    part = PartialFile(path)
    try:
        part.path.write_text(text, encoding="utf-8")
        part.commit()
    except OSError as error:
        raise write_error(part.target, error) from error
    finally:
        part.discard()
