"""One clock for the tracker from the two that a frame carries."""

from __future__ import annotations

from mien.types import Frame

_NOMINAL_STEP_S = 1.0 / 30.0
_JUMP_S = 1.0


class FrameClock:
    """Seconds that run forward from frame to frame.

    The stream's own time counts; where it stands still (no timestamps) the capture time
    does; where it runs backwards (a seek) the clock jumps a second ahead.
    """

    def __init__(self) -> None:
        self._last_pts_ns = 0
        self._last_capture_ns = 0
        self._started = False
        self._now_s = 0.0

    def seconds(self, frame: Frame) -> float:
        """When this frame was seen."""
        pts_step = frame.pts_ns - self._last_pts_ns
        capture_step = frame.capture_ns - self._last_capture_ns
        self._last_pts_ns, self._last_capture_ns = frame.pts_ns, frame.capture_ns
        if not self._started:
            self._started = True
        elif pts_step > 0:
            self._now_s += pts_step * 1e-9
        elif pts_step < 0:
            self._now_s += _JUMP_S
        else:
            self._now_s += capture_step * 1e-9 if capture_step > 0 else _NOMINAL_STEP_S
        return self._now_s
