"""A picture's own 4:2:0 planes, kept beside its BGR pixels for sinks that take them.

Stages work in BGR. Where a source has 4:2:0 and a sink takes it, converting the whole picture
back is waste, and rounds every pixel once more: only what was painted is written back into the
planes, and the rest goes out as it was decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from mien import _kernels
from mien.ranges import ranged
from mien.types import Frame, Patch, U8Array
from mien.yuv import Matrix

Box = tuple[int, int, int, int]
"""(left, top, right, bottom) in whole pixels, the last two outside."""


def even_box(box: Box, size: tuple[int, int]) -> Box | None:
    """A box grown to even pixels inside a picture of even (height, width); None if it is empty."""
    left, top = max(box[0], 0) & ~1, max(box[1], 0) & ~1
    right = min(box[2] + box[2] % 2, size[1])
    bottom = min(box[3] + box[3] % 2, size[0])
    return None if left >= right or top >= bottom else (left, top, right, bottom)


class OwnPlanes(Protocol):
    """A picture beside its pixels, wherever it lies: :class:`Planes`, or one on a card."""

    @property
    def matrix(self) -> Matrix: ...
    @property
    def bgr(self) -> U8Array: ...
    def write_back(self, boxes: Sequence[Box]) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Planes:
    """What a picture was decoded to. The frame that holds it owns the memory.

    Attributes:
        y: (H, W) uint8, limited range; H and W are even.
        u, v: (H / 2, W / 2) uint8.
        matrix: the luma weights.
        bgr: the pixels that were made of them; planes belong to that very array.
        owner: whose memory the planes are, for a sink that can send it on as it is.
    """

    y: U8Array
    u: U8Array
    v: U8Array
    matrix: Matrix
    bgr: U8Array
    owner: object = None

    def __post_init__(self) -> None:
        height, width = self.y.shape
        half = (height // 2, width // 2)
        if height % 2 or width % 2 or self.u.shape != half or self.v.shape != half:
            raise ValueError(
                f"expected planes of even sides, got {self.y.shape}, {self.u.shape}, {self.v.shape}"
            )
        if self.bgr.shape != (height, width, 3):
            raise ValueError(f"expected pixels {(height, width, 3)}, got {self.bgr.shape}")

    def write_back(self, boxes: Sequence[Box]) -> None:
        """Takes over what was painted into the pixels inside the boxes.

        Exactly what converting the whole picture gives there: samples of colour are shared by
        two by two pixels, and boxes grow to even ones.
        """
        height, width = self.y.shape
        for box in boxes:
            grown = even_box(box, (height, width))
            if grown is None:
                continue
            x0, y0, x1, y1 = grown
            half = slice(y0 // 2, y1 // 2), slice(x0 // 2, x1 // 2)
            _kernels.bgr_to_i420(
                self.bgr[y0:y1, x0:x1],
                self.y[y0:y1, x0:x1],
                self.u[half],
                self.v[half],
                self.matrix,
            )


@runtime_checkable
class Boxed(Protocol):
    """A marker that says where it paints; None where it paints nothing."""

    @property
    def box(self) -> Box | None: ...


class Painted:
    """Where a frame was painted; belongs to the pipeline's thread."""

    def __init__(self) -> None:
        self._boxes: list[Box] = []

    @property
    def boxes(self) -> list[Box]:
        """Of the faces of the last frame."""
        return list(self._boxes)

    def begin(self) -> None:
        """A new frame."""
        self._boxes.clear()

    def add(self, patch: Patch) -> None:
        """A face. All that is done to one, irises, light and what covers it among that, stays
        inside its patch, or leaves the pixels around it as they came."""
        rows, columns = patch.matte.shape
        self._boxes.append((patch.left, patch.top, patch.left + columns, patch.top + rows))

    @ranged("planes")
    def settle(self, frame: Frame, marker: object) -> Frame:
        """The frame, with planes that agree with its pixels where it came with some."""
        if not has_planes(frame) or not isinstance(marker, Boxed):
            return frame
        assert frame.decoded is not None
        mark = marker.box
        frame.decoded.write_back(self._boxes if mark is None else [*self._boxes, mark])
        return replace(frame, planes=frame.decoded)


def has_planes(frame: Frame) -> bool:
    """Whether the frame came with planes, and has the pixels still that it came with."""
    return frame.decoded is not None and frame.decoded.bgr is frame.bgr


def as_it_came(frame: Frame) -> Frame:
    """A frame that nobody painted on, for a sink."""
    return replace(frame, planes=frame.decoded) if has_planes(frame) else frame


def planes_for_sink(frame: Frame, matrix: Matrix) -> Planes | None:
    """Planes of this matrix, on the host, that agree with the frame's pixels, if there are."""
    planes = frame.planes
    if not isinstance(planes, Planes) or planes.bgr is not frame.bgr:
        return None
    return planes if planes.matrix == matrix else None
