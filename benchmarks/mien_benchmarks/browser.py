"""A headless Chromium for measurements, where one is installed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-dev-shm-usage",
)


def chromium_path() -> str | None:
    """Where Chromium is; None without it."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


def why_no_browser() -> str:
    """What is missing for a browser, or ""."""
    if find_spec("playwright") is None:
        return "playwright is not installed (pip install playwright)"
    return "" if chromium_path() else "no Chromium was found (apt-get install chromium)"


@contextmanager
def open_page() -> Iterator[Any]:
    """A page of a browser of its own, which is gone afterwards."""
    from playwright.sync_api import sync_playwright

    with (
        tempfile.TemporaryDirectory(prefix="mien-browser-") as profile,
        sync_playwright() as playwright,
    ):
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=chromium_path(),
            headless=False,
            ignore_default_args=["--enable-automation"],
            args=list(ARGUMENTS),
        )
        try:
            yield context.pages[0]
        finally:
            context.close()
