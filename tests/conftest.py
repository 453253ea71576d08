"""What all tests share: a bare environment and a skip for machines without a GPU."""

from __future__ import annotations

import ctypes.util
import os
import signal
from functools import cache

import pytest

# Nothing may open a screen or a sound device, whatever the machine offers.
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")


def pytest_configure() -> None:
    # Whoever runs the tests in the background may have silenced Ctrl-C for all that they start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@cache
def _why_no_gpu() -> str:
    """The reason why no CUDA device can be used here; empty where one can."""
    name = ctypes.util.find_library("nvcuda" if os.name == "nt" else "cuda")
    if name is None:
        return "no CUDA driver on this machine"
    try:
        driver = ctypes.CDLL(name)
    except OSError as error:
        return f"the CUDA driver does not load: {error}"
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return "the CUDA driver does not start"
    return "" if count.value > 0 else "no CUDA device"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("gpu") is not None and _why_no_gpu():
            item.add_marker(pytest.mark.skip(reason=_why_no_gpu()))
