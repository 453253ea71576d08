"""The cue list beside the picture, for rehearsals and for the wings."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from mien.marking import text_mask
from mien.shows import PlayerState, ShowPlayer
from mien.shows.state import CueState
from mien.types import Frame, U8Array

WIDTH_PX = 320

_GROUND = (24, 19, 16)
_MARGIN = 18
_LINE = 34
_TEXT = 21
_HEAD = 64
_INKS: dict[CueState, tuple[int, int, int]] = {
    "ahead": (228, 224, 220),
    "waiting": (80, 190, 250),
    "running": (120, 230, 140),
    "done": (120, 114, 108),
    "overruled": (90, 90, 190),
}
_BAR = (120, 230, 140)


class CueStrip:
    """Draws the list to the right of every frame. One thread; reuses its buffers."""

    def __init__(self, player: ShowPlayer) -> None:
        self._player = player
        self._drawn_for: object = None
        self._strip = np.empty((0, 0, 3), np.uint8)
        self._words: dict[str, U8Array] = {}

    def beside(self, frame: Frame) -> Frame:
        """The frame, wider by the list; its pixels are new."""
        state = self._player.state()
        key = (frame.size[0], tuple(state.cues.values()), state.current, state.next)
        if key != self._drawn_for:
            self._strip = self._list(frame.size[0], state)
            self._drawn_for = key
        strip = self._strip.copy()
        head = f"bar {state.bar}  beat {int(state.beat)}   {state.show_s:5.1f} s"
        self._write(
            strip, "held  " + head if state.holding else head, _MARGIN, _MARGIN, _INKS["ahead"]
        )
        if state.progress < 1.0:
            right = _MARGIN + round((WIDTH_PX - 2 * _MARGIN) * state.progress)
            cv2.rectangle(strip, (_MARGIN, _HEAD - 12), (right, _HEAD - 8), _BAR, -1)
        return replace(frame, bgr=np.ascontiguousarray(np.hstack([frame.bgr, strip])))

    def _list(self, height: int, state: PlayerState) -> U8Array:
        strip = np.empty((height, WIDTH_PX, 3), np.uint8)
        strip[:] = _GROUND
        names = list(state.cues)
        room = max((height - _HEAD - _MARGIN) // _LINE, 1)
        here = names.index(state.current) if state.current in names else 0
        first = min(max(here - room // 3, 0), max(len(names) - room, 0))
        for row, name in enumerate(names[first : first + room]):
            top = _HEAD + row * _LINE
            if name == state.current:
                cv2.rectangle(
                    strip, (6, top - 6), (WIDTH_PX - 7, top + _LINE - 10), (58, 48, 42), -1
                )
            if name == state.next:
                self._write(strip, ">", top, 6, _BAR)
            self._write(strip, name, top, _MARGIN + 6, _INKS[state.cues[name]])
            planned = state.planned_s[name]
            if planned is not None:
                mask = self._mask(f"{planned:.1f}")
                left = WIDTH_PX - _MARGIN - mask.shape[1]
                self._write(strip, f"{planned:.1f}", top, left, _INKS["done"])
        return strip

    def _write(
        self, strip: U8Array, text: str, top: int, left: int, ink: tuple[int, int, int]
    ) -> None:
        mask = self._mask(text)
        region = strip[top : top + mask.shape[0], left : left + mask.shape[1]]
        alpha = mask[: region.shape[0], : region.shape[1], None].astype(np.float32) / 255.0
        region[:] = np.round(region * (1.0 - alpha) + np.asarray(ink, np.float32) * alpha)

    def _mask(self, text: str) -> U8Array:
        if text not in self._words:
            if len(self._words) > 500:
                self._words.clear()
            self._words[text] = text_mask(text, _TEXT)
        return self._words[text]
