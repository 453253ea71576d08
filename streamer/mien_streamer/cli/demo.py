"""``mien demo``: the bundled clip, a member of the cast, and three files to look at."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

import typer

from mien.config import OcclusionConfig, PipelineConfig
from mien.errors import OutputError
from mien.marking.metadata import Statement
from mien.personas.persona import Persona
from mien.pipeline import Outcome
from mien.types import Frame
from mien_streamer.cli import options
from mien_streamer.cli.app import app
from mien_streamer.cli.console import say
from mien_streamer.cli.file_run import swap_file
from mien_streamer.cli.report import ReportFile, build_report
from mien_streamer.cli.setup import find_persona
from mien_streamer.cli.show_demo import demo_show
from mien_streamer.cli.strip import Moment, draw_strip, head_view
from mien_streamer.sinks import VideoOptions
from mien_streamer.sinks.images import encode_image
from mien_streamer.sinks.partial import PartialFile, write_error
from mien_streamer.sources import open_source

CLIP = "mien-demo.mp4"
STRIP = "before-after.png"
REPORT = "report.json"
COLUMNS = 5


@app.command(
    rich_help_panel="Faces",
    epilog="Examples: [bold]mien demo[/bold], [bold]mien demo -p ada --out try[/bold]",
)
def demo(
    persona: options.PersonaOption = "ada",
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the results; made if need be.")
    ] = Path("demo-out"),
    show: Annotated[
        bool, typer.Option("--show", help="Play the demo show: six personas on a beat, with sound.")
    ] = False,
    occlusion: options.OcclusionOption = options.Occlusion.OFF,
    swapper: options.SwapperOption = "auto",
    device: options.DevicesOption = "auto",
    codecs: options.CodecsOption = options.CodecPlace.CPU,
) -> int:
    """See it work: swap the bundled clip and show before and after."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise OutputError(f"{out} is a file", "name a folder with --out") from error
    except OSError as error:
        raise write_error(out, error) from error
    config = PipelineConfig(device=device, occlusion=OcclusionConfig(mode=occlusion.value))
    if show:
        return demo_show(out, swapper, config, codecs.value)
    worn = find_persona(persona)
    with as_file(files("mien_streamer").joinpath("demo", "driver.mp4")) as clip:
        source = open_source(str(clip), codecs=codecs.value)
        moments = _Moments(source.info.frame_count or 1)
        with ReportFile(out / REPORT) as report_file:
            run = swap_file(
                source,
                worn,
                out / CLIP,
                config,
                swapper_name=swapper,
                video=VideoOptions(codecs=codecs.value),
                watch=moments.watch,
            )
            settings = {
                "persona": persona,
                "occlusion": occlusion.value,
                "swapper": swapper,
                "out": str(out),
            }
            report_file.write(build_report(run.stats, settings))
    _write_strip(out / STRIP, moments.found, worn)
    code = run.tell(out / CLIP)
    say(f"{out / STRIP}: before and after")
    say(f"{out / REPORT}: counts and times")
    return code


class _Moments:
    """Keeps a few swapped moments, spread over the clip."""

    def __init__(self, frame_count: int) -> None:
        # From the middle of each fifth: the first and last frames are seldom the best.
        step = frame_count / COLUMNS
        self._due = [int(step * (column + 0.5)) for column in range(COLUMNS)]
        self.found: list[Moment] = []

    def watch(self, frame: Frame) -> Callable[[Outcome], None]:
        """Copies a frame that is due; the next swapped one stands in for one that is not."""
        if not self._due or frame.index < self._due[0]:
            return lambda outcome: None
        before = frame.bgr.copy()

        def see(outcome: Outcome) -> None:
            face = next((track for track in outcome.tracks if track.is_performer), None)
            if face is None or not outcome.swapped:
                return
            self._due.pop(0)
            self.found.append(
                Moment(
                    time_s=frame.pts_ns / 1e9,
                    before=head_view(before, face.box),
                    after=head_view(outcome.frame.bgr, face.box),
                )
            )

        return see


def _write_strip(path: Path, moments: list[Moment], worn: Persona) -> None:
    part = PartialFile(path)
    try:
        encoded = encode_image(draw_strip(moments, worn.name), ".png")
        part.path.write_bytes(Statement.about(worn).embed(encoded))
    except OSError as error:
        part.discard()
        raise write_error(path, error) from error
    except OutputError:
        part.discard()
        raise
    part.commit()
