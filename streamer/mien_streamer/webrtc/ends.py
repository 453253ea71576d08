"""WebRTC as a source and as a sink of the loops."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from fractions import Fraction

import cv2
import numpy as np

from mien.types import Frame, U8Array
from mien_streamer.sinks.sink import ClosingSink
from mien_streamer.sources.source import ClosingSource, SourceInfo
from mien_streamer.webrtc.encoding import WireConverter
from mien_streamer.webrtc.inlet import Inlet
from mien_streamer.webrtc.outlet import Outlet

POLL_S = 0.1


class WebRtcSource(ClosingSource):
    """The newest picture of whoever performs; waits where nobody does.

    Args:
        inlet: where media arrives.
        size: (width, height) that every frame is fitted into, for sinks that cannot change
            theirs; None passes each size as it comes.
        name: what to call it.
    """

    def __init__(
        self, inlet: Inlet, *, size: tuple[int, int] | None = None, name: str = "webrtc"
    ) -> None:
        self._inlet = inlet
        self._size = size
        self._box = inlet.attach()
        width, height = size or (1280, 720)
        self.info = SourceInfo(
            name=name, width=width, height=height, fps=Fraction(30), is_live=True
        )

    def frames(self) -> Iterator[Frame]:
        """Frames until :meth:`close`; performers may come and go."""
        converter = WireConverter()
        start_ns = time.monotonic_ns()
        taken = 0
        while not self._box.finished:
            arrival = self._box.get(POLL_S)
            if arrival is None:
                continue
            picture, arrived_ns = arrival
            bgr = converter.convert(picture)
            planes = converter.planes(picture, bgr)
            if self._size is not None:
                bgr = fit(bgr, self._size)
            yield Frame(
                # Dropped pictures count: an index is a place in the stream.
                index=taken + self._box.dropped,
                bgr=bgr,
                capture_ns=arrived_ns,
                pts_ns=arrived_ns - start_ns,
                decoded=planes,
            )
            taken += 1

    @property
    def dropped(self) -> int:
        """Pictures that newer ones replaced before they were taken."""
        return self._box.dropped

    def close(self) -> None:
        """Ends :meth:`frames` at once."""
        self._inlet.detach(self._box)


class WebRtcSink(ClosingSink):
    """Sends frames to whoever watches."""

    def __init__(
        self, outlet: Outlet, on_sent: Callable[[float], None] = lambda seconds: None
    ) -> None:
        self._outlet = outlet
        self._on_sent = on_sent

    def write(self, frame: Frame) -> None:
        """Send one frame."""
        self._outlet.write(frame)
        if frame.index >= 0:
            self._on_sent((time.monotonic_ns() - frame.capture_ns) / 1e9)


def fit(bgr: U8Array, size: tuple[int, int]) -> U8Array:
    """The picture inside (width, height), its shape kept, the rest black."""
    width, height = size
    rows, columns = bgr.shape[:2]
    if (columns, rows) == size:
        return bgr
    scale = min(width / columns, height / rows)
    inner = (max(round(columns * scale), 1), max(round(rows * scale), 1))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(bgr, inner, interpolation=how)
    canvas = np.zeros((height, width, 3), np.uint8)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    canvas[top : top + inner[1], left : left + inner[0]] = small
    return canvas
