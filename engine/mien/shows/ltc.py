"""Timecode as sound: reads SMPTE 12M-1 linear timecode from PCM.

A bit lasts one eightieth of a picture. The sound changes its sign at every bit's beginning,
and once more in the middle of a one (biphase mark), so that neither polarity nor direction of
play matter. A frame is 80 bits, least significant first, and ends with a sync word that reads
differently backwards.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from mien.shows.timecode import Timecode, follows
from mien.types import F32Array

FRAME_BITS = 80
_SYNC = 0x3FFD
_SYNC_BACKWARDS = 0xBFFC
_WORD = (1 << FRAME_BITS) - 1
_DATA = (1 << 64) - 1

# A bit at 30 frames a second and twice the speed, and at 24 and half of it, with some room.
_SHORTEST_BIT_S = 1 / (FRAME_BITS * 30 * 2.4)
_LONGEST_BIT_S = 1 / (FRAME_BITS * 24 * 0.4)

# Of the sound's RMS: what it must pass for its sign to count as changed.
_HYSTERESIS = 0.35
_SILENCE = 1e-3

# An interval longer than this share of a bit is a zero, else half of a one.
_ZERO = 0.75
_NO_BIT = (0.3, 1.5)

# How fast the bit's length follows the tape, and from how many intervals it is guessed.
_PULL = 0.12
_GUESS_FROM = 150
_PAUSE = 10
_LEAST_INTERVALS = 40

# Hum is what an average over so long still follows; the slowest signal is not.
_HUM_S = 0.005

_CHUNK_S = 0.005
_LEVEL_CHUNKS = 6


@dataclass(frozen=True, slots=True)
class LtcFrame:
    """One frame that was heard whole.

    Attributes:
        label: its timecode.
        start_s, end_s: when it was heard, seconds from the first sample fed.
        backwards: the tape runs backwards; then ``end_s`` is where the label begins.
    """

    label: Timecode
    start_s: float
    end_s: float
    backwards: bool


class LtcReader:
    """Hears one channel. One thread.

    Frames are told when the next one confirms them: a label that stands alone may be noise.
    What is told does not depend on how the sound is cut into blocks.

    Args:
        rate: samples a second, at least 16,000.
    """

    def __init__(self, rate: int) -> None:
        if rate < 16_000:
            raise ValueError(f"timecode needs 16,000 samples a second, got {rate}")
        self._rate = rate
        self._edges = _Edges(rate)
        self._bits = _Bits(rate)
        self._word = 0
        self._doubtful: LtcFrame | None = None
        self._sure: LtcFrame | None = None

    def feed(self, samples: F32Array) -> list[LtcFrame]:
        """The frames that are certain now.

        Args:
            samples: (N,) float32, -1..1, right after those fed before.
        """
        told: list[LtcFrame] = []
        for edge in self._edges.feed(samples):
            bit = self._bits.edge(edge)
            if bit is None:
                continue
            self._word = (self._word << 1 | bit) & _WORD
            frame = self._frame() if self._bits.whole else None
            if frame is not None:
                told += self._confirm(frame)
        return told

    def _frame(self) -> LtcFrame | None:
        if self._word & 0xFFFF == _SYNC:
            data = int(f"{self._word:080b}"[::-1], 2) & _DATA
            backwards = False
        elif self._word >> 64 == _SYNC_BACKWARDS:
            data, backwards = self._word & _DATA, True
        else:
            return None
        label = _label(data)
        if label is None:
            return None
        start, end = self._bits.span
        return LtcFrame(label, start / self._rate, end / self._rate, backwards)

    def _confirm(self, frame: LtcFrame) -> list[LtcFrame]:
        for before in (self._sure, self._doubtful):
            if before is None or not _neighbours(before, frame):
                continue
            told = [frame] if before is self._sure else [before, frame]
            self._sure, self._doubtful = frame, None
            return told
        self._doubtful = frame
        return []


def _neighbours(before: LtcFrame, frame: LtcFrame) -> bool:
    if before.backwards != frame.backwards:
        return False
    length_s = frame.end_s - frame.start_s
    if abs(frame.start_s - before.end_s) > 0.25 * length_s:
        return False
    first, second = (frame, before) if frame.backwards else (before, frame)
    return follows(first.label, second.label)


def _label(data: int) -> Timecode | None:
    """Bit k of ``data`` is bit k of the frame."""

    def number(units: int, tens: int, bits: int) -> int:
        ones = data >> units & 15
        return ones + 10 * (data >> tens & (1 << bits) - 1) if ones < 10 else 99

    label = Timecode(
        hours=number(48, 56, 2),
        minutes=number(32, 40, 3),
        seconds=number(16, 24, 3),
        frames=number(0, 8, 2),
        drop=bool(data >> 10 & 1),
    )
    return label if label.is_label() else None


class _Edges:
    """Where the sound changes its sign, in samples; noise about zero does not count."""

    def __init__(self, rate: int) -> None:
        self._chunk = round(rate * _CHUNK_S)
        # Averages what is much shorter than the shortest half of a bit.
        self._smooth = max(round(rate * _SHORTEST_BIT_S / 6), 1)
        self._rest: F32Array = np.empty(0, np.float32)
        self._tail: F32Array = np.zeros(self._smooth - 1, np.float32)
        self._reach = max(round(rate * _HUM_S / 2), 1)
        self._window: F32Array = np.zeros(2 * self._reach, np.float32)
        self._levels: deque[float] = deque(maxlen=_LEVEL_CHUNKS)
        # What comes out is in the middle of what the averages look at.
        self._at = -self._reach - (self._smooth - 1) / 2
        self._last = 0.0
        self._sign = 0

    def feed(self, samples: F32Array) -> list[float]:
        sound = np.concatenate([self._rest, samples.astype(np.float32, copy=False)])
        edges: list[float] = []
        whole = len(sound) // self._chunk * self._chunk
        for start in range(0, whole, self._chunk):
            edges += self._find(sound[start : start + self._chunk])
            self._at += self._chunk
        self._rest = sound[whole:]
        return edges

    def _find(self, chunk: F32Array) -> list[float]:
        centred = self._clean(chunk)
        self._levels.append(float(np.square(centred).mean()))
        limit = _HYSTERESIS * float(np.mean(self._levels)) ** 0.5
        if limit < _SILENCE * _HYSTERESIS:
            self._last = 0.0
            return []
        signs = np.where(centred > limit, 1, np.where(centred < -limit, -1, 0))
        firm = np.flatnonzero(signs)
        if not len(firm):
            self._last = float(centred[-1])
            return []
        before = np.concatenate([[self._sign], signs[firm[:-1]]])
        changed = firm[(signs[firm] != before) & (before != 0)]
        edges = []
        for place in changed.tolist():
            now, was = float(centred[place]), float(centred[place - 1]) if place else self._last
            wanted = limit if now > 0 else -limit
            step = now - was
            back = min(max((now - wanted) / step, 0.0), 1.0) if step else 0.0
            edges.append(self._at + place - back)
        self._sign = int(signs[firm[-1]])
        self._last = float(centred[-1])
        return edges

    def _clean(self, chunk: F32Array) -> F32Array:
        """The sound without hiss above the signal and without hum below it."""
        if self._smooth > 1:
            longer = np.concatenate([self._tail, chunk])
            self._tail = longer[len(longer) - self._smooth + 1 :]
            chunk = np.convolve(longer, np.full(self._smooth, 1 / self._smooth), "valid")
        longer = np.concatenate([self._window, chunk])
        self._window = longer[-2 * self._reach :]
        # Summed within the chunk alone, so that no error can add up over an evening.
        sums = np.concatenate([[0.0], np.cumsum(longer, dtype=np.float64)])
        width = 2 * self._reach + 1
        hum = (sums[width:] - sums[:-width]) / width
        return np.asarray(longer[self._reach : self._reach + len(chunk)] - hum, np.float32)


class _Bits:
    """Bits from edges, at a bit length that follows the tape.

    Attributes:
        span: first and last edge of the latest frame's length of bits, samples.
    """

    def __init__(self, rate: int) -> None:
        self._range = rate * _SHORTEST_BIT_S / 2, rate * _LONGEST_BIT_S
        self._intervals: deque[float] = deque(maxlen=_GUESS_FROM)
        self._bounds: deque[float] = deque(maxlen=FRAME_BITS + 1)
        self._edge: float | None = None
        self._half = 0.0
        self._bit = 0.0

    @property
    def whole(self) -> bool:
        """True when a whole frame's bits came without a gap."""
        return len(self._bounds) == FRAME_BITS + 1

    @property
    def span(self) -> tuple[float, float]:
        return self._bounds[0], self._bounds[-1]

    def edge(self, at: float) -> int | None:
        """The bit that ends with this edge, if one does."""
        interval = at - self._edge if self._edge is not None else 0.0
        self._edge = at
        if not self._range[0] <= interval <= self._range[1]:
            if interval > _PAUSE * self._range[1]:
                # The tape may come back at another speed.
                self._intervals.clear()
            self._lose()
            return None
        self._intervals.append(interval)
        if not self._bit and not self._guess():
            return None
        share = interval / self._bit
        if not _NO_BIT[0] < share < _NO_BIT[1]:
            self._lose()
            return None
        if share > _ZERO:
            if self._half:
                # Half a one and then a zero: the halves were paired wrongly.
                self._half = 0.0
                self._bounds.clear()
                self._bounds.append(at - interval)
            return self._add(0, interval, at)
        if not self._half:
            self._half = interval
            if not self._bounds:
                self._bounds.append(at - interval)
            return None
        both, self._half = self._half + interval, 0.0
        return self._add(1, both, at)

    def _add(self, bit: int, length: float, at: float) -> int:
        if not self._bounds:
            self._bounds.append(at - length)
        self._bit += _PULL * (length - self._bit)
        self._bounds.append(at)
        return bit

    def _guess(self) -> bool:
        """The bit's length from the longer ones of the intervals: each frame has zeros."""
        if len(self._intervals) < _LEAST_INTERVALS:
            return False
        lengths = np.sort(np.array(self._intervals))
        long = lengths[int(0.93 * len(lengths))]
        self._bit = float(lengths[(lengths > _ZERO * long) & (lengths < 1.3 * long)].mean())
        return True

    def _lose(self) -> None:
        self._bounds.clear()
        self._bit = self._half = 0.0
