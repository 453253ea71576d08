"""Who is on stage in a live run: one persona and its keys, or a show and its desk."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mien.config import PipelineConfig
from mien.personas.persona import Persona
from mien.pipeline import Pipeline
from mien.shows import Show
from mien.shows.follow import FollowedClock
from mien_streamer.cli.setup import find_performer, find_persona
from mien_streamer.cli.stage_door import Door
from mien_streamer.controls.desk import Desk
from mien_streamer.show_session import ShowSession, following_clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where a show's orders come from and its news go; as typed."""

    osc: str | None
    osc_out: str | None
    midi: str | None
    midi_out: str | None


@contextmanager
def on_stage(
    pipeline: Pipeline, who: Persona | Show, config: PipelineConfig, ports: Ports
) -> Iterator[Door]:
    """Puts a persona or a show on a pipeline; its ports are closed afterwards."""
    if isinstance(who, Persona):
        pipeline.set_persona(who, wait=True)
        yield Door.of_persona(pipeline, who, config)
        return
    follow = FollowedClock(time.monotonic)
    session = ShowSession(
        who,
        pipeline,
        find_persona,
        live=True,
        find_performer=find_performer,
        clock=following_clock(who, follow),
    )
    with Desk(
        session.player,
        osc=ports.osc,
        osc_out=ports.osc_out,
        midi=ports.midi,
        midi_out=ports.midi_out,
        follow=follow,
    ):
        yield Door.of_show(pipeline, session, config)
