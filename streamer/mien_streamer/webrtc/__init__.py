"""Pictures and sound to and from browsers, OBS and other WebRTC programs.

Needs the extra ``webrtc``: ``pip install 'mien[webrtc]'``.
"""

from __future__ import annotations

from importlib.util import find_spec

from mien.errors import MissingError


def require() -> None:
    """Checks that the libraries behind this package are installed.

    Raises:
        MissingError: one is not.
    """
    missing = [name for name in ("aiortc", "aiohttp") if find_spec(name) is None]
    if missing:
        raise MissingError(f"WebRTC needs {' and '.join(missing)}", "pip install 'mien[webrtc]'")
