"""One file in, one file out: the work behind ``mien swap`` and ``mien demo``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from mien.config import PipelineConfig
from mien.errors import MediaError
from mien.marking.metadata import Statement
from mien.personas.persona import Persona
from mien.pipeline import Outcome, Pipeline
from mien.types import Frame
from mien_streamer.cli.console import count, say, say_error, say_warning, stderr
from mien_streamer.cli.report import Tally
from mien_streamer.cli.setup import find_performer, tell_where
from mien_streamer.cli.stopping import stop_on_interrupt
from mien_streamer.loop import run_offline
from mien_streamer.run_stats import RunStats
from mien_streamer.sinks import Sink, VideoOptions, open_sink
from mien_streamer.sources import Source

EXIT_STOPPED = 1


class FileRun:
    """What became of a file, for the last lines on the screen."""

    def __init__(self, stats: RunStats, tally: Tally, *, stopped: bool) -> None:
        self.stats, self.tally, self.stopped = stats, tally, stopped

    def tell(self, output: Path) -> int:
        """Says it in a line or two; returns the exit code."""
        stats = self.stats
        say(
            f"{output}: {count(stats.frames, 'frame')}, {self.tally.swapped_frames} swapped, "
            f"{stats.seconds:.1f} s ({stats.fps:.1f} fps)"
        )
        if self.tally.reasons:
            unswapped = self.tally.reasons.total()
            if stats.guarded:
                how = f"{'was' if unswapped == 1 else 'were'} covered by the guard"
            else:
                how = f"show{'s' if unswapped == 1 else ''} the face as it came"
            say_warning(f"{count(unswapped, 'frame')} {how}: {self.tally.explain()}")
        if stats.error is not None:
            say_error(stats.error.what, f"{output} holds all that could be read")
            return stats.error.exit_code
        if self.stopped:
            say_warning(f"stopped early; {output} is whole up to there")
            return EXIT_STOPPED
        return 0


def swap_file(
    source: Source,
    persona: Persona,
    output: Path,
    config: PipelineConfig,
    *,
    swapper_name: str = "auto",
    performer: str | None = None,
    names: Sequence[str] = (),
    video: VideoOptions | None = None,
    watch: Callable[[Frame], Callable[[Outcome], None]] | None = None,
    beside: Beside | None = None,
) -> FileRun:
    """Swaps every frame of a source into a file, with a progress bar.

    Args:
        source: closed at the end.
        persona: who is worn.
        output: where to.
        config: the engine's settings.
        swapper_name: which swapper.
        performer: the only person to swap, or None.
        names: file names for a folder of images.
        video: how a video is encoded.
        watch: sees each frame before it is painted on; what it returns sees the outcome.
        beside: what files that are swapped at the same time share.

    Raises:
        MediaError: no frame was swapped; nothing was written.
    """
    stopping = stop_on_interrupt() if beside is None else nullcontext(beside.stop)
    bar = beside.bar if beside is not None else None
    with Pipeline.create(config, swapper_name) as pipeline:
        tell_where(pipeline, config.device)
        if performer is not None:
            pipeline.enrol_performer(find_performer(performer))
        pipeline.set_persona(persona, wait=True)
        tally = Tally(_watched(pipeline, watch))
        with stopping as stop, progress_bar(source.info.name, bar) as progress:
            sink = _open_sink(output, source, persona, config, names, video)
            checked = SwappedOrNothing(sink, tally, source.info.name, stop)
            stats = run_offline(source, tally, checked, progress=progress, stop=stop)
        return FileRun(stats, tally, stopped=stop.is_set())


def _watched(
    pipeline: Pipeline, watch: Callable[[Frame], Callable[[Outcome], None]] | None
) -> Callable[[Frame], Outcome]:
    if watch is None:
        return pipeline.process

    def process(frame: Frame) -> Outcome:
        see = watch(frame)
        outcome = pipeline.process(frame)
        see(outcome)
        return outcome

    return process


def _open_sink(
    output: Path,
    source: Source,
    persona: Persona,
    config: PipelineConfig,
    names: Sequence[str],
    video: VideoOptions | None,
) -> Sink:
    if not config.mark.metadata:
        return open_sink(str(output), source.info, video=video, names=names)
    statement = Statement.about(persona)
    return open_sink(
        str(output),
        source.info,
        metadata=statement.container_tags(),
        video=video,
        names=names,
        embed=statement.embed,
    )


class SwappedOrNothing:
    """A sink that is finished only if a face was swapped: else the output would be bare."""

    def __init__(self, sink: Sink, tally: Tally, name: str, stop: threading.Event) -> None:
        self._sink, self._tally, self._name, self._stop = sink, tally, name, stop

    def write(self, frame: Frame) -> None:
        self._sink.write(frame)

    def close(self) -> None:
        seen = self._tally.swapped_frames or self._tally.reasons
        if self._tally.swapped_frames or not (seen or self._stop.is_set()):
            self._sink.close()
            return
        self._sink.abort()
        if not seen:
            raise KeyboardInterrupt
        raise MediaError(
            f"no face was swapped in {self._name} ({self._tally.explain()}), "
            "so nothing was written",
            "use a clip that shows the performer's face, larger or better lit",
        )

    def abort(self) -> None:
        self._sink.abort()


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:5.1f} fps", style="cyan")


@dataclass(frozen=True, slots=True)
class Beside:
    """What files that are swapped at the same time share.

    Attributes:
        stop: ends all of them.
        bar: has a line for each.
        loop: number of the loop that swaps this one, from 0.
    """

    stop: threading.Event
    bar: Progress
    loop: int = 0


def make_bar() -> Progress:
    """A bar with ETA and rate on terminals, nothing elsewhere."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeRemainingColumn(),
        console=stderr,
        transient=True,
        disable=not stderr.is_terminal,
        speed_estimate_period=5.0,
    )


class progress_bar:
    """A file's line in a bar: one of its own, or one that is shared with other files."""

    def __init__(self, name: str, bar: Progress | None = None) -> None:
        self._shared = bar is not None
        self._bar = bar or make_bar()
        self._task = self._bar.add_task(Path(name).name[:40], total=None)
        self._shown_s = 0.0

    def __enter__(self) -> Callable[[int, int | None], None]:
        if not self._shared:
            self._bar.start()
        return self._show

    def __exit__(self, *exception: Any) -> None:
        if self._shared:
            self._bar.remove_task(self._task)
        else:
            self._bar.stop()

    def _show(self, done: int, expected: int | None) -> None:
        now_s = time.monotonic()
        if now_s - self._shown_s > 0.1 or done == expected:
            self._shown_s = now_s
            total = max(expected, done) if expected else None
            self._bar.update(self._task, completed=done, total=total)
