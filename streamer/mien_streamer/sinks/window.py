"""A preview window with hot keys, through SDL."""

from __future__ import annotations

import ctypes
import importlib
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from mien.errors import DeviceError
from mien.types import Frame, U8Array
from mien_streamer.controls.hotkeys import CONFIRM_S, HELP_LINES, Action, HotKeys
from mien_streamer.sinks.sink import ClosingSink

NOTICE_S = CONFIRM_S
HELP_AT_START_S = 4.0
LARGEST_WINDOW = (1600, 900)


class WindowSink(ClosingSink):
    """Shows frames and turns keys into actions; all calls from the main thread.

    ``on_key`` is asked about every key first, and says whether it has taken it.
    Closing the window is the same as pressing Q. The picture keeps its shape in a
    window of any size.
    """

    def __init__(
        self,
        on_action: Callable[[Action], None],
        *,
        title: str = "mien",
        clock_ns: Callable[[], int] = time.monotonic_ns,
        on_key: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._sdl = _load_sdl()
        self._on_key = on_key
        self._on_action = on_action
        self._title = title
        self._clock_ns = clock_ns
        self._keys = HotKeys(clock_ns=clock_ns)
        self._help_until_ns = clock_ns() + int(HELP_AT_START_S * 1e9)
        self._notice, self._notice_until_ns = "", 0
        self._size: tuple[int, int] | None = None
        self._window: Any = None
        self._renderer: Any = None
        self._texture: Any = None
        if self._sdl.SDL_InitSubSystem(self._sdl.SDL_INIT_VIDEO) != 0:
            raise self._failed()

    def write(self, frame: Frame) -> None:
        """Show one frame and look at the keyboard."""
        if self._window is None:
            self._open(*frame.size)
        if frame.size != self._size:
            self._resize(*frame.size)
        shown = self._overlaid(frame.bgr)
        sdl = self._sdl
        pixels = shown.ctypes.data_as(ctypes.c_void_p)
        sdl.SDL_UpdateTexture(self._texture, None, pixels, shown.strides[0])
        sdl.SDL_RenderClear(self._renderer)
        sdl.SDL_RenderCopy(self._renderer, self._texture, None, None)
        sdl.SDL_RenderPresent(self._renderer)
        self.poll()

    def poll(self) -> None:
        """Look at the keyboard without showing anything new."""
        sdl = self._sdl
        event = sdl.SDL_Event()
        while sdl.SDL_PollEvent(ctypes.byref(event)) != 0:
            if event.type == sdl.SDL_QUIT:
                self._on_action(Action.QUIT)
            elif event.type == sdl.SDL_KEYDOWN:
                name = sdl.SDL_GetKeyName(event.key.keysym.sym)
                self._press(name.decode("utf-8", "replace"), repeated=event.key.repeat != 0)

    def _press(self, key: str, *, repeated: bool) -> None:
        if not repeated and self._on_key(key.removeprefix("Keypad ")):
            return
        # A key that is held down turns the likeness dial, and does nothing else.
        action = self._keys.press(key.removeprefix("Keypad ")) if not repeated else None
        if repeated and key in ("Up", "Down"):
            action = Action.LIKENESS_UP if key == "Up" else Action.LIKENESS_DOWN
        if action is None:
            return
        now_ns = self._clock_ns()
        if action is Action.HELP:
            hidden = now_ns >= self._help_until_ns
            self._help_until_ns = now_ns + int(3600e9) if hidden else 0
            return
        self._notice, self._notice_until_ns = action.value, now_ns + int(NOTICE_S * 1e9)
        self._on_action(action)

    def _overlaid(self, frame_bgr: U8Array) -> U8Array:
        """The frame with help and notices on a copy; the frame itself when there are none."""
        now_ns = self._clock_ns()
        lines = list(HELP_LINES) if now_ns < self._help_until_ns else []
        if now_ns < self._notice_until_ns:
            lines.append((self._notice, ""))
        return overlay_text(frame_bgr, lines) if lines else np.ascontiguousarray(frame_bgr)

    def _open(self, height: int, width: int) -> None:
        sdl = self._sdl
        fit = min(1.0, LARGEST_WINDOW[0] / width, LARGEST_WINDOW[1] / height)
        sdl.SDL_SetHint(sdl.SDL_HINT_RENDER_SCALE_QUALITY, b"1")
        self._window = sdl.SDL_CreateWindow(
            self._title.encode(),
            sdl.SDL_WINDOWPOS_CENTERED,
            sdl.SDL_WINDOWPOS_CENTERED,
            max(160, round(width * fit)),
            max(120, round(height * fit)),
            sdl.SDL_WINDOW_RESIZABLE,
        )
        # No wait for the screen's refresh: that would hold the loop back.
        self._renderer = sdl.SDL_CreateRenderer(self._window, -1, 0) if self._window else None
        if not self._renderer:
            raise self._failed()
        self._resize(height, width)

    def _resize(self, height: int, width: int) -> None:
        sdl = self._sdl
        if self._texture is not None:
            sdl.SDL_DestroyTexture(self._texture)
        self._texture = sdl.SDL_CreateTexture(
            self._renderer,
            sdl.SDL_PIXELFORMAT_BGR24,
            sdl.SDL_TEXTUREACCESS_STREAMING,
            width,
            height,
        )
        if not self._texture:
            raise self._failed()
        sdl.SDL_RenderSetLogicalSize(self._renderer, width, height)
        self._size = (height, width)

    def _failed(self) -> DeviceError:
        reason = self._sdl.SDL_GetError().decode("utf-8", "replace")
        return DeviceError(
            f"cannot open a window: {reason}",
            "run mien in a desktop session, or use --sink virtualcam or file:PATH",
        )

    def close(self) -> None:
        """Close the window."""
        sdl = self._sdl
        if self._renderer is not None:
            sdl.SDL_DestroyRenderer(self._renderer)  # and its textures
        if self._window is not None:
            sdl.SDL_DestroyWindow(self._window)
            sdl.SDL_QuitSubSystem(sdl.SDL_INIT_VIDEO)
        self._texture = self._renderer = self._window = None


def _load_sdl() -> Any:
    try:
        with warnings.catch_warnings():
            # It warns that it uses the library it brings along, which is the point of it.
            warnings.simplefilter("ignore")
            return importlib.import_module("sdl2")
    except ImportError as error:
        raise DeviceError(
            "the preview window needs SDL, which is not installed", "pip install 'mien[window]'"
        ) from error


def overlay_text(frame_bgr: U8Array, rows: Sequence[tuple[str, str]]) -> U8Array:
    """A copy of the frame with text in two columns on a darkened strip at its lower left."""
    shown = frame_bgr.copy()
    height, width = shown.shape[:2]
    scale = max(0.3, height / 1080)
    pitch = max(8, round(34 * scale))
    top = max(0, height - pitch * len(rows) - pitch // 2)
    strip = shown[top:, : min(width, round(860 * scale))]
    strip //= 3
    font, white = cv2.FONT_HERSHEY_SIMPLEX, (255, 255, 255)
    for row, columns in enumerate(rows):
        for left, text in zip((pitch // 2, round(220 * scale)), columns, strict=True):
            at = (left, top + pitch * (row + 1))
            cv2.putText(shown, text, at, font, 0.9 * scale, white, 1, cv2.LINE_AA)
    return shown
