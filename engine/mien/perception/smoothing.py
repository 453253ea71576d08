"""Steady landmarks: little jitter on a still face, little lag on a moving one."""

from __future__ import annotations

from math import pi

import numpy as np

from mien.types import F32Array

# Tuned by tools/measure_tracking.py on noisy still and moving faces; docs/perception.md
# has the table.
MIN_CUTOFF_HZ = 1.0
CUTOFF_PER_SPEED = 40.0
SPEED_CUTOFF_HZ = 6.0

_LONGEST_GAP_S = 0.5
"""After a longer gap, or a step back in time, the filter starts afresh."""


class OneEuro:
    """Casiez, Roussel and Vogel 2012, *1€ Filter*, over all landmarks at once.

    Departures from the paper: speeds are in face sizes per second, so that one tuning
    serves near and far faces; the speed of a landmark is that of its x and y together.

    One thread at a time may use it; it owns its state and returns a fresh array.

    Args:
        min_cutoff_hz: cut-off for a landmark at rest.
        cutoff_per_speed: Hz added per face size per second.
        speed_cutoff_hz: cut-off of the speed estimate.
    """

    def __init__(
        self,
        min_cutoff_hz: float = MIN_CUTOFF_HZ,
        cutoff_per_speed: float = CUTOFF_PER_SPEED,
        speed_cutoff_hz: float = SPEED_CUTOFF_HZ,
    ) -> None:
        self._min_cutoff_hz = np.float32(min_cutoff_hz)
        self._cutoff_per_speed = np.float32(cutoff_per_speed)
        self._speed_cutoff_hz = speed_cutoff_hz
        self._time_s = 0.0
        self._value: F32Array | None = None
        self._speed: F32Array | None = None

    def reset(self) -> None:
        """Forget the past; the next points pass unchanged."""
        self._value = None

    def __call__(self, points: F32Array, size_px: float, time_s: float) -> F32Array:
        """The smoothed points.

        Args:
            points: (N, 3) float32, pixels.
            size_px: size of the face, pixels.
            time_s: when the points were seen, seconds on any clock that runs forward.

        Returns:
            (N, 3) float32, pixels.
        """
        step_s = time_s - self._time_s
        if self._value is None or self._speed is None or not 0 < step_s <= _LONGEST_GAP_S:
            self._value = points.copy()
            self._speed = np.zeros_like(points[:, :2])
            self._time_s = time_s
            return points.copy()
        self._time_s = time_s
        change = points - self._value
        speed_now = change[:, :2] / np.float32(step_s * max(size_px, 1.0))
        self._speed += np.float32(_blend(self._speed_cutoff_hz, step_s)) * (speed_now - self._speed)
        speed = np.hypot(self._speed[:, 0], self._speed[:, 1])
        turns = (self._min_cutoff_hz + self._cutoff_per_speed * speed) * np.float32(2 * pi * step_s)
        self._value += (turns / (turns + 1))[:, None] * change
        return self._value.copy()


def _blend(cutoff_hz: float, step_s: float) -> float:
    """Weight of the newest sample in a first-order low pass."""
    turns = 2 * pi * cutoff_hz * step_s
    return turns / (turns + 1)
