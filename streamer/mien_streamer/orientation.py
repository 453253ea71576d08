"""Turning pictures upright from the display matrix that phones write into files."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
import cv2
import numpy as np
from av.sidedata.sidedata import SideDataContainer, Type

from mien.types import U8Array


@dataclass(frozen=True, slots=True)
class Orientation:
    """A multiple of 90 degrees, perhaps mirrored: transpose first, then the flips."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @classmethod
    def of_frame(cls, frame: av.VideoFrame) -> Orientation:
        """How a decoded picture has to be turned to stand upright."""
        parts = cast(SideDataContainer, frame.side_data)
        data = next((part for part in parts if part.type == Type.DISPLAYMATRIX), None)
        if data is None:
            return cls()
        matrix = np.frombuffer(bytes(data), np.int32)
        a, b, c, d = (int(value) for value in matrix[[0, 1, 3, 4]])
        if abs(b) > abs(a):
            return cls(transpose=True, flip_x=c < 0, flip_y=b < 0)
        return cls(flip_x=a < 0, flip_y=d < 0)

    @property
    def rotation_deg(self) -> int:
        """Counter-clockwise turn; mirrors count as none."""
        turns = {(True, False, True): 90, (False, True, True): 180, (True, True, False): 270}
        return turns.get((self.transpose, self.flip_x, self.flip_y), 0)

    def apply(self, frame_bgr: U8Array) -> U8Array:
        """The upright picture; the same array when nothing is to be done."""
        turns = {
            90: cv2.ROTATE_90_COUNTERCLOCKWISE,
            180: cv2.ROTATE_180,
            270: cv2.ROTATE_90_CLOCKWISE,
        }
        if self.rotation_deg:
            return np.asarray(cv2.rotate(frame_bgr, turns[self.rotation_deg]), np.uint8)
        upright = frame_bgr
        if self.transpose:
            upright = np.asarray(cv2.transpose(upright), np.uint8)
        if self.flip_x or self.flip_y:
            code = -1 if self.flip_x and self.flip_y else int(self.flip_x)
            upright = np.asarray(cv2.flip(upright, code), np.uint8)
        return upright

    def size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of the upright picture."""
        return (height, width) if self.transpose else (width, height)

    def aspect(self, sample_aspect: Fraction) -> Fraction:
        """Pixel aspect of the upright picture."""
        return 1 / sample_aspect if self.transpose else sample_aspect
