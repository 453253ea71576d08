"""OpenCV's own messages, in every version that may be installed."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import pytest

from mien_streamer.opencv_log import set_opencv_log_level, silent_opencv


class Switch:
    """Where a version of OpenCV keeps its level."""

    def __init__(self, level: int) -> None:
        self.level = level

    def getLogLevel(self) -> int:
        return self.level

    def setLogLevel(self, level: int) -> int:
        before, self.level = self.level, level
        return before


def test_the_installed_opencv_takes_the_level_and_gets_its_own_back() -> None:
    first = set_opencv_log_level(3)
    try:
        with silent_opencv():
            assert set_opencv_log_level(0) == 0
        assert set_opencv_log_level(3) == 3
    finally:
        set_opencv_log_level(first)


@pytest.mark.parametrize("place", ["cv2", "cv2.utils.logging"])
def test_the_switch_is_found_where_each_version_has_it(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch = Switch(level=3)
    for name in ("getLogLevel", "setLogLevel"):
        if place == "cv2":
            monkeypatch.setattr(cv2, name, getattr(switch, name), raising=False)
        else:
            monkeypatch.delattr(cv2, name, raising=False)
    if place == "cv2.utils.logging":
        monkeypatch.setattr(cv2, "utils", SimpleNamespace(logging=switch))
    with silent_opencv():
        assert switch.level == 0
    assert switch.level == 3
