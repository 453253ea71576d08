"""What every source offers: facts about the media, then frames in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import Protocol, Self

from mien.closing import Closing
from mien.types import Frame

NS_PER_S = 1_000_000_000

LIVE_TIME_BASE = Fraction(1, 90_000)
"""Clock of sources that have none of their own: fine enough for any rate, and it
keeps a day of frames inside 32 bits of MP4 durations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceInfo:
    """Facts about a source that sinks and progress bars need.

    Attributes:
        name: what to call the source in messages.
        width: pixels of a frame as it is delivered (rotation applied).
        height: lines of a frame as it is delivered.
        fps: average rate; None where nobody knows.
        frame_count: frames to come; None for live and for formats that do not say.
        is_live: frames arrive at their own pace and cannot be asked for again.
        time_base: seconds per tick of the source's own clock. Ticks are far longer
            than a nanosecond, so ``ticks_from_ns(frame.pts_ns)`` gives back the
            exact timestamp that the file held.
        origin_s: what was subtracted from the source's own clock to make it start
            near zero; non-zero only for formats whose clock starts anywhere.
        duration_s: length of the video stream on its own clock; None if unknown.
        sample_aspect: width of a pixel over its height, as delivered.
        rotation_deg: counter-clockwise rotation that was already applied.
        has_audio: the media carries at least one audio stream.
        media: path or URL that a sink can open a second time for the audio.
    """

    name: str
    width: int
    height: int
    fps: Fraction | None = None
    frame_count: int | None = None
    is_live: bool = False
    time_base: Fraction = LIVE_TIME_BASE
    origin_s: Fraction = Fraction(0)
    duration_s: Fraction | None = None
    sample_aspect: Fraction = Fraction(1)
    rotation_deg: int = 0
    has_audio: bool = False
    media: str | None = None

    def ticks_from_ns(self, pts_ns: int) -> int:
        """The timestamp ``pts_ns`` in whole ticks of :attr:`time_base`."""
        return round(Fraction(pts_ns, NS_PER_S) / self.time_base)


class Source(Protocol):
    """Somewhere frames come from.

    ``frames`` runs in one thread; ``close`` may be called from another one and makes
    ``frames`` end soon.
    """

    @property
    def info(self) -> SourceInfo:
        """Facts about the media, known before the first frame."""

    def frames(self) -> Iterator[Frame]:
        """Frames in order of presentation; a second call starts again where possible."""

    def close(self) -> None:
        """Release the device or file. Safe to call twice."""

    def __enter__(self) -> Self:
        """The source itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the source."""


class ClosingSource(Closing):
    """``with`` support for sources."""


def ns_from_ticks(ticks: int, time_base: Fraction, origin_s: Fraction = Fraction(0)) -> int:
    """Nanoseconds from the source's start for a timestamp in ticks."""
    return round((ticks * time_base - origin_s) * NS_PER_S)
