"""The picture strip of the truth benchmark: a row a contestant, a column a moment."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from mien.marking import text_mask
from mien.types import FaceTrack, U8Array
from mien_benchmarks.truth_set import TruthClip

_CELL = 200
_GAP = 4
_GUTTER = 40
_HEAD = 32
_GROUND, _INK, _QUIET = (24, 19, 16), (228, 224, 220), (150, 142, 136)
# Side of the view over the longer side of the face's box.
_VIEW = 1.45


@dataclass(slots=True)
class StripKeeper:
    """Keeps the faces of some moments of every clip.

    Attributes:
        moments: how many of a clip, spread over it.
        spread: frames of a clip that they are spread over.
    """

    moments: int
    spread: dict[str, int]
    _columns: list[tuple[str, dict[str, U8Array]]] = field(default_factory=list)

    def keep(
        self, clip: TruthClip, index: int, face: FaceTrack, pictures: dict[str, U8Array]
    ) -> None:
        """Looks at a frame, see :data:`mien_benchmarks.truth_bench.OnFrame`."""
        frames = self.spread[clip.name]
        wanted = {round((k + 0.5) * frames / self.moments) for k in range(self.moments)}
        if index in wanted:
            heads = {name: _head(picture, face) for name, picture in pictures.items()}
            self._columns.append((f"{clip.name}  {index / clip.fps:.1f} s", heads))

    def draw(self) -> U8Array | None:
        """(H, W, 3) uint8; None if nothing was kept."""
        if not self._columns:
            return None
        names = list(dict.fromkeys(name for _, heads in self._columns for name in heads))
        # The driver first and the truth last, whoever joined in later.
        names.sort(key=lambda name: (name == "true swap") - (name == "unswapped"))
        step = _CELL + _GAP
        strip = np.empty(
            (_HEAD + step * len(names), _GUTTER + step * len(self._columns), 3), np.uint8
        )
        strip[:] = _GROUND
        for column, (caption, heads) in enumerate(self._columns):
            left = _GUTTER + column * step
            _write(strip, text_mask(caption, 15)[:, :_CELL], 9, left, _QUIET)
            for row, name in enumerate(names):
                top = _HEAD + row * step
                if name in heads:
                    strip[top : top + _CELL, left : left + _CELL] = heads[name]
        for row, name in enumerate(names):
            label = np.rot90(text_mask("driver" if name == "unswapped" else name, 19))[-_CELL:]
            top = _HEAD + row * step + (_CELL - label.shape[0]) // 2
            _write(strip, label, top, (_GUTTER - label.shape[1]) // 2, _INK)
        return strip


def _head(picture: U8Array, face: FaceTrack) -> U8Array:
    """(_CELL, _CELL, 3): the square around a face, grey beyond the picture."""
    left, top, right, bottom = face.box
    side = _VIEW * max(right - left, bottom - top)
    scale = _CELL / side
    if scale < 0.5:
        # A bilinear warp alone would alias.
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.35 / scale), np.uint8)
    middle = (_CELL - 1) / 2
    shift = middle - scale * (left + right) / 2, middle - scale * (top + bottom) / 2
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32)
    view = cv2.warpAffine(
        picture, matrix, (_CELL, _CELL), flags=cv2.INTER_LINEAR, borderValue=_GROUND
    )
    return np.asarray(view, np.uint8)


def _write(
    strip: U8Array, mask: U8Array, top: int, left: int, colour: tuple[int, int, int]
) -> None:
    region = strip[top : top + mask.shape[0], left : left + mask.shape[1]]
    alpha = mask[: region.shape[0], : region.shape[1], None].astype(np.float32) / 255
    region[:] = np.round(region * (1 - alpha) + np.asarray(colour, np.float32) * alpha)
