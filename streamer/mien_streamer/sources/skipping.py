"""A source from a later moment on, as if it began there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from mien.types import Frame
from mien_streamer.sources.source import NS_PER_S, ClosingSource, Source, SourceInfo


class SkippingSource(ClosingSource):
    """Leaves out what lies before ``start_s`` and moves the rest to the start.

    Args:
        source: closed with this one.
        start_s: seconds on the source's clock.
        info: facts to tell in place of the source's; None keeps them.
    """

    def __init__(self, source: Source, start_s: float, info: SourceInfo | None = None) -> None:
        self._source = source
        self._start_ns = round(start_s * NS_PER_S)
        info = info or source.info
        if info.frame_count is not None and info.fps is not None and start_s > 0.0:
            left = max(info.frame_count - int(Fraction(start_s) * info.fps), 1)
            info = replace(info, frame_count=left)
        self._info = info

    @property
    def info(self) -> SourceInfo:
        """As the source's, with fewer frames."""
        return self._info

    def frames(self) -> Iterator[Frame]:
        """Frames that start at or after the moment; the first gets time zero."""
        for frame in self._source.frames():
            if frame.pts_ns >= self._start_ns:
                yield replace(frame, pts_ns=frame.pts_ns - self._start_ns)

    def close(self) -> None:
        """Close the source."""
        self._source.close()
