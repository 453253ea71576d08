"""A headless Chromium whose camera is a clip."""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from mien.types import U8Array

ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-dev-shm-usage",
)
CAMERA_SIZE = (640, 360)


def chromium_path() -> str | None:
    """The browser, where there is one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


def why_no_browser() -> str:
    """The reason why no browser test can run here, or ""."""
    try:
        import playwright  # noqa: F401
    except ImportError:
        return "playwright is not installed"
    return "" if chromium_path() else "no Chromium on this machine"


def demand_browser() -> None:
    """Skips where there is no browser; in CI that is a failure."""
    reason = why_no_browser()
    if reason and os.environ.get("CI"):
        pytest.fail(f"CI must run the browser tests: {reason}")
    if reason:
        pytest.skip(reason)


def write_camera_clip(path: Path, frames: int = 90) -> None:
    """The bundled performer as the Motion JPEG that Chromium's fake camera plays."""
    with (
        as_file(files("mien_streamer").joinpath("demo", "driver.mp4")) as clip,
        av.open(str(clip)) as source,
        av.open(str(path), "w", format="mjpeg") as target,
    ):
        stream = target.add_stream("mjpeg", rate=30, options={"qscale": "3"})
        stream.width, stream.height = CAMERA_SIZE
        stream.pix_fmt = "yuvj420p"
        for index, picture in enumerate(source.decode(video=0)):
            if index >= frames:
                break
            small = picture.reformat(*CAMERA_SIZE, format="yuvj420p")
            small.pts, small.time_base = index, Fraction(1, 30)
            target.mux(stream.encode(small))
        target.mux(stream.encode(None))


def first_picture() -> U8Array:
    """The bundled performer, large enough for a persona."""
    with (
        as_file(files("mien_streamer").joinpath("demo", "driver.mp4")) as clip,
        av.open(str(clip)) as source,
    ):
        picture = next(source.decode(video=0))
        return np.asarray(picture.to_ndarray(format="bgr24"), np.uint8)


@contextmanager
def chromium(folder: Path, *more: str, size: tuple[int, int] = (1440, 900)) -> Iterator[Any]:
    """A page in a browser of its own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(folder / "profile"),
            executable_path=chromium_path(),
            headless=False,
            ignore_default_args=["--enable-automation"],
            args=[*ARGUMENTS, *more],
            viewport={"width": size[0], "height": size[1]},
        )
        try:
            yield context.pages[0]
        finally:
            context.close()


GRAB = """(id) => {
  const video = document.getElementById(id);
  if (!video.videoWidth) return null;
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth; canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  return canvas.toDataURL("image/png");
}"""


def grab(page: Any, video: str) -> U8Array | None:
    """What a video of the page shows at this moment."""
    url = page.evaluate(GRAB, video)
    if url is None:
        return None
    data = np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8)
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
