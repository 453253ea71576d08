"""Linear timecode as a machine would play it, made anew from the standard's tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from mien.shows.timecode import Timecode
from mien.types import F32Array

RATE = 48_000


def bits_of(label: Timecode, user: int = 0) -> list[int]:
    """The 80 bits of a frame, in the order in which they are played."""
    bits = [0] * 80

    def put(value: int, at: int, length: int) -> None:
        for place in range(length):
            bits[at + place] = value >> place & 1

    for value, units, tens, length in (
        (label.frames, 0, 8, 2),
        (label.seconds, 16, 24, 3),
        (label.minutes, 32, 40, 3),
        (label.hours, 48, 56, 2),
    ):
        put(value % 10, units, 4)
        put(value // 10, tens, length)
    bits[10] = int(label.drop)
    for group in range(8):
        put(user >> 4 * group & 15, 4 + 8 * group, 4)
    put(0xBFFC, 64, 16)
    return bits


def labels(first: Timecode, nominal: int) -> Iterator[Timecode]:
    """The labels from one on, by counting as the standard says, not by mien's arithmetic."""
    h, m, s, f = first.hours, first.minutes, first.seconds, first.frames
    while True:
        yield Timecode(h, m, s, f, first.drop)
        f += 1
        if f == nominal:
            f, s = 0, s + 1
        if s == 60:
            s, m = 0, m + 1
            if first.drop and m % 10:
                f = 2
        if m == 60:
            m, h = 0, (h + 1) % 24


def play(
    first: Timecode,
    count: int,
    fps: float,
    *,
    nominal: int = 30,
    speed: Callable[[float], float] = lambda share: 1.0,
    rate: int = RATE,
    level: float = 0.5,
    rise_s: float = 40e-6,
    noise: float = 0.0,
    hum: float = 0.0,
    user: int = 0,
    lead_s: float = 0.0,
) -> tuple[F32Array, list[tuple[Timecode, float]]]:
    """The sound, and when each label begins.

    Args:
        first, count: the labels.
        fps, nominal: pictures a second, and the number that they are counted to.
        speed: of the tape, where a share 0..1 of it has been played.
        rise_s: how long the sign takes to change.
        noise, hum: RMS of white noise, and of 50 Hz, beside a signal of ``level``.
        user: 32 bits for the tape's users.
        lead_s: silence before it.
    """
    edges: list[float] = []
    begins: list[tuple[Timecode, float]] = []
    now = lead_s
    counting = labels(first, nominal)
    for place in range(count):
        label = next(counting)
        begins.append((label, now))
        bit_s = 1 / (80 * fps * speed(place / count))
        for bit in bits_of(label, user):
            edges += [now, now + bit_s / 2] if bit else [now]
            now += bit_s
    edges.append(now)
    time = np.arange(round((now + 0.02) * rate)) / rate
    flips = np.searchsorted(edges, time, side="right")
    nearest = np.asarray(edges)[np.clip(flips - 1, 0, len(edges) - 1)]
    sign = np.where(flips % 2, 1.0, -1.0)
    ramp = np.clip((time - nearest) / rise_s * 2.0 - 1.0, -1.0, 1.0)
    sound = np.where(flips > 0, level * sign * ramp, 0.0)
    sound[time > now + 0.001] = 0.0
    chance = np.random.default_rng(7)
    sound += noise * chance.standard_normal(len(sound))
    sound += hum * np.sqrt(2) * np.sin(2 * np.pi * 50 * time)
    return sound.astype(np.float32), begins
