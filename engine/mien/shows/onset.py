"""Where something begins to sound: drums, plucks, words.

Spectral flux in bands of logarithmic level, with a maximum filter over neighbouring bands that
keeps vibrato from counting (after S. Böck and G. Widmer, "Maximum Filter Vibrato Suppression
for Onset Detection", DAFx 2013, eqs. 3-5), and a threshold that follows the flux of the last
tenths of a second. Departures: bands are few, because what is wanted is the moment and not the
note; the peak is then placed to the millisecond by the sound's own energy; and one hop is looked
ahead at most, so that it serves a stage as well as a file.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from mien.types import F32Array

# Seconds: the window, and the step between windows.
_WINDOW_S = 0.0213
_HOP_S = 0.00533

_BANDS = 28
_LOWEST_HZ, _HIGHEST_HZ = 30.0, 14_000.0

# Level is log(1 + this * amplitude): what lies 60 dB below full scale still counts a little.
_COMPRESSION = 400.0
_LAG_HOPS = 2

# The threshold: the mean of so many hops times a factor, plus a floor that the sensitivity sets.
_PAST_HOPS = 24
_TIMES_MEAN = 1.6
_FLOORS = (28.0, 5.0)
_FLOOR = 12.0

# A peak is not below its neighbours: so many hops before it, one after it.
_PEAK_HOPS = 3

# The energy is looked at in boxes of a millisecond, against so many before.
_BOX_S = 0.001
_BOXES_BEFORE = 6


@dataclass(frozen=True, slots=True)
class Onset:
    """One beginning.

    Attributes:
        time_s: seconds from the first sample fed.
        strength: how far the flux was above its threshold; 1 is just above.
    """

    time_s: float
    strength: float


class OnsetReader:
    """Hears one channel. One thread. About 15 ms behind what it is fed.

    What is told does not depend on how the sound is cut into blocks.

    Args:
        rate: samples a second, at least 8,000.
        sensitivity: 0..1, from only the hardest hits to every touch.
        gap_s: after one beginning no other counts for so long.
    """

    def __init__(self, rate: int, *, sensitivity: float = 0.5, gap_s: float = 0.1) -> None:
        if rate < 8_000:
            raise ValueError(f"onsets need 8,000 samples a second, got {rate}")
        self._rate = rate
        self._hop = round(rate * _HOP_S)
        self._size = round(rate * _WINDOW_S)
        self._gap_s = gap_s
        # From the least sensitive over the usual to the most, each the same factor away.
        high, low = _FLOORS
        steps = abs(sensitivity - 0.5) * 2.0
        self._floor = float(_FLOOR * ((high if sensitivity < 0.5 else low) / _FLOOR) ** steps)
        self._window = np.hanning(self._size + 1)[:-1].astype(np.float32)
        self._bands = _band_matrix(self._size, rate)
        self._rest: F32Array = np.zeros(self._size - self._hop, np.float32)
        self._at = -len(self._rest)
        self._levels: deque[F32Array] = deque(maxlen=_LAG_HOPS)
        self._flux: deque[float] = deque(maxlen=_PAST_HOPS)
        self._heard: deque[F32Array] = deque(maxlen=2)
        self._last_s = -1e9

    def feed(self, samples: F32Array) -> list[Onset]:
        """The beginnings that are certain now.

        Args:
            samples: (N,) float32, -1..1, right after those fed before.
        """
        sound = np.concatenate([self._rest, samples.astype(np.float32, copy=False)])
        onsets: list[Onset] = []
        start = 0
        while start + self._size <= len(sound):
            onset = self._step(sound[start : start + self._size])
            if onset is not None:
                onsets.append(onset)
            start += self._hop
            self._at += self._hop
        self._rest = sound[start:]
        return onsets

    def _step(self, piece: F32Array) -> Onset | None:
        spectrum = np.abs(np.fft.rfft(piece * self._window)).astype(np.float32)
        level = np.log1p(_COMPRESSION * (self._bands @ spectrum))
        flux = 0.0
        if len(self._levels) == _LAG_HOPS:
            past = self._levels[0]
            widened = np.maximum(past, np.maximum(np.roll(past, 1), np.roll(past, -1)))
            widened[0], widened[-1] = max(past[:2]), max(past[-2:])
            flux = float(np.maximum(level - widened, 0.0).sum())
        self._levels.append(level)
        self._heard.append(piece)
        onset = self._peak(flux)
        self._flux.append(flux)
        return onset

    def _peak(self, after: float) -> Onset | None:
        """Whether the hop before this one was a beginning."""
        if len(self._flux) < _PEAK_HOPS + 1:
            return None
        *past, flux = self._flux
        threshold = self._floor + _TIMES_MEAN * float(np.mean(past))
        if flux < threshold or flux < after or flux < max(past[-_PEAK_HOPS:]):
            return None
        time_s = self._place(self._heard[0])
        if time_s - self._last_s < self._gap_s:
            return None
        self._last_s = time_s
        return Onset(max(time_s, 0.0), flux / threshold)

    def _place(self, piece: F32Array) -> float:
        """The millisecond of the steepest rise in the window that ends at the peak."""
        box = max(round(self._rate * _BOX_S), 1)
        count = len(piece) // box
        boxes = np.square(np.diff(piece[len(piece) - count * box :], prepend=piece[0]))
        energy = boxes.reshape(count, box).mean(axis=1)
        quiet = 1e-9 + 0.01 * float(energy.max())
        rises = [
            float(energy[k : k + 2].mean() + quiet)
            / float(energy[max(k - _BOXES_BEFORE, 0) : k].mean() + quiet)
            for k in range(2, count - 1)
        ]
        place = 2 + int(np.argmax(rises))
        end = self._at - self._hop + self._size
        return (end - (count - place) * box) / self._rate


def _band_matrix(size: int, rate: int) -> F32Array:
    """(bands, size // 2 + 1) float32: triangles, evenly spaced in pitch, of a sine's amplitude."""
    hertz = np.fft.rfftfreq(size, 1.0 / rate)
    top = min(_HIGHEST_HZ, 0.45 * rate)
    edges = np.geomspace(_LOWEST_HZ, top, _BANDS + 2)
    # Below, pitch is finer than the spectrum: a band is then a bin wide.
    width = rate / size
    rows = []
    for low, middle, high in zip(edges, edges[1:], edges[2:], strict=False):
        rising = (hertz - low) / max(middle - low, width)
        falling = (high - hertz) / max(high - middle, width)
        rows.append(np.clip(np.minimum(rising, falling), 0.0, 1.0))
    matrix = np.array(rows) * (4.0 / size)
    return np.ascontiguousarray(matrix, dtype=np.float32)
