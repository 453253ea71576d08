"""``mien show``: check a show file, render a show, teach it its pads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from mien.errors import MediaError, ShowError, UsageError
from mien.shows import Show, load_show, read_show
from mien.shows.take import show_from_take
from mien_streamer.cli import options
from mien_streamer.cli.app import show_app
from mien_streamer.cli.console import count, say, say_json, stdout
from mien_streamer.cli.report import ReportFile, build_report
from mien_streamer.cli.setup import find_persona
from mien_streamer.cli.show_ports import port_problems
from mien_streamer.cli.show_run import Wishes, play_file
from mien_streamer.sources import open_source

EXIT_BAD_SHOW = 3

ShowArgument = Annotated[Path, typer.Argument(metavar="SHOW", help="A show file (.toml).")]


@show_app.command(
    epilog="Example: [bold]mien show check examples/heart.toml[/bold]",
)
def check(
    show: ShowArgument,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> int:
    """Say, by line, what is wrong with a show file and how to mend it."""
    parsed, problems = read_show(show, find_persona)
    if parsed is not None:
        problems = sorted([*problems, *port_problems(show, parsed)])
    if as_json:
        say_json(
            {
                "playable": parsed is not None,
                "problems": [
                    {"line": p.line, "what": p.what, "fix": p.fix, "fatal": p.fatal}
                    for p in problems
                ],
            }
        )
        return 0 if parsed is not None else EXIT_BAD_SHOW
    for problem in problems:
        kind = ("error", "bold red") if problem.fatal else ("note", "bold yellow")
        line = Text.assemble(f"{show}:{problem.line}: ", kind, f": {problem.what}")
        stdout.print(line, soft_wrap=True)
        stdout.print(Text.assemble(("  try: ", "bold"), problem.fix), soft_wrap=True)
    if parsed is None:
        return EXIT_BAD_SHOW
    say(f"{show}: {_summary(parsed)}")
    return 0


def _lines_of(take: Path) -> list[str]:
    try:
        return take.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ShowError(f"the take {take} cannot be read: {error}", "check the path") from error


def _summary(show: Show) -> str:
    planned = show.planned_s()
    waiting = [cue for cue in show.cues if cue.name not in planned]
    last = max(planned.values(), default=0.0)
    people = count(len(show.personas), "persona")
    parts = [f"{show.name!r} is good: {count(len(show.cues), 'cue')}, {people}"]
    if planned:
        parts.append(f"the last by the clock at {last:.1f} s")
    if waiting:
        parts.append(f"{len(waiting)} by trigger or GO alone")
    return ", ".join(parts)


@show_app.command(
    epilog="Example: [bold]mien show play heart.toml --source clip.mp4 -o out.mp4 "
    "--cue-list[/bold]. On stage: [bold]mien live --show heart.toml[/bold]",
)
def play(
    show: ShowArgument,
    source: Annotated[
        str, typer.Option(metavar="CLIP", help="A video, an image folder, or file:PATH.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUTPUT", help="What to write: .mp4 .mkv.")
    ],
    from_cue: Annotated[
        str | None, typer.Option("--from", metavar="CUE", help="Begin at this cue.")
    ] = None,
    cue_list: Annotated[
        bool, typer.Option("--cue-list", help="Burn the list of cues into a strip at the side.")
    ] = False,
    decisions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write what was decided for each frame, to compare."),
    ] = None,
    take: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Play the cues as in this live take, and no others."),
    ] = None,
    audio: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Sound in place of the show's or the clip's."),
    ] = None,
    tone: options.ToneOption = 0.5,
    guard: options.GuardOption = options.Guard.OFF,
    badge: options.BadgeOption = True,
    refine: options.RefineOption = options.Refine.AUTO,
    occlusion: options.OcclusionOption = options.Occlusion.OFF,
    swapper: options.SwapperOption = "auto",
    device: options.DevicesOption = "cpu",
    codecs: options.CodecsOption = options.CodecPlace.CPU,
    max_faces: options.MaxFacesOption = 1,
    threads: options.ThreadsOption = 1,
    report: options.ReportOption = None,
) -> int:
    """Rehearse: render a show over a clip, frame-exact, the same in every run."""
    settings: dict[str, Any] = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in locals().items()
        if name != "report"
    }
    wanted = load_show(show)
    if take is not None:
        wanted = show_from_take(wanted, _lines_of(take))
    if from_cue is not None and wanted.find(from_cue) is None:
        names = ", ".join(cue.name for cue in wanted.cues)
        raise UsageError(f"the show has no cue {from_cue!r}", f"one of: {names}")
    if audio is None and wanted.audio is not None:
        audio = Path(wanted.audio)
    if audio is not None and not audio.is_file():
        raise MediaError(f"no such audio file: {audio}", "check the path")
    config = options.pipeline_config(
        likeness=1.0,
        tone=tone,
        guard=guard,
        badge=badge,
        max_faces=max_faces,
        threads=threads,
        device=device,
        refine=refine,
        occlusion=occlusion,
    )
    opened = open_source(source.removeprefix("file:"), codecs=codecs.value)
    try:
        with ReportFile(report) as report_file:
            wishes = Wishes(
                from_cue=from_cue,
                cue_list=cue_list,
                decisions=decisions,
                audio=audio,
                swapper=swapper,
                codecs=codecs.value,
            )
            run = play_file(opened, wanted, output, config, wishes)
            report_file.write(build_report(run.stats, settings))
    finally:
        opened.close()
    return run.tell(output)


@show_app.command(
    epilog="Example: [bold]mien show learn heart.toml kai --midi pad[/bold], then press the pad.",
)
def learn(
    show: ShowArgument,
    cue: Annotated[str, typer.Argument(metavar="CUE", help="The cue to be fired.")],
    osc: options.OscOption = None,
    midi: options.MidiOption = None,
    wait: Annotated[
        float,
        typer.Option(min=0.1, max=3600.0, callback=options.finite, help="Patience, seconds."),
    ] = 30.0,
) -> int:
    """Press a pad, or send an OSC message: it is written into the show as the cue's trigger."""
    from mien_streamer.controls.learn import hear, learn_into, with_trigger

    if (osc is None) == (midi is None):
        raise UsageError("nothing to learn from, or two at once", "give either --osc or --midi")
    load_show(show)
    # Asked before the pad is pressed, so that a wrong name is heard of at once.
    with_trigger(show.read_text(encoding="utf-8"), cue, "key", "f12")
    say(f"waiting {wait:.0f} s for the trigger of {cue!r}")
    kind, address = hear(osc=osc, midi=midi, wait_s=wait)
    learn_into(show, cue, kind, address)
    say(f'{show}: {cue!r} is now fired by {kind} = "{address}"')
    return 0
