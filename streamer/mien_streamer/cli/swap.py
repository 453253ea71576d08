"""``mien swap``: every frame of a file, as fast as it goes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mien.errors import UsageError
from mien_streamer.cli import options
from mien_streamer.cli.app import app
from mien_streamer.cli.casting import cast_of, single_persona
from mien_streamer.cli.file_run import Beside, FileRun, swap_file
from mien_streamer.cli.many_files import Job, ManyFiles, jobs_for
from mien_streamer.cli.report import ReportFile, build_report
from mien_streamer.cli.setup import find_persona
from mien_streamer.cli.show_run import Wishes, play_file
from mien_streamer.cli.values import parse_geometry
from mien_streamer.geometry import with_geometry
from mien_streamer.gpu_codecs import card_for
from mien_streamer.sinks import VideoOptions, planes_taken
from mien_streamer.sources import ImageSource, open_source
from mien_streamer.sources.images import IMAGE_SUFFIXES


@app.command(
    rich_help_panel="Faces",
    epilog="Examples: [bold]mien swap clip.mp4 -p ada -o out.mp4[/bold], "
    "[bold]mien swap photo.jpg -p portrait.png -o swapped.png[/bold], "
    "[bold]mien swap frames/ -p ada -o swapped/[/bold], "
    "[bold]mien swap a.mp4 b.mp4 c.mp4 -p ada -o swapped/ --device cuda:all[/bold]",
)
def swap(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="A video, an image or a folder of images; several go into a folder.",
        ),
    ],
    persona: options.PersonasOption = None,
    *,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="OUTPUT", help="What to write: .mp4 .mkv .png .jpg, a folder."
        ),
    ],
    likeness: options.LikenessOption = 1.0,
    tone: options.ToneOption = 0.6,
    eyes: options.EyesOption = options.Part.PERSONA,
    mouth: options.MouthOption = options.Part.PERSONA,
    face: options.FaceOption = None,
    guard: options.GuardOption = options.Guard.OFF,
    performer: options.PerformerOption = None,
    badge: options.BadgeOption = True,
    mirror: options.MirrorOption = False,
    crop: options.CropOption = None,
    size: options.SizeOption = None,
    fps: options.FpsOption = None,
    refine: options.RefineOption = options.Refine.AUTO,
    occlusion: options.OcclusionOption = options.Occlusion.OFF,
    swapper: options.SwapperOption = "auto",
    device: options.DevicesOption = "auto",
    codecs: options.CodecsOption = options.CodecPlace.CPU,
    max_faces: options.MaxFacesOption = 1,
    threads: options.ThreadsOption = 1,
    report: options.ReportOption = None,
) -> int:
    """Swap the performer's face in a file, or in several at once, one on each GPU.

    Audio, timestamps and rotation are kept. The output appears under its name only when it
    is whole; what was there before stays until then.
    """
    settings = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in locals().items()
        if name not in ("report", "sources")
    }
    settings["persona"] = ", ".join(persona or [])
    settings["source"] = sources[0] if len(sources) == 1 else sources
    config = options.pipeline_config(
        likeness=likeness,
        tone=tone,
        eyes=eyes,
        mouth=mouth,
        guard=guard,
        badge=badge,
        max_faces=max_faces,
        threads=threads,
        device=device,
        refine=refine,
        occlusion=occlusion,
    )
    cast = cast_of(persona or [])
    one = single_persona(persona or []) if cast is None else ""
    if cast is not None and len(sources) > 1:
        raise UsageError(
            "several performers are swapped in one file at a time", "run mien swap once a file"
        )
    worn = find_persona(one, face) if cast is None else None

    def swap_one(job: Job, beside: Beside | None) -> FileRun:
        stream = replace(config, stream=Path(job.source).name)
        taken = planes_taken(str(job.output))
        turn = beside.loop if beside is not None else 0
        card = card_for(codecs.value, device, turn) if taken else None
        opened = open_source(job.source, fps=fps, codecs=codecs.value, planes=taken, card=card)
        names = [path.name for path in opened.paths] if isinstance(opened, ImageSource) else []
        try:
            if opened.info.frame_count != 1 and _is_one_picture(job.output):
                raise UsageError(
                    f"{job.source} holds more than one picture, {job.output.name} only one",
                    "write to a video (.mp4) or to a folder",
                )
            geometry = parse_geometry(opened.info, mirror=mirror, crop=crop, size=size, fps=fps)
            opened = with_geometry(opened, geometry)
            video = VideoOptions(codecs=codecs.value, card=card)
            if cast is not None:
                return play_file(opened, cast, job.output, stream, Wishes(swapper=swapper))
            assert worn is not None
            return swap_file(
                opened,
                worn,
                job.output,
                stream,
                swapper_name=swapper,
                performer=performer,
                names=names,
                video=video,
                beside=beside,
            )
        finally:
            opened.close()

    with ReportFile(report) as report_file:
        if len(sources) == 1:
            run = swap_one(Job(sources[0], output), None)
            report_file.write(build_report(run.stats, settings))
            return run.tell(output)
        many = ManyFiles(jobs_for(sources, output), swap_one, _loops(device))
        code = many.run()
        reports = {name: build_report(run.stats, settings) for name, run in many.done.items()}
        report_file.write({"files": reports})
    return code


def _loops(device: str) -> int:
    """One loop a GPU; one on the CPU."""
    if device == "cpu":
        return 1
    from mien.gpu import process_fleet

    return process_fleet().width(device)


def _is_one_picture(output: Path) -> bool:
    return output.suffix.lower() in IMAGE_SUFFIXES and not output.is_dir()
