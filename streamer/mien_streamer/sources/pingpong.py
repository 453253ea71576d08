"""A clip played forwards and backwards, again and again, without a jump."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

from mien.types import Frame
from mien_streamer.sources.source import NS_PER_S, ClosingSource, Source, SourceInfo

# Frames of the way back that are held at once; the clip is decoded anew for each such piece.
_PIECE = 30


class PingPongSource(ClosingSource):
    """As many frames as asked for, at an even rate.

    Args:
        open_clip: opens the clip; called again for every pass.
        frame_count: frames to deliver.
    """

    def __init__(self, open_clip: Callable[[], Source], frame_count: int) -> None:
        self._open = open_clip
        self._count = frame_count
        self._closed = False
        with open_clip() as clip:
            self._clip_frames = sum(1 for _ in clip.frames())
            self._fps = clip.info.fps or Fraction(30)
            self._info = replace(
                clip.info,
                frame_count=frame_count,
                has_audio=False,
                origin_s=Fraction(0),
                duration_s=Fraction(frame_count) / self._fps,
            )

    @property
    def info(self) -> SourceInfo:
        """That of the clip, longer and silent."""
        return self._info

    def frames(self) -> Iterator[Frame]:
        """Frames with the times of an even rate."""
        for index, frame in enumerate(self._endless()):
            if index >= self._count or self._closed:
                return
            pts_ns = round(index / self._fps * NS_PER_S)
            yield replace(frame, index=index, pts_ns=pts_ns)

    def _endless(self) -> Iterator[Frame]:
        while not self._closed:
            with self._open() as clip:
                yield from clip.frames()
            # The turning points are shown once.
            yield from self._backwards(self._clip_frames - 1, 1)

    def _backwards(self, end: int, start: int) -> Iterator[Frame]:
        while end > start and not self._closed:
            piece: deque[Frame] = deque(maxlen=min(_PIECE, end - start))
            with self._open() as clip:
                for place, frame in enumerate(clip.frames()):
                    if place >= end:
                        break
                    piece.append(frame)
            end -= len(piece)
            yield from reversed(piece)

    def close(self) -> None:
        """End ``frames`` soon."""
        self._closed = True
