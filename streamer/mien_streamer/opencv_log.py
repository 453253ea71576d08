"""How much OpenCV writes to stderr on its own, whatever its version calls the switch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2

SILENT = 0
INFO = 4


def set_opencv_log_level(level: int) -> int:
    """Set the level (0 silent, 4 information) and return the one that held before."""
    switch = _switch()
    before = int(switch.getLogLevel())
    switch.setLogLevel(level)
    return before


@contextmanager
def silent_opencv() -> Iterator[None]:
    """OpenCV writes nothing inside; whatever matters reaches the user as an error."""
    before = set_opencv_log_level(SILENT)
    try:
        yield
    finally:
        set_opencv_log_level(before)


def _switch() -> Any:
    # OpenCV 4.14 moved both functions from cv2 to cv2.utils.logging; stubs know one place each.
    opencv: Any = cv2
    return opencv if hasattr(opencv, "setLogLevel") else opencv.utils.logging
