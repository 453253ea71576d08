"""Who is on stage in a live run: one persona and its keys, or a show and its desk."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mien.config import PipelineConfig
from mien.personas.persona import Persona
from mien.pipeline import Pipeline
from mien.shows import Event, Show, ShowPlayer
from mien.shows.follow import FollowedClock
from mien.shows.take import take_line
from mien_streamer.cli.console import say_warning
from mien_streamer.cli.setup import find_performer, find_persona
from mien_streamer.cli.show_ports import unheard
from mien_streamer.cli.stage_door import Door
from mien_streamer.controls.desk import Desk
from mien_streamer.show_session import ShowSession, following_clock
from mien_streamer.sinks.partial import PartialFile, write_error


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where a show's orders come from and its news go; as typed, or else as the show says."""

    osc: str | None
    osc_out: str | None
    midi: str | None
    midi_out: str | None
    audio_in: str | None = None
    take: Path | None = None


@contextmanager
def on_stage(
    pipeline: Pipeline, who: Persona | Show, config: PipelineConfig, ports: Ports
) -> Iterator[Door]:
    """Puts a persona or a show on a pipeline; its ports are closed afterwards."""
    if isinstance(who, Persona):
        pipeline.set_persona(who, wait=True)
        yield Door.of_persona(pipeline, who, config)
        return
    osc, midi = ports.osc or who.ports.osc, ports.midi or who.ports.midi
    audio_in = ports.audio_in or who.ports.audio_in
    for sentence in unheard(who, osc=bool(osc), midi=bool(midi), sound=bool(audio_in)):
        say_warning(sentence)
    follow = FollowedClock(time.monotonic)
    session = ShowSession(
        who,
        pipeline,
        find_persona,
        live=True,
        find_performer=find_performer,
        clock=following_clock(who, follow),
    )
    with (
        Desk(
            session.player,
            osc=osc,
            osc_out=ports.osc_out or who.ports.osc_out,
            midi=midi,
            midi_out=ports.midi_out or who.ports.midi_out,
            audio_in=audio_in,
            follow=follow,
        ),
        _taking(session.player, ports.take),
    ):
        yield Door.of_show(pipeline, session, config)


@contextmanager
def _taking(player: ShowPlayer, path: Path | None) -> Iterator[None]:
    """Writes down which cues fire when; the file appears when the run is over."""
    if path is None:
        yield
        return
    part = PartialFile(path)
    lines: list[str] = []

    def hear(event: Event) -> None:
        line = take_line(event, player.started_s)
        if line is not None:
            lines.append(line)

    player.listen(hear)
    try:
        yield
    finally:
        try:
            part.path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        except OSError as error:
            part.discard()
            raise write_error(path, error) from error
        part.commit()
