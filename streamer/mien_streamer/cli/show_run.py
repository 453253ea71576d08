"""A show over a file: behind ``mien show play``, ``mien demo --show`` and roles in ``swap``."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from mien.config import PipelineConfig, TrackerConfig
from mien.errors import MediaError
from mien.marking.metadata import Statement
from mien.pipeline import Outcome, Pipeline
from mien.shows import Show
from mien.shows.ears import wants_sound
from mien.types import Frame
from mien_streamer.cli.file_run import FileRun, SwappedOrNothing, progress_bar
from mien_streamer.cli.report import Tally
from mien_streamer.cli.setup import find_performer, find_persona
from mien_streamer.cli.stopping import stop_on_interrupt
from mien_streamer.gpu_codecs import Codecs
from mien_streamer.loop import run_offline
from mien_streamer.show_audio import trimmed_track, with_audio
from mien_streamer.show_session import ShowSession
from mien_streamer.show_sound import SoundTrack, hear_file, start_in
from mien_streamer.show_strip import CueStrip
from mien_streamer.sinks import Sink, VideoOptions, open_sink
from mien_streamer.sinks.partial import PartialFile, refuse_same_file, write_error
from mien_streamer.sources import Source
from mien_streamer.sources.skipping import SkippingSource

Watch = Callable[[Frame, Outcome], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How a show is rendered.

    Attributes:
        from_cue: begin at this cue; None at the beginning.
        cue_list: burn the list of cues into a strip at the side.
        decisions: write what was decided for every frame here.
        audio: the sound to carry instead of the source's.
        swapper: name of the swapper.
        codecs: where the video is encoded.
    """

    from_cue: str | None = None
    cue_list: bool = False
    decisions: Path | None = None
    audio: Path | None = None
    swapper: str = "auto"
    codecs: Codecs = "cpu"


def config_for(show: Show, config: PipelineConfig) -> PipelineConfig:
    """The settings, with room for everybody on stage."""
    faces = max(config.tracker.max_faces, len(show.performers))
    tracker = TrackerConfig(max_faces=faces, threads=config.tracker.threads)
    return replace(config, tracker=tracker)


def play_file(
    source: Source,
    show: Show,
    output: Path,
    config: PipelineConfig,
    wishes: Wishes | None = None,
    watch: Watch | None = None,
) -> FileRun:
    """Renders a show over every frame of a source: the same decisions in every run.

    Args:
        source: closed at the end.
        show: what to play.
        output: where to.
        config: the engine's settings.
        wishes: how.
        watch: sees each frame when it is done.

    Raises:
        MediaError: no frame was swapped; nothing was written.
    """
    wishes = wishes or Wishes()
    refuse_same_file(source.info.media, output)
    lines: list[str] = []
    with ExitStack() as cleaning:
        decisions = PartialFile(wishes.decisions) if wishes.decisions is not None else None
        if decisions is not None:
            cleaning.callback(decisions.discard)
        pipeline = cleaning.enter_context(Pipeline.create(config_for(show, config), wishes.swapper))
        heard = _listen(source, show, wishes.audio) if wants_sound(show) else None
        session = ShowSession(
            show,
            pipeline,
            find_persona,
            live=False,
            find_performer=find_performer,
            record=lines.append if decisions is not None else None,
        )
        start_s = 0.0
        if wishes.from_cue is not None:
            start_s = session.player.start_from(wishes.from_cue)
        if heard is not None:
            start_s = start_in(heard, show, start_s) if start_s > 0.0 else 0.0
            session.hear(heard.from_s(start_s) if start_s > 0.0 else heard)
        source = _sounding(source, wishes.audio, start_s, cleaning)
        process = _process(pipeline, session, wishes, watch)
        tally = Tally(process)
        stop = cleaning.enter_context(stop_on_interrupt())
        progress = cleaning.enter_context(progress_bar(source.info.name))
        sink = _open_sink(output, source, session.statement(find_persona), config, wishes.codecs)
        checked = SwappedOrNothing(sink, tally, source.info.name, stop)
        stats = run_offline(source, tally, checked, progress=progress, stop=stop)
        if decisions is not None:
            _write_lines(decisions, lines)
        return FileRun(stats, tally, stopped=stop.is_set())


def _process(
    pipeline: Pipeline, session: ShowSession, wishes: Wishes, watch: Watch | None
) -> Callable[[Frame], Outcome]:
    strip = CueStrip(session.player) if wishes.cue_list else None

    def process(frame: Frame) -> Outcome:
        outcome = pipeline.process(frame)
        if watch is not None:
            watch(frame, outcome)
        return outcome if strip is None else replace(outcome, frame=strip.beside(outcome.frame))

    return process


def _listen(source: Source, show: Show, audio: Path | None) -> SoundTrack:
    info = source.info
    if audio is not None:
        return hear_file(audio, show)
    if not info.has_audio or info.media is None:
        raise MediaError(
            f"{info.name} has no sound, and the show listens for some",
            "name a sound with --audio FILE, or audio under [show]",
        )
    return hear_file(Path(info.media), show, info.origin_s)


def _sounding(source: Source, audio: Path | None, start_s: float, cleaning: ExitStack) -> Source:
    """The source from a show time on, with the sound that belongs to it."""
    info = source.info
    if audio is None and start_s > 0.0 and info.has_audio and info.media is not None:
        audio = Path(info.media)
    if start_s > 0.0 and audio is not None:
        audio = trimmed_track(audio, start_s)
        cleaning.callback(os.unlink, audio)
    if audio is not None:
        info = with_audio(info, audio)
    unchanged = info is source.info and start_s <= 0.0
    return source if unchanged else SkippingSource(source, start_s, info)


def _open_sink(
    output: Path, source: Source, statement: Statement, config: PipelineConfig, codecs: Codecs
) -> Sink:
    video = VideoOptions(codecs=codecs)
    if not config.mark.metadata:
        return open_sink(str(output), source.info, video=video)
    return open_sink(
        str(output),
        source.info,
        metadata=statement.container_tags(),
        video=video,
        embed=statement.embed,
    )


def _write_lines(part: PartialFile, lines: list[str]) -> None:
    try:
        part.path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    except OSError as error:
        raise write_error(part.target, error) from error
    part.commit()
