"""``mien studio``: the control room in the browser."""

from __future__ import annotations

import importlib.metadata
import threading
import webbrowser
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import platformdirs
import typer

from mien.errors import UsageError
from mien.personas.persona import Persona
from mien.pipeline import Pipeline
from mien.shows import Show, load_show
from mien.swappers import chosen_swapper
from mien_streamer import webrtc
from mien_streamer.cli import options, server_options
from mien_streamer.cli.app import app
from mien_streamer.cli.console import say
from mien_streamer.cli.live_stage import Ports, on_stage
from mien_streamer.cli.report import cpu_name, usable_cores
from mien_streamer.cli.setup import find_performer, find_persona, open_library
from mien_streamer.cli.show_run import config_for
from mien_streamer.cli.stopping import stop_on_interrupt
from mien_streamer.sources import Source, open_source

if TYPE_CHECKING:
    from mien_streamer.studio.stage_config import SourceChoice, StageConfig
    from mien_streamer.studio.studio import Studio
    from mien_streamer.webrtc.inlet import Inlet

_CAMERA_SIZE = (1280, 720)


@app.command(
    rich_help_panel="Faces",
    epilog="Examples: [bold]mien studio[/bold] (this machine), "
    "[bold]mien studio --host 0.0.0.0 --certificate c.pem --key k.pem[/bold] (a stage network)",
)
def studio(
    persona: Annotated[
        str, typer.Option("--persona", "-p", metavar="PERSONA", help="Who is on stage at first.")
    ] = "ada",
    show: options.ShowOption = None,
    osc: options.OscOption = None,
    osc_out: options.OscOutOption = None,
    midi: options.MidiOption = None,
    midi_out: options.MidiOutOption = None,
    audio_in: options.AudioInOption = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE",
            help="A source to offer: webrtc, demo, camera:0, file:PATH or a URL; repeatable, the "
            "first is used. Without it: webrtc, the demo clip and every camera found.",
        ),
    ] = None,
    recordings: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where recordings go.")
    ] = None,
    likeness: options.LikenessOption = 1.0,
    tone: options.ToneOption = 0.5,
    eyes: options.EyesOption = options.Part.PERSONA,
    mouth: options.MouthOption = options.Part.PERSONA,
    guard: options.GuardOption = options.Guard.HOLD,
    performer: options.PerformerOption = None,
    badge: options.BadgeOption = True,
    refine: options.RefineOption = options.Refine.AUTO,
    occlusion: options.OcclusionOption = options.Occlusion.OFF,
    swapper: options.SwapperOption = "auto",
    device: options.DevicesOption = "auto",
    max_faces: options.MaxFacesOption = 1,
    threads: options.ThreadsOption = 1,
    host: server_options.HostOption = server_options.DEFAULT_HOST,
    port: server_options.PortOption = server_options.DEFAULT_PORT,
    token: server_options.TokenOption = None,
    origin: server_options.OriginOption = None,
    certificate: server_options.CertificateOption = None,
    key: server_options.KeyOption = None,
    ice_server: server_options.IceServerOption = None,
    viewers: server_options.ViewersOption = 16,
    stages: Annotated[
        int,
        typer.Option(
            min=1,
            max=16,
            help="How many performers: a control room each, at one port after another. Each is "
            "drawn by the GPU with the least load.",
        ),
    ] = 1,
    open_browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in the browser.")
    ] = False,
) -> None:
    """Open the control room: perform from the browser or OBS, switch faces, watch the latency.

    Only this machine can reach it unless --host says otherwise. Ctrl-C ends it.
    """
    if show is not None and stages > 1:
        raise UsageError("a show is played on one stage", "leave out --stages or --show")
    webrtc.require()
    from mien_streamer.studio.gallery import Gallery
    from mien_streamer.studio.show_part import hook_show
    from mien_streamer.studio.studio import Studio
    from mien_streamer.webrtc.peers import PeerLimits
    from mien_streamer.webrtc.server import ServerConfig

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
        budget_ms=options.frame_budget_ms(None),
    )
    server = ServerConfig(
        host=host,
        port=port,
        token=server_options.choose_token(host, token, encrypted=certificate is not None),
        origins=server_options.check_origins(origin),
        certificate=certificate,
        key=key,
        limits=PeerLimits(viewers=viewers, ice_servers=tuple(ice_server or ())),
    )
    who = load_show(show) if show is not None else find_persona(persona)
    if isinstance(who, Show):
        config = config_for(who, config)
    ports = Ports(osc=osc, osc_out=osc_out, midi=midi, midi_out=midi_out, audio_in=audio_in)
    folder = recordings or Path(platformdirs.user_videos_dir()) / "mien"
    wanted_performer = find_performer(performer) if performer is not None else None
    with ExitStack() as opened:
        rooms = []
        for number in range(stages):
            stream = replace(config, stream=f"stage {number + 1}")
            pipeline = opened.enter_context(Pipeline.create(stream, swapper))
            if wanted_performer is not None:
                pipeline.enrol_performer(wanted_performer)
            tapes = folder / f"stage-{number + 1}" if stages > 1 else folder
            made = partial(
                _set_up, pipeline, source, tapes, guard.value, likeness, chosen_swapper(swapper)
            )
            at = replace(server, port=server.port + number if server.port else 0)
            room = opened.enter_context(Studio(at, pipeline, Gallery(open_library()), made))
            door = opened.enter_context(on_stage(pipeline, who, config, ports))
            if isinstance(who, Persona):
                room.stage.wear_this(who)
            if door.player is not None:
                hook_show(room, door.player, set_bare=pipeline.set_bare, statement=door.statement)
            for line in pipeline.where:
                say(f"{stream.stream}: {line}" if stages > 1 else line)
            say(f"the studio is open: {room.url}")
            say(f"OBS by WHIP: {room.server.url}/whip, Browser Source: {_player(room.url)}")
            rooms.append(room)
        if open_browser:
            webbrowser.open(rooms[0].url)
        with stop_on_interrupt() as stop:
            _run_all(rooms, stop)


