"""What every sink offers: it takes frames, then is finished or thrown away."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from mien.types import Frame


class Sink(Protocol):
    """Somewhere frames go. One thread at a time may call it.

    A sink does not keep the frame's pixels after ``write`` returns.
    """

    def write(self, frame: Frame) -> None:
        """Take one frame; frames come in order of their timestamps."""

    def close(self) -> None:
        """Finish: after it the output is complete. Safe to call twice."""

    def abort(self) -> None:
        """Give up: nothing new is left under the final name. Safe after ``close``."""


@runtime_checkable
class Interactive(Protocol):
    """A sink that must look at its events even while no frame comes."""

    def poll(self) -> None:
        """Look at the events; called about ten times a second."""


class ClosingSink:
    """``with`` support for sinks: an exception aborts, else the output is finished."""

    def close(self) -> None:
        """Finish the output."""

    def abort(self) -> None:
        """Throw the output away."""
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


class NullSink(ClosingSink):
    """Takes every frame and keeps none; counts them."""

    def __init__(self) -> None:
        self.frames = 0

    def write(self, frame: Frame) -> None:
        """Count the frame."""
        self.frames += 1
