"""A face's crop at half its size, planned once and cut several times."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, hypot

import cv2
import numpy as np

from mien.refiner_view import crop_from_frame
from mien.types import F32Array, Patch, U8Array

ROUGH_SIZE = 96
"""Side of the crop in pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoughCrop:
    """Where a face's upright crop lies in a frame, and how it is cut from there.

    At the size at which the refiner sees a face, it shows what a crop of the full size does,
    to a code value or two, in a fraction of the time: the frame is halved as often as it can
    be (halves are four to six times as fast as other shares), then turned.

    Attributes:
        transform: (2, 3) float32, crop from frame.
        left, top, columns, rows: the part of the frame that is cut from; the sides are whole
            numbers of halved pixels.
        halvings: how often it is halved.
        inner: (2, 3) float32, crop from the halved part.
    """

    transform: F32Array
    left: int
    top: int
    columns: int
    rows: int
    halvings: int
    inner: F32Array

    def cut(self, frame: U8Array) -> U8Array:
        """(96, 96) or (96, 96, C) uint8; what lies outside the frame repeats its border.

        Args:
            frame: (H, W) or (H, W, C) uint8, of the size that was planned for.
        """
        part = frame[self.top : self.top + self.rows, self.left : self.left + self.columns]
        return self._turned(part)

    def cut_matte(self, patch: Patch) -> U8Array:
        """(96, 96) uint8: the crop of a patch's matte; nothing where there is no patch."""
        part = np.zeros((self.rows, self.columns), np.uint8)
        top, left = patch.top - self.top, patch.left - self.left
        inside = patch.matte[
            max(-top, 0) : max(self.rows - top, 0), max(-left, 0) : max(self.columns - left, 0)
        ]
        top, left = max(top, 0), max(left, 0)
        part[top : top + len(inside), left : left + inside.shape[1]] = inside
        return self._turned(part)

    def _turned(self, part: U8Array) -> U8Array:
        for _ in range(self.halvings):
            size = max(part.shape[1] // 2, 1), max(part.shape[0] // 2, 1)
            part = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
        turned = cv2.warpAffine(
            part, self.inner, (ROUGH_SIZE, ROUGH_SIZE), flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        return np.asarray(turned, np.uint8)


def plan_crop(landmarks: F32Array, frame_size: tuple[int, int]) -> RoughCrop:
    """The crop of :func:`mien.refiner_view.crop_from_frame`, at half its size.

    Args:
        landmarks: (478, 3) float32, frame pixels.
        frame_size: height and width of the frame.
    """
    transform = crop_from_frame(landmarks, ROUGH_SIZE)
    scale = hypot(float(transform[0, 0]), float(transform[1, 0]))
    halvings = 0
    # As many pixels to one of the crop as a full-sized crop takes: up to 1.75 a side.
    while scale * 2**halvings < 1 / 1.75:
        halvings += 1
    factor = 2**halvings
    # The crop's middle and half its diagonal box, in the frame; the transform is a similarity.
    (along, across, x), (other, onward, y) = transform.tolist()
    middle = (ROUGH_SIZE - 1) / 2
    away_x, away_y = middle - x, middle - y
    square = scale * scale
    reach = ROUGH_SIZE / 2 * (abs(along) + abs(across)) / square
    left, columns = _span((along * away_x + other * away_y) / square, reach, factor, frame_size[1])
    top, rows = _span((across * away_x + onward * away_y) / square, reach, factor, frame_size[0])
    # Pixel centre i of the halved part lies at factor * i + (factor - 1) / 2 of the part.
    first_x, first_y = left + (factor - 1) / 2, top + (factor - 1) / 2
    inner = np.array(
        [
            [along * factor, across * factor, x + along * first_x + across * first_y],
            [other * factor, onward * factor, y + other * first_x + onward * first_y],
        ],
        np.float32,
    )
    return RoughCrop(
        transform=transform, left=left, top=top, columns=columns, rows=rows,
        halvings=halvings, inner=inner,
    )  # fmt: skip


def _span(middle: float, reach: float, factor: int, length: int) -> tuple[int, int]:
    """First pixel and pixels of what is needed along one axis, a halved pixel to spare."""
    first = min(max(floor(middle - reach) - factor, 0), max(length - factor, 0))
    last = min(ceil(middle + reach) + factor, length)
    return first, max((last - first) // factor, 1) * factor
