"""What is typed for sizes, crops and faces, turned into numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from mien.errors import UsageError
from mien.personas.create import Choice
from mien_streamer.geometry import Geometry
from mien_streamer.sources import SourceInfo

_LARGEST_SIDE_PX = 16_384
_SIDES: tuple[Literal["largest", "left", "right"], ...] = ("largest", "left", "right")


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of the picture: a centred aspect ratio, or a rectangle in pixels.

    Attributes:
        aspect: width over height, or None for a rectangle.
        rectangle: (left, top, width, height), pixels; ignored with an aspect.
    """

    aspect: float | None
    rectangle: tuple[int, int, int, int] = (0, 0, 0, 0)

    def inside(self, width: int, height: int) -> tuple[int, int, int, int]:
        """(left, top, width, height) in a picture of this size."""
        if self.aspect is None:
            return self.rectangle
        wide = min(width, max(round(height * self.aspect), 1))
        tall = min(height, max(round(width / self.aspect), 1))
        return (width - wide) // 2, (height - tall) // 2, wide, tall


def parse_size(text: str) -> tuple[int, int]:
    """(width, height) from ``1280x720``."""
    match = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", text.strip())
    if match is None:
        raise UsageError(f"{text!r} is no size", "write it like 1280x720")
    width, height = int(match[1]), int(match[2])
    if not (1 <= width <= _LARGEST_SIDE_PX and 1 <= height <= _LARGEST_SIDE_PX):
        raise UsageError(f"the size {text} is out of range", f"use 1 to {_LARGEST_SIDE_PX} pixels")
    return width, height


def parse_crop(text: str) -> Crop:
    """A crop from ``9:16`` (centred) or ``LEFT,TOP,WIDTH,HEIGHT`` in pixels."""
    ratio = re.fullmatch(r"(\d{1,4}):(\d{1,4})", text.strip())
    if ratio is not None and int(ratio[1]) and int(ratio[2]):
        return Crop(int(ratio[1]) / int(ratio[2]))
    place = re.fullmatch(r"(\d{1,5}),(\d{1,5}),(\d{1,5}),(\d{1,5})", text.replace(" ", ""))
    if place is not None and int(place[3]) and int(place[4]):
        left, top, wide, tall = (int(number) for number in place.groups())
        return Crop(None, (left, top, wide, tall))
    raise UsageError(
        f"{text!r} is no crop",
        "write an aspect ratio like 9:16, or LEFT,TOP,WIDTH,HEIGHT in pixels",
    )


def parse_face(text: str | None) -> Choice | None:
    """Which face of a photo: a number from the left, ``largest``, ``left`` or ``right``."""
    if text is None:
        return None
    for side in _SIDES:
        if text == side:
            return side
    if re.fullmatch(r"[1-9]\d?", text):
        return int(text)
    raise UsageError(
        f"{text!r} names no face", "use a number from the left, largest, left or right"
    )


def parse_geometry(
    info: SourceInfo, *, mirror: bool, crop: str | None, size: str | None, fps: float | None
) -> Geometry:
    """How a source's pictures are cut and turned, from what was typed."""
    rectangle = parse_crop(crop).inside(info.width, info.height) if crop else None
    return Geometry(
        mirror=mirror,
        crop=rectangle,
        size=parse_size(size) if size else None,
        fps=Fraction(fps).limit_denominator(1001) if fps else None,
    )
