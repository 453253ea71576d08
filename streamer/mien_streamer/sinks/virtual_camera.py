"""A virtual camera that other programs (OBS, browsers, calls) see as a real one."""

from __future__ import annotations

import logging
import sys
from fractions import Fraction

import cv2
import numpy as np

from mien.errors import DeviceError, OutputError
from mien.planes import planes_for_sink
from mien.types import Frame, U8Array
from mien.yuv import Matrix
from mien_streamer.sinks.sink import ClosingSink
from mien_streamer.sinks.video import even_sides
from mien_streamer.sources.source import SourceInfo

logger = logging.getLogger(__name__)

PLANES: Matrix = "bt601"
"""4:2:0 planes that its readers take as they are."""
FALLBACK_FPS = Fraction(30)
INSTALL_HINTS = {
    "linux": (
        "sudo apt-get install v4l2loopback-dkms && "
        "sudo modprobe v4l2loopback devices=1 exclusive_caps=1 card_label=mien"
    ),
    "win32": "install OBS Studio 26 or later (https://obsproject.com), then start mien again",
    "darwin": (
        "install OBS Studio 30 or later (https://obsproject.com), press Start Virtual Camera "
        "once and allow it, then start mien again"
    ),
}


class VirtualCameraSink(ClosingSink):
    """Sends frames to a virtual camera as they come; one thread may call it.

    On Linux frames go out as I420 (BT.601, as v4l2loopback's readers expect): OpenCV
    converts faster than the driver's library, and browsers there prefer it. Elsewhere
    BGR goes out and the back-end converts. Odd sides grow by one, as 4:2:0 demands.
    """

    def __init__(
        self,
        info: SourceInfo,
        *,
        device: str | None = None,
        backend: str | None = None,
        planar: bool = sys.platform == "linux",
    ) -> None:
        try:
            import pyvirtualcam
        except ImportError as error:
            raise DeviceError(
                "the virtual camera needs pyvirtualcam", "pip install pyvirtualcam"
            ) from error
        self._planar = planar
        self._size = (info.height + info.height % 2, info.width + info.width % 2)
        kind = pyvirtualcam.PixelFormat.I420 if planar else pyvirtualcam.PixelFormat.BGR
        height, width = self._size
        try:
            self._camera = pyvirtualcam.Camera(
                width=width,
                height=height,
                fps=float(info.fps or FALLBACK_FPS),
                fmt=kind,
                device=device,
                backend=backend,
            )
        except (RuntimeError, KeyError) as error:
            reason = "; ".join(str(error).splitlines()) or "unknown back-end"
            raise DeviceError(
                f"no virtual camera: {reason}",
                INSTALL_HINTS.get(sys.platform, "install OBS Studio or v4l2loopback"),
            ) from error
        self._planes = np.empty((height * 3 // 2, width), np.uint8)
        logger.info("virtual camera: %s, %dx%d", self._camera.device, width, height)

    @property
    def device(self) -> str:
        """Name of the device in use, as other programs show it."""
        return str(self._camera.device)

    def write(self, frame: Frame) -> None:
        """Send one frame.

        Raises:
            OutputError: the frame size changed, or the device is gone.
        """
        picture = even_sides(frame.bgr)
        if picture.shape[:2] != self._size:
            raise OutputError(
                f"frame {frame.index} is {frame.bgr.shape[1]}x{frame.bgr.shape[0]}, the virtual "
                f"camera is {self._size[1]}x{self._size[0]}",
                "set the output size",
            )
        try:
            self._camera.send(self._packed(frame, picture))
        except RuntimeError as error:
            raise OutputError(
                f"the virtual camera failed: {error}", "check that its driver is still loaded"
            ) from error

    def _packed(self, frame: Frame, picture_bgr: U8Array) -> U8Array:
        if not self._planar:
            return picture_bgr
        planes = planes_for_sink(frame, PLANES)
        if planes is not None:
            at = 0
            flat = self._planes.reshape(-1)
            for plane in (planes.y, planes.u, planes.v):
                np.copyto(flat[at : at + plane.size].reshape(plane.shape), plane)
                at += plane.size
            return self._planes
        cv2.cvtColor(picture_bgr, cv2.COLOR_BGR2YUV_I420, dst=self._planes)
        return self._planes

    def close(self) -> None:
        """Release the device."""
        self._camera.close()
