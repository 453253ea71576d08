"""The command line: ``mien``.

Nothing heavy is imported before ``main`` runs: until then Ctrl-C would show a traceback.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

# The matrices of a frame are tiny: threads that wait for each other over them took 4 ms of
# processor time a frame (13.5 against 9.4 for the whole loop at 720p), and more of the clock
# on a busy machine. NumPy reads this once, when it is first imported.
for _name in ("OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ.setdefault(_name, "1")

EXIT_INTERRUPTED = 130
"""What a shell makes of Ctrl-C: 128 and the number of the signal."""


def main() -> None:
    """Entry point of the ``mien`` command."""
    with _leaving_at_once(), suppress(Exception):
        # Takes half a second and more. What is wrong here, `run` meets again and explains.
        importlib.import_module("mien_streamer.cli.app")
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Runs ``mien`` with these arguments; see :func:`mien_streamer.cli.running.run`."""
    from mien_streamer.cli import running

    return running.run(arguments)


@contextmanager
def _leaving_at_once() -> Iterator[None]:
    """Ctrl-C ends the process where it stands, with a line break and nothing else.

    No exception is raised: native modules that are being loaded turn one into errors of
    their own. A signal that the parent has silenced stays so.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _leave(number: int, frame: FrameType | None) -> None:
    del number, frame
    os.write(2, b"\n")
    os._exit(EXIT_INTERRUPTED)


__all__ = ["EXIT_INTERRUPTED", "main", "run"]
