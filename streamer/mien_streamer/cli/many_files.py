"""Several files at once: one loop a GPU, each with the next file as soon as it is free."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mien.errors import MienError, UsageError
from mien_streamer.cli.console import count, say, say_error
from mien_streamer.cli.file_run import EXIT_STOPPED, Beside, FileRun, make_bar
from mien_streamer.cli.stopping import stop_on_interrupt
from mien_streamer.sinks.partial import write_error
from mien_streamer.sinks.video import CONTAINERS
from mien_streamer.sources.images import IMAGE_SUFFIXES

_HEAR_S = 0.2
"""How long the main thread waits before it hears Ctrl-C."""


@dataclass(frozen=True, slots=True)
class Job:
    """A file, and what is made of it."""

    source: str
    output: Path


Swap = Callable[[Job, Beside], FileRun]


def jobs_for(sources: Sequence[str], folder: Path) -> list[Job]:
    """Where each of several inputs goes: under its own name into a folder, which is made.

    Raises:
        UsageError: the output is a file's name, or two inputs would share one.
        OutputError: the folder cannot be made.
    """
    if folder.suffix.lower() in (*CONTAINERS, *IMAGE_SUFFIXES) or folder.is_file():
        raise UsageError(
            f"{len(sources)} inputs do not go into one file, {folder.name}",
            "name a folder with -o; each file keeps its name there",
        )
    jobs = [Job(source, folder / _name(source)) for source in sources]
    taken: dict[Path, str] = {}
    for job in jobs:
        if job.output in taken:
            raise UsageError(
                f"{taken[job.output]} and {job.source} would both become {job.output.name}",
                "swap them into two folders",
            )
        taken[job.output] = job.source
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error
    return jobs


def _name(source: str) -> str:
    path = Path(source)
    known = path.suffix.lower() in (*CONTAINERS, *IMAGE_SUFFIXES)
    if known or path.is_dir():
        return path.name
    return f"{path.stem or 'video'}.mp4"


class ManyFiles:
    """Runs jobs side by side. ``run`` once, in the main thread.

    Args:
        jobs: in order.
        swap: does one of them.
        loops: how many at once.

    Attributes:
        done: runs by source, of those that were finished.
    """

    def __init__(self, jobs: Sequence[Job], swap: Swap, loops: int) -> None:
        self._waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
        for job in jobs:
            self._waiting.put(job)
        self._swap, self._count = swap, len(jobs)
        self._loops = max(min(loops, len(jobs)), 1)
        self._lock = threading.Lock()
        self._codes: list[int] = []
        self._error: BaseException | None = None
        self.done: dict[str, FileRun] = {}

    def run(self) -> int:
        """Every job; one that fails stops no other.

        Returns:
            0, or the exit code of the first that failed.

        Raises:
            Exception: what no input can be blamed for.
        """
        with stop_on_interrupt() as stop, make_bar() as bar:
            threads = [
                threading.Thread(
                    target=self._loop,
                    args=(Beside(stop, bar, number),),
                    name=f"mien-loop-{number}",
                    daemon=True,
                )
                for number in range(self._loops)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(_HEAR_S)
        if self._error is not None:
            raise self._error
        done = sum(1 for run in self.done.values() if not run.stopped)
        how = f"{self._loops} at a time" if self._loops > 1 else "one after another"
        say(f"{done} of {count(self._count, 'file')}, {how}")
        if stop.is_set():
            self._codes.append(EXIT_STOPPED)
        return next((code for code in self._codes if code), 0)

    def _loop(self, beside: Beside) -> None:
        while not beside.stop.is_set():
            try:
                job = self._waiting.get_nowait()
            except queue.Empty:
                return
            try:
                run = self._swap(job, beside)
            except MienError as error:
                with self._lock:
                    say_error(f"{job.source}: {error.what}", error.hint)
                    self._codes.append(error.exit_code)
            except KeyboardInterrupt:  # a file that was stopped before its first picture
                return
            except BaseException as error:
                self._error = error
                beside.stop.set()
                return
            else:
                with self._lock:
                    self._codes.append(run.tell(job.output))
                    self.done[job.source] = run