def _run_all(rooms: Sequence[Studio], stop: threading.Event) -> None:
    """One loop a stage, the first in this thread; all end together, whatever ends one of them."""

    def run(room: Studio) -> None:
        try:
            room.run(stop)
        finally:
            stop.set()

    others = [
        threading.Thread(target=run, args=(room,), name="mien-stage", daemon=True)
        for room in rooms[1:]
    ]
    for thread in others:
        thread.start()
    run(rooms[0])
    for thread in others:
        thread.join()


def _set_up(
    pipeline: Pipeline,
    sources: list[str] | None,
    recordings: Path,
    guard: str,
    likeness: float,
    swapper: str,
    inlet: Inlet,
) -> StageConfig:
    """The stage's settings, with what runs where."""
    made = _stage_config(inlet, sources, recordings, guard, likeness, swapper)
    made.streams = _streams
    where = "; ".join(pipeline.where)
    return replace(made, reason=where) if where else made


def _streams() -> list[dict[str, Any]]:
    from mien.gpu import process_fleet

    return [asdict(one) for one in process_fleet().streams()]


def _player(url: str) -> str:
    base, _, fragment = url.partition("#")
    return f"{base}player" + (f"#{fragment}" if fragment else "")


def _stage_config(
    inlet: Inlet,
    sources: list[str] | None,
    recordings: Path,
    guard: str,
    likeness: float,
    swapper: str,
) -> StageConfig:
    from mien_streamer.studio.stage_config import StageConfig

    runtime = importlib.metadata.version("onnxruntime")
    reason = "the mesh swapper and its networks need no GPU" if swapper == "mesh" else ""
    return StageConfig(
        sources=tuple(_choices(inlet, sources)),
        find=lambda name: open_library().resolve(name),
        recordings=recordings,
        guard=guard,
        likeness=likeness,
        device=f"{cpu_name()}, {usable_cores()} cores",
        runner=f"{swapper} swapper, ONNX Runtime {runtime} on the processor",
        reason=reason,
    )


def _choices(inlet: Inlet, asked: list[str] | None) -> list[SourceChoice]:
    if asked is None:
        from mien_streamer.sources.camera import find_cameras

        cameras = [f"camera:{camera.index}" for camera in find_cameras()]
        asked = ["webrtc", *cameras, "demo"]
    return [_choice(inlet, spec) for spec in dict.fromkeys(asked)]


def _choice(inlet: Inlet, spec: str) -> SourceChoice:
    from mien_streamer.studio.stage_config import SourceChoice
    from mien_streamer.webrtc.ends import WebRtcSource

    open_it: Callable[[], Source]
    if spec == "webrtc":
        label, open_it = "this page's camera, or OBS by WHIP", partial(WebRtcSource, inlet)
    elif spec == "demo":
        label, open_it = "demo clip", _open_demo
    elif spec.startswith(("camera", "file:")) or "://" in spec:
        label = Path(spec.removeprefix("file:")).name if spec.startswith("file:") else spec
        open_it = partial(open_source, spec, size=_CAMERA_SIZE, loop=spec.startswith("file:"))
    else:
        raise UsageError(
            f"{spec!r} is no source for the studio", "use webrtc, demo, camera:0, file:PATH, a URL"
        )
    return SourceChoice(key=spec if "/" not in spec else label, label=label, open=open_it)


def _open_demo() -> Source:
    with as_file(files("mien_streamer").joinpath("demo", "driver.mp4")) as clip:
        return open_source(f"file:{clip}", loop=True)
