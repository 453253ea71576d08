"""Which part of the frame is drawn anew: a square that follows the face calmly.

Where the head lies in that square goes into the generator's input transform, so what is
drawn does not depend on where the square is; only the sampling of it does. A square that
shook with the landmarks would make texture swim by what the generator's alias-free layers
still leave of that.
"""

from __future__ import annotations

from math import atan2, cos, exp, hypot, log, pi, sin

import numpy as np

from mien.types import F32Array

# Share of the way to where the face is that the square goes each frame.
_FOLLOW = 0.35
# It never falls further behind: parts of its side, of its size's logarithm, radians. The
# crop leaves 12% of its side round the face, and training cut crops that were off by about as much.
_FARTHEST, _FARTHEST_SIZE, _FARTHEST_TURN = 0.03, 0.05, 0.08


class Window:
    """The square of one face over time.

    Args:
        size: pixels of its side.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._at: tuple[float, float, float, float] | None = None

    def forget(self) -> None:
        """Starts at the face again: it was away."""
        self._at = None

    def follow(self, crop_from_frame: F32Array) -> F32Array:
        """(2, 3) float32: the calm square, crop-from-frame.

        Args:
            crop_from_frame: (2, 3) float32, the square that fits this frame's face exactly;
                a rotation and a scale.
        """
        wanted = self._parts(crop_from_frame)
        if self._at is None:
            self._at = wanted
        x, y, size, turn = self._at
        gone_x, gone_y = wanted[0] - x, wanted[1] - y
        gone_size, gone_turn = wanted[2] - size, _wrapped(wanted[3] - turn)
        side = exp(wanted[2])
        self._at = (
            wanted[0] - _behind(gone_x, _FARTHEST * side),
            wanted[1] - _behind(gone_y, _FARTHEST * side),
            wanted[2] - _behind(gone_size, _FARTHEST_SIZE),
            wanted[3] - _behind(gone_turn, _FARTHEST_TURN),
        )
        return self._transform(*self._at)

    def _parts(self, transform: F32Array) -> tuple[float, float, float, float]:
        """Centre in the frame, logarithm of the side in frame pixels, angle."""
        a, b = float(transform[0, 0]), float(transform[1, 0])
        scale = max(hypot(a, b), 1e-9)
        linear = transform[:, :2].astype(np.float64)
        middle = (self._size - 1) / 2
        x, y = np.linalg.solve(linear, np.full(2, middle) - transform[:, 2])
        return float(x), float(y), log(self._size / scale), atan2(b, a)

    def _transform(self, x: float, y: float, log_side: float, turn: float) -> F32Array:
        scale = self._size / exp(log_side)
        linear = scale * np.array([[cos(turn), -sin(turn)], [sin(turn), cos(turn)]])
        shift = (self._size - 1) / 2 - linear @ np.array([x, y])
        return np.asarray(np.concatenate([linear, shift[:, None]], axis=1), np.float32)


def _behind(gone: float, farthest: float) -> float:
    """How far behind the square stays after a frame in which the face went so far."""
    return min(max(gone * (1.0 - _FOLLOW), -farthest), farthest)


def _wrapped(angle: float) -> float:
    return (angle + pi) % (2.0 * pi) - pi
