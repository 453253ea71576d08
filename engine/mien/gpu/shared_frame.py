"""Pixels of the frame at hand that lie on the GPU already, for whoever draws into it."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from mien.gpu.lanes import Lane, Layout, Placed
from mien.gpu.memory import DeviceArray
from mien.gpu.packing import Mend, View, view
from mien.types import U8Array

MOST_MENDS = 4
"""Rectangles that may have changed since the pixels were sent."""

Box = tuple[int, int, int, int]
"""Left, top, right, bottom."""


class SharedFrame:
    """What perception has sent up of a frame, so that drawing need not send it again.

    Whoever sends has waited for the copy, and whoever draws waits before the next frame is
    sent: streams need no order. One thread.

    Attributes:
        index: of the GPU that the pixels are on.
        taken: how often somebody drew from them.
    """

    def __init__(self, index: int) -> None:
        self.index = index
        self.taken = 0
        self._frame: U8Array | None = None
        self._at = (0, 0)
        self._pixels: DeviceArray | None = None
        self._touched: list[Box] = []

    def put(self, frame: U8Array, at: tuple[int, int], pixels: DeviceArray) -> None:
        """A part of the frame, which begins at (left, top), is on the GPU now.

        After its end, memory goes on for at least a row and 4 bytes.
        """
        self._frame, self._at, self._pixels = frame, at, pixels
        self._touched = []

    def touch(self, frame: U8Array, boxes: Iterable[Box]) -> None:
        """Somebody has painted into these boxes of the frame on the host."""
        if frame is self._frame:
            self._touched += boxes

    def forget(self) -> None:
        """The pixels are no longer those of a frame."""
        self._frame = self._pixels = None
        self._touched = []

    def take(self, frame: U8Array, window: Box, mends: int = 0) -> tuple[View, list[Box]] | None:
        """The frame as if all of it were there, if the window is and nobody took it before.

        Once only: whoever takes it draws a face, and from then on the frame on the host is
        another.

        Args:
            frame: the very array that was sent.
            window: what will be looked at.
            mends: how many boxes the caller can send anew.

        Returns:
            The frame, and the boxes in which the host's is another.
        """
        pixels, touched = self._pixels, self._touched
        if pixels is None or frame is not self._frame:
            return None
        self.forget()
        left, top = self._at
        whole = left, top, left + pixels.shape[1], top + pixels.shape[0]
        inside = all(_within(box, whole) for box in (window, *touched))
        if not inside or len(touched) > mends:
            return None
        self.taken += 1
        origin = pixels.pointer - top * pixels.pitch - 3 * left
        return View(origin, pixels.pitch, *frame.shape[:2]), touched


@dataclass(slots=True)
class FramePixels:
    """A frame's pixels for a kernel: in the upload, or on the GPU from before.

    Attributes:
        frame: (H, W, 3) uint8.
        window: what will be looked at.
        there: the frame on the GPU; None where the window is sent.
        mends: place of the list of boxes that are sent anew.
    """

    frame: U8Array
    window: Box
    there: View | None = None
    mends: Placed | None = None
    _boxes: list[tuple[Box, Placed]] = field(default_factory=list)

    @classmethod
    def place(
        cls, layout: Layout, shared: SharedFrame | None, frame: U8Array, window: Box
    ) -> FramePixels:
        """Decides, and makes room for what has to be sent."""
        found = None if shared is None else shared.take(frame, window, MOST_MENDS)
        if found is None:
            made = cls(frame, window)
            made._add(layout, window)
            return made
        made = cls(frame, window, found[0])
        made.mends = layout.place((MOST_MENDS * ctypes.sizeof(Mend),), np.uint8)
        for box in found[1]:
            made._add(layout, box)
        return made

    def _add(self, layout: Layout, box: Box) -> None:
        size = box[3] - box[1], box[2] - box[0], 3
        self._boxes.append((box, layout.place(size, np.uint8)))

    @property
    def slack(self) -> int:
        """Bytes that must follow the upload: samples on a window's last pixels have taps beside
        and below it, whose weight is 0."""
        return 4 + (0 if self.there is not None else self._boxes[0][1].pitch)

    def send(self, lane: Lane) -> View:
        """Fills the upload; the frame as if all of it lay on the GPU."""
        for (left, top, right, bottom), placed in self._boxes:
            lane.fill(placed, self.frame[top:bottom, left:right])
        if self.there is None:
            (left, top, *_), placed = self._boxes[0]
            origin = lane.pointer + placed.offset - top * placed.pitch - 3 * left
            return View(origin, placed.pitch, *self.frame.shape[:2])
        mends = (Mend * MOST_MENDS)()
        for mend, ((left, top, *_), placed) in zip(mends, self._boxes, strict=False):
            mend.source = view(placed.on_device(lane.pointer))
            mend.target = self.there.data + top * self.there.row_stride + 3 * left
            mend.row_stride = self.there.row_stride
        assert self.mends is not None
        lane.fill(self.mends, np.frombuffer(bytes(mends), np.uint8))
        return self.there


def _within(box: Box, whole: Box) -> bool:
    starts = box[0] >= whole[0] and box[1] >= whole[1]
    return starts and box[2] <= whole[2] and box[3] <= whole[3]
