"""``mien live``: the newest frame, at the source's own pace."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.live import Live
from rich.text import Text

from mien.config import PipelineConfig
from mien.errors import UsageError
from mien.marking import draw_slate
from mien.personas.persona import Persona
from mien.pipeline import Pipeline
from mien.shows import Show, load_show
from mien.types import U8Array
from mien_streamer.cli import options, server_options
from mien_streamer.cli.app import app
from mien_streamer.cli.casting import cast_of, single_persona
from mien_streamer.cli.config_file import load_set_up
from mien_streamer.cli.console import count, say, say_error, say_warning, stderr
from mien_streamer.cli.live_stage import Ports, on_stage
from mien_streamer.cli.report import ReportFile, Tally, build_report
from mien_streamer.cli.setup import find_performer, find_persona, tell_where
from mien_streamer.cli.show_run import config_for
from mien_streamer.cli.stage_door import Door
from mien_streamer.cli.stopping import stop_on_interrupt
from mien_streamer.cli.values import parse_geometry, parse_size
from mien_streamer.cli.webrtc_ends import WEBRTC, WebRtcEnds
from mien_streamer.geometry import with_geometry
from mien_streamer.loop import LiveStatus, RunStats, run_live
from mien_streamer.sinks import Sink, VideoOptions, open_sink, planes_taken
from mien_streamer.sources import Source, open_source

CAMERA_SIZE = (1280, 720)


@app.command(
    rich_help_panel="Faces",
    epilog="Examples: [bold]mien live -p ada --sink window[/bold] (try it), "
    "[bold]mien live -p ada --mirror[/bold] (OBS, calls), "
    "[bold]mien live --config show.toml --guard slate[/bold]",
)
def live(
    persona: options.PersonasOption = None,
    show: options.ShowOption = None,
    source: Annotated[
        str,
        typer.Option(
            metavar="SOURCE", help="camera:0, file:PATH (in real time), webrtc, or a URL."
        ),
    ] = "camera:0",
    sink: Annotated[
        str, typer.Option(metavar="SINK", help="virtualcam, window, webrtc, file:PATH or null.")
    ] = "virtualcam",
    config: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with any of these options; flags win.",
            metavar="FILE",
            is_eager=True,
            callback=load_set_up,
        ),
    ] = None,
    osc: options.OscOption = None,
    osc_out: options.OscOutOption = None,
    midi: options.MidiOption = None,
    midi_out: options.MidiOutOption = None,
    audio_in: options.AudioInOption = None,
    take: options.TakeOption = None,
    likeness: options.LikenessOption = 1.0,
    tone: options.ToneOption = 0.6,
    eyes: options.EyesOption = options.Part.PERSONA,
    mouth: options.MouthOption = options.Part.PERSONA,
    face: options.FaceOption = None,
    guard: options.GuardOption = options.Guard.HOLD,
    hold: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=60.0,
            callback=options.finite,
            help="Longest time the last good picture is held, seconds.",
            rich_help_panel=options.SAFETY,
        ),
    ] = 0.5,
    deadline: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=10_000.0,
            callback=options.finite,
            help="A swap that takes longer counts as failed, ms; 0 = never.",
            rich_help_panel=options.SAFETY,
        ),
    ] = 0.0,
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
    loop: Annotated[
        bool,
        typer.Option(
            "--loop/--no-loop",
            help="Start a file over when it ends.",
            rich_help_panel=options.MACHINE,
        ),
    ] = False,
    duration: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            callback=options.finite,
            help="Stop after so many seconds.",
            rich_help_panel=options.MACHINE,
        ),
    ] = None,
    report: options.ReportOption = None,
    host: server_options.HostOption = server_options.DEFAULT_HOST,
    port: server_options.PortOption = server_options.DEFAULT_PORT,
    token: server_options.TokenOption = None,
    certificate: server_options.CertificateOption = None,
    key: server_options.KeyOption = None,
) -> int:
    """Swap your face live, from a camera to a virtual camera or a window.

    Frames that come faster than they can be drawn are dropped, never queued. Ctrl-C (or Q
    in the window) ends it.
    """
    settings = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in locals().items()
        if name not in ("report", "config", "token", "certificate", "key")
    }
    settings["persona"] = ", ".join(persona or [])
    engine = options.pipeline_config(
        likeness=likeness,
        tone=tone,
        eyes=eyes,
        mouth=mouth,
        guard=guard,
        badge=badge,
        max_faces=max_faces,
        threads=threads,
        device=device,
        hold_s=hold,
        deadline_ms=deadline,
        refine=refine,
        occlusion=occlusion,
        budget_ms=options.frame_budget_ms(fps),
    )
    if source != WEBRTC and "://" not in source and not source.startswith(("camera", "file:")):
        raise UsageError(
            f"{source!r} is no live source",
            "use camera:0, file:PATH, webrtc or a URL with --source",
        )
    if not _may_be_a_sink(sink):
        raise UsageError(
            f"{sink!r} is no sink",
            "use virtualcam, window, file:PATH, webrtc or null with --sink",
        )
    who = _who(persona or [], show, face)
    if isinstance(who, Show):
        engine = config_for(who, engine)
    ports = Ports(
        osc=osc, osc_out=osc_out, midi=midi, midi_out=midi_out, audio_in=audio_in, take=take
    )
    wanted_performer = find_performer(performer) if performer is not None else None
    asked = parse_size(size) if size else CAMERA_SIZE
    with WebRtcEnds(
        source, sink, host=host, port=port, token=token, certificate=certificate, key=key
    ) as ends:
        opened = ends.open_source(asked) or open_source(
            source, size=asked, fps=fps, loop=loop, codecs=codecs.value, planes=planes_taken(sink)
        )
        try:
            geometry = parse_geometry(opened.info, mirror=mirror, crop=crop, size=size, fps=fps)
            opened = with_geometry(opened, geometry)
            with ReportFile(report) as report_file, Pipeline.create(engine, swapper) as pipeline:
                tell_where(pipeline, engine.device)
                if wanted_performer is not None:
                    pipeline.enrol_performer(wanted_performer)
                with on_stage(pipeline, who, engine, ports) as door:
                    stats, tally = _run(
                        pipeline,
                        opened,
                        ends.open_sink() or sink,
                        door,
                        engine,
                        duration,
                        VideoOptions(codecs=codecs.value),
                    )
                report_file.write(build_report(stats, settings))
        finally:
            opened.close()
    return _tell(stats, tally)


def _may_be_a_sink(spec: str) -> bool:
    # A bare word would become a folder of pictures; in a performance it is a slip of the hand.
    path = Path(spec)
    return (
        spec in ("window", "null", WEBRTC)
        or spec.partition(":")[0] in ("virtualcam", "file")
        or bool(spec and (path.suffix or path.parent.name or path.is_dir()))
    )


def _who(personas: list[str], show: Path | None, face: str | None) -> Persona | Show:
    """One persona for whoever is there, or a show, of a file or of ``alice=ada``."""
    if show is None:
        return cast_of(personas) or find_persona(single_persona(personas), face)
    if personas:
        raise UsageError("a show says itself who is worn", "leave out --persona or --show")
    return load_show(show)


def _run(
    pipeline: Pipeline,
    source: Source,
    sink: Sink | str,
    door: Door,
    config: PipelineConfig,
    duration_s: float | None,
    video: VideoOptions,
) -> tuple[RunStats, Tally]:
    tally = Tally(pipeline.process)
    with stop_on_interrupt() as stop:
        opened = (
            _open_sink(sink, source, config, door, stop, video) if isinstance(sink, str) else sink
        )
        timer = threading.Timer(duration_s, stop.set) if duration_s is not None else None
        if timer is not None:
            timer.daemon = True
            timer.start()
        try:
            with _StatusLine() as status:
                stats = run_live(
                    source,
                    tally,
                    opened,
                    stop=stop,
                    on_status=status.show,
                    on_event=lambda event: say_warning(f"the source has {event}"),
                    idle=_idle_picture(source, config),
                )
        finally:
            if timer is not None:
                timer.cancel()
    return stats, tally


def _open_sink(
    spec: str,
    source: Source,
    config: PipelineConfig,
    door: Door,
    stop: threading.Event,
    video: VideoOptions,
) -> Sink:
    on_action = door.listener(stop)
    if not config.mark.metadata:
        return open_sink(spec, source.info, video=video, on_action=on_action, on_key=door.on_key)
    return open_sink(
        spec,
        source.info,
        metadata=door.statement.container_tags(),
        video=video,
        on_action=on_action,
        on_key=door.on_key,
        embed=door.statement.embed,
    )


class _IdlePicture:
    """The card, while a source is silent longer than the last picture may be held."""

    def __init__(self, size: tuple[int, int], hold_s: float) -> None:
        self._size, self._hold_s = size, hold_s

    def __call__(self, silent_s: float) -> U8Array | None:
        return draw_slate(self._size) if silent_s > self._hold_s else None


def _idle_picture(source: Source, config: PipelineConfig) -> _IdlePicture | None:
    if config.guard.mode == "off":
        return None
    size = (source.info.height, source.info.width)
    return _IdlePicture(size, max(config.guard.hold_s, 1.0))


class _StatusLine:
    """One line that is written over once a second; nothing where no one watches."""

    def __init__(self) -> None:
        self._live = Live(console=stderr, auto_refresh=False, transient=True)

    def __enter__(self) -> _StatusLine:
        if stderr.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if stderr.is_terminal:
            self._live.stop()

    def show(self, status: LiveStatus) -> None:
        """Shows the last second."""
        if not stderr.is_terminal:
            return
        line = Text.assemble(
            ("live ", "bold green" if not status.stalled else "bold red"),
            f"{status.seconds:6.0f} s  ",
            (f"{status.fps:5.1f} fps", "cyan"),
            f"  latency {status.p50_ms:.0f}/{status.p95_ms:.0f} ms (p50/p95)",
            f"  dropped {status.dropped}",
            (f"  guarded {status.guarded}", "yellow" if status.guarded else "dim"),
        )
        self._live.update(line, refresh=True)


def _tell(stats: RunStats, tally: Tally) -> int:
    total = stats.total.summary()
    say(
        f"{count(stats.frames, 'frame')} in {stats.seconds:.1f} s ({stats.fps:.1f} fps), "
        f"{stats.dropped} dropped, {stats.guarded} guarded, "
        f"latency {total['p50']:.1f} ms p50, {total['p95']:.1f} ms p95"
    )
    if tally.reasons:
        say_warning(f"{tally.reasons.total()} frames without a swap: {tally.explain()}")
    if stats.error is not None:
        say_error(stats.error.what, stats.error.hint)
        return stats.error.exit_code
    return 0
