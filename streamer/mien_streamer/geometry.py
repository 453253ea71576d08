"""Mirror, crop, size and rate, applied once between the source and everything else.

It comes before the faces are touched: cutting and shrinking first saves work, and the
badge, drawn last, is never mirrored or cut off.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import cv2
import numpy as np

from mien.errors import UsageError
from mien.types import Frame, U8Array
from mien_streamer.sources.source import (
    NS_PER_S,
    ClosingSource,
    Source,
    SourceInfo,
    ns_from_ticks,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """How pictures are cut and turned.

    Attributes:
        mirror: swap left and right, as in a mirror.
        crop: (left, top, width, height) to keep, in pixels of the source.
        size: (width, height) to scale to; one of them may be 0 to keep the shape.
        fps: frames per second; None keeps every frame and its own time.
    """

    mirror: bool = False
    crop: tuple[int, int, int, int] | None = None
    size: tuple[int, int] | None = None
    fps: Fraction | None = None

    def __post_init__(self) -> None:
        if self.crop is not None and (min(self.crop[:2]) < 0 or min(self.crop[2:]) < 1):
            raise UsageError(f"crop {self.crop} is empty or negative", "use LEFT,TOP,WIDTH,HEIGHT")
        if self.size is not None and (min(self.size) < 0 or max(self.size) < 1):
            raise UsageError(f"size {self.size} is empty or negative", "use WIDTHxHEIGHT")
        if self.fps is not None and self.fps <= 0:
            raise UsageError(f"rate {self.fps} is not positive", "use a rate such as 30")

    @property
    def is_off(self) -> bool:
        """Nothing is to be done."""
        return self == Geometry()

    def output_size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of the result.

        Raises:
            UsageError: the crop does not lie inside the picture.
        """
        if self.crop is not None:
            left, top, crop_width, crop_height = self.crop
            if left + crop_width > width or top + crop_height > height:
                raise UsageError(
                    f"crop {crop_width}x{crop_height} at {left},{top} does not fit into "
                    f"{width}x{height}",
                    "choose a smaller crop",
                )
            width, height = crop_width, crop_height
        if self.size is None:
            return width, height
        wanted_width, wanted_height = self.size
        return (
            wanted_width or max(1, round(width * wanted_height / height)),
            wanted_height or max(1, round(height * wanted_width / width)),
        )

    def apply(self, frame_bgr: U8Array) -> U8Array:
        """The picture cut, scaled and mirrored, contiguous; the same array if unchanged."""
        height, width = frame_bgr.shape[:2]
        size = self.output_size(width, height)
        picture = frame_bgr
        if self.crop is not None:
            left, top, crop_width, crop_height = self.crop
            picture = picture[top : top + crop_height, left : left + crop_width]
        if (picture.shape[1], picture.shape[0]) != size:
            smaller = size[0] < picture.shape[1]
            method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
            picture = np.asarray(cv2.resize(picture, size, interpolation=method), np.uint8)
        if self.mirror:
            picture = np.asarray(cv2.flip(picture, 1), np.uint8)
        return np.ascontiguousarray(picture)


def with_geometry(source: Source, geometry: Geometry) -> Source:
    """The source with its pictures changed; the source itself when nothing is to be done."""
    return source if geometry.is_off else GeometrySource(source, geometry)


class GeometrySource(ClosingSource):
    """Another source, cut, scaled, mirrored and brought to a rate."""

    def __init__(self, source: Source, geometry: Geometry) -> None:
        self._source = source
        self._geometry = geometry
        self.info = _changed(source.info, geometry)

    def frames(self) -> Iterator[Frame]:
        """The frames, changed."""
        fps = self._geometry.fps
        frames = self._source.frames()
        if fps is not None:
            frames = thinned(frames, fps) if self.info.is_live else at_rate(frames, fps)
        for frame in frames:
            yield replace(frame, bgr=self._geometry.apply(frame.bgr))

    def close(self) -> None:
        """Close the inner source."""
        self._source.close()


def _changed(info: SourceInfo, geometry: Geometry) -> SourceInfo:
    width, height = geometry.output_size(info.width, info.height)
    info = replace(info, width=width, height=height)
    if geometry.size is not None and all(geometry.size):
        info = replace(info, sample_aspect=Fraction(1))  # both sides were chosen
    if geometry.fps is None:
        return info
    if info.is_live:
        return replace(info, fps=min(geometry.fps, info.fps or geometry.fps))
    count = None if info.duration_s is None else round(info.duration_s * geometry.fps)
    return replace(info, fps=geometry.fps, time_base=1 / geometry.fps, frame_count=count)


def at_rate(frames: Iterator[Frame], fps: Fraction) -> Iterator[Frame]:
    """Frames on an even grid: each tick shows the newest frame of its time.

    Frames are repeated or left out as needed; a repeated one carries its own copy of
    the pixels, because stages paint into them.
    """
    tick: int | None = None
    index = 0
    held: Frame | None = None
    for frame in frames:
        here = round(Fraction(frame.pts_ns, NS_PER_S) * fps)
        if held is not None and tick is not None:
            while tick < here:
                last = tick == here - 1
                yield _on_grid(held if last else _copy(held), index, tick, fps)
                tick, index = tick + 1, index + 1
        else:
            tick = here
        held = frame
    if held is not None and tick is not None:
        yield _on_grid(held, index, tick, fps)


def _on_grid(frame: Frame, index: int, tick: int, fps: Fraction) -> Frame:
    pts_ns = ns_from_ticks(tick, 1 / fps)
    return replace(frame, index=index, pts_ns=pts_ns)


def _copy(frame: Frame) -> Frame:
    return replace(frame, bgr=frame.bgr.copy())


def thinned(frames: Iterator[Frame], fps: Fraction) -> Iterator[Frame]:
    """At most ``fps`` frames a second, chosen as they come, with their own times."""
    due_ns: Fraction | None = None
    step_ns = NS_PER_S / fps
    for frame in frames:
        if due_ns is None:
            due_ns = Fraction(frame.pts_ns)
        # Half a millisecond of grace for cameras that tick a little early.
        if frame.pts_ns + 500_000 < due_ns:
            continue
        due_ns = max(due_ns + step_ns, frame.pts_ns - step_ns)
        yield frame
