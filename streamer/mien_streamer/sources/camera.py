"""Cameras through OpenCV: V4L2, Media Foundation or AVFoundation, by platform."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from mien.errors import DeviceError
from mien.types import Frame, U8Array
from mien_streamer.opencv_log import silent_opencv
from mien_streamer.sources.paced import Clock, MonotonicClock
from mien_streamer.sources.source import NS_PER_S, ClosingSource, SourceInfo

logger = logging.getLogger(__name__)

DEFAULT_SIZE = (1280, 720)
DEFAULT_FPS = 30.0
MJPG_FROM_HEIGHT = 720
"""USB 2 carries raw YUYV at full rate only below this."""
RETRY_EVERY_S = 0.5
RETRY_FOR_S = 5.0
"""How long a camera that stopped is waited for; long enough to plug it in again."""
PROBED_INDICES = range(4)
"""Device numbers tried where the system offers no list."""


class Capture(Protocol):
    """The part of ``cv2.VideoCapture`` that is used."""

    def isOpened(self) -> bool: ...
    def read(self) -> tuple[bool, Any]: ...
    def set(self, prop: int, value: float) -> bool: ...
    def get(self, prop: int) -> float: ...
    def release(self) -> None: ...


@dataclass(frozen=True, slots=True)
class FoundCamera:
    """A camera of this machine.

    Attributes:
        index: the number in ``camera:NUMBER``.
        name: what the system calls it; may be empty.
    """

    index: int
    name: str


def open_capture(device: int | str) -> Capture:
    """The platform's capture of a device, opened or not, without OpenCV's own messages."""
    backend = {
        "linux": cv2.CAP_V4L2,
        "win32": cv2.CAP_MSMF,
        "darwin": cv2.CAP_AVFOUNDATION,
    }.get(sys.platform, cv2.CAP_ANY)
    with silent_opencv():
        return cv2.VideoCapture(device, backend)


def find_cameras(root: Path = Path("/sys/class/video4linux")) -> list[FoundCamera]:
    """Cameras of this machine, by number."""
    if sys.platform != "linux":
        return [FoundCamera(index, "") for index in PROBED_INDICES if _answers(index)]
    found = []
    for node in root.glob("video*"):
        # One device has several nodes; only the one with index 0 delivers pictures.
        index_file, name_file = node / "index", node / "name"
        if index_file.exists() and index_file.read_text().strip() != "0":
            continue
        name = name_file.read_text().strip() if name_file.exists() else ""
        found.append(FoundCamera(int(node.name.removeprefix("video")), name))
    return sorted(found, key=lambda camera: camera.index)


def _answers(index: int) -> bool:
    capture = open_capture(index)
    try:
        return capture.isOpened()
    finally:
        capture.release()


class CameraSource(ClosingSource):
    """Frames of a camera, newest at the time of asking.

    One thread iterates and must keep asking, as the driver queues a few frames of its
    own; ``close`` may be called from another one, the device is released by whoever
    is last. When reading fails, the device is reopened for :data:`RETRY_FOR_S`.
    """

    def __init__(
        self,
        device: str = "0",
        *,
        size: tuple[int, int] | None = None,
        fps: float | None = None,
        open_device: Callable[[int | str], Capture] = open_capture,
        cameras: Callable[[], list[FoundCamera]] = find_cameras,
        clock: Clock | None = None,
    ) -> None:
        self._cameras = cameras
        self._device = _resolve(device, cameras)
        self._size = size or DEFAULT_SIZE
        self._fps = fps or DEFAULT_FPS
        self._open_device = open_device
        self._clock = clock or MonotonicClock()
        self._closing = threading.Event()
        self._iterating = False
        opened = self._connect()
        if opened is None:
            raise self._missing()
        self._capture: Capture | None = opened[0]
        self._head: U8Array | None = opened[1]
        self.info = self._describe(opened[0], opened[1])

    def _connect(self) -> tuple[Capture, U8Array] | None:
        """An opened device and its first picture; None if there is none."""
        capture = self._open_device(self._device)
        if capture.isOpened():
            width, height = self._size
            code = "MJPG" if height >= MJPG_FROM_HEIGHT else "YUYV"
            # The pixel format comes first: drivers offer sizes and rates per format.
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*code))
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
            capture.set(cv2.CAP_PROP_FPS, self._fps)
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
            picture = _read(capture)
            if picture is not None:
                return capture, picture
        capture.release()
        return None

    def _missing(self) -> DeviceError:
        found = self._cameras()
        listed = ", ".join(f"camera:{c.index} {c.name}".strip() for c in found)
        hint = (
            f"found: {listed}; is another program using it?"
            if found
            else ("no camera was found: plug one in, or use --source file:PATH")
        )
        return DeviceError(f"camera {self._device} gives no picture", hint)

    def _describe(self, capture: Capture, picture: U8Array) -> SourceInfo:
        height, width = picture.shape[:2]
        said = capture.get(cv2.CAP_PROP_FPS)
        fps = said if said > 0 else self._fps
        code = int(capture.get(cv2.CAP_PROP_FOURCC))
        kind = code.to_bytes(4, "little").decode("ascii", "replace") if code > 0 else "unknown"
        logger.info(
            "camera %s: asked for %dx%d at %g fps, got %dx%d at %g fps (%s)",
            self._device,
            *self._size,
            self._fps,
            width,
            height,
            fps,
            kind,
        )
        return SourceInfo(
            name=f"camera:{self._device}",
            width=width,
            height=height,
            fps=Fraction(fps).limit_denominator(1001),
            is_live=True,
        )

    def frames(self) -> Iterator[Frame]:
        """Frames as they come.

        Raises:
            DeviceError: the camera stopped and did not come back.
        """
        self._iterating = True
        start_ns = self._clock.now_ns()
        index = 0
        try:
            while not self._closing.is_set():
                picture = self._next_picture()
                if picture is None:
                    return
                now_ns = self._clock.now_ns()
                pts_ns = now_ns - start_ns
                yield Frame(index=index, bgr=picture, capture_ns=now_ns, pts_ns=pts_ns)
                index += 1
        finally:
            self._iterating = False
            self._release()

    def _next_picture(self) -> U8Array | None:
        if self._head is not None:
            head, self._head = self._head, None
            return head
        picture = None if self._capture is None else _read(self._capture)
        if picture is None and not self._closing.is_set():
            picture = self._reconnect()
        return None if picture is None else self._fitted(picture)

    def _reconnect(self) -> U8Array | None:
        logger.warning("camera %s stopped; trying to reach it again", self._device)
        deadline_ns = self._clock.now_ns() + int(RETRY_FOR_S * NS_PER_S)
        while not self._closing.is_set():
            self._release()
            opened = self._connect()
            if opened is not None:
                logger.info("camera %s is back", self._device)
                self._capture = opened[0]
                return opened[1]
            if self._clock.now_ns() >= deadline_ns:
                raise DeviceError(
                    f"camera {self._device} stopped and did not come back in {RETRY_FOR_S:g} s",
                    "check the cable, then start again",
                )
            self._clock.wait(RETRY_EVERY_S, self._closing)
        return None

    def _fitted(self, picture: U8Array) -> U8Array:
        """The picture in the size that was announced (a camera may come back in another)."""
        width, height = self.info.width, self.info.height
        if picture.shape[:2] == (height, width):
            return picture
        resized = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        return np.asarray(resized, np.uint8)

    def _release(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def close(self) -> None:
        """End :meth:`frames` and release the device."""
        self._closing.set()
        if not self._iterating:
            self._release()


def _resolve(device: str, cameras: Callable[[], list[FoundCamera]]) -> int | str:
    """A number or path from a number, a path or a part of a name."""
    if device.isdigit():
        return int(device)
    if "/" in device:
        return device
    found = cameras()
    for camera in found:
        if device.lower() in camera.name.lower():
            return camera.index
    listed = ", ".join(f"camera:{c.index} {c.name}".strip() for c in found) or "none"
    raise DeviceError(f"no camera is called {device!r}", f"found: {listed}")


def _read(capture: Capture) -> U8Array | None:
    done, picture = capture.read()
    if not done or picture is None or picture.ndim != 3 or picture.shape[2] != 3:
        return None
    return np.ascontiguousarray(picture, np.uint8)
