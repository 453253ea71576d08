"""The demo show's backing beat: drums, bass and chords, computed, the same every time.

Original, made for mien, dedicated to the public domain (CC0 1.0). A bar of soul at 100 bpm,
played ten times: kick, snare, hats with swing, a walking bass, and an electric piano that
opens up towards the end.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

RATE = 48_000
BPM = 100.0
BARS = 10
BEATS_PER_BAR = 4

_SWING = 0.58
_SEED = 20260101

Sound = npt.NDArray[np.float64]

# Roots and chords (MIDI numbers), two bars each, over and over: Am9 - Dm9 - Fmaj9 - E7#9.
_CHORDS = (
    (45, (60, 64, 67, 71)),
    (50, (60, 65, 69, 76)),
    (41, (60, 64, 67, 69)),
    (40, (56, 62, 67, 68)),
)


def render() -> npt.NDArray[np.int16]:
    """The beat as (N, 2) int16 at :data:`RATE`, 24 seconds."""
    beat_s = 60.0 / BPM
    total = round(BARS * BEATS_PER_BAR * beat_s * RATE)
    left, right = np.zeros(total), np.zeros(total)
    noise = np.random.default_rng(_SEED)

    def put(sound: Sound, beat: float, level: float, pan: float = 0.0) -> None:
        start = round(beat * beat_s * RATE)
        room = min(len(sound), total - start)
        if room > 0:
            left[start : start + room] += sound[:room] * level * np.sqrt((1 - pan) / 2)
            right[start : start + room] += sound[:room] * level * np.sqrt((1 + pan) / 2)

    for bar in range(BARS):
        _bar(put, bar, bar * BEATS_PER_BAR, noise)
    mix = np.stack([_softened(left), _softened(right)], axis=1)
    mix[-RATE // 2 :] *= np.linspace(1.0, 0.0, RATE // 2)[:, None] ** 1.5
    return np.asarray(np.round(mix * 32000.0), np.int16)


def _bar(put: Callable[..., None], bar: int, at: int, noise: np.random.Generator) -> None:
    root, chord = _CHORDS[bar // 2 % 4]
    last = bar == BARS - 1
    for beat in (0.0, 1.5, 2.25) if not last else (0.0,):
        put(_kick(), at + beat, 0.95)
    if bar > 0 and not last:
        for beat in (1.0, 3.0):
            put(_snare(noise), at + beat, 0.55, 0.05)
        if bar % 4 == 3:
            for beat, level in ((3.5, 0.25), (3.75, 0.4)):
                put(_snare(noise), at + beat, level)
    for eighth in range(8 if not last else 1):
        beat = eighth // 2 + (_SWING if eighth % 2 else 0.0)
        put(_hat(noise, 0.16 if eighth == 7 else 0.04), at + beat, 0.16, 0.3)
    for beat, step, length in ((0.0, 0, 0.9), (1.5, 7, 0.4), (2.25, 12, 0.35), (3.0, 10, 0.5)):
        put(_bass(root - 12 + step, length if not last else 2.5), at + beat, 0.5)
        if last:
            break
    level = 0.10 + 0.012 * bar
    for note in chord:
        put(_keys(note, 2.2 if not last else 3.5), at, level, -0.25)
        if bar >= 4 and not last:
            put(_keys(note + 12, 0.5), at + 2 + _SWING, level * 0.45, -0.4)


def _time(length_s: float) -> Sound:
    return np.arange(round(length_s * RATE)) / RATE


def _kick() -> Sound:
    t = _time(0.32)
    phase = 2 * np.pi * (48.0 * t + 110.0 * 0.03 * (1 - np.exp(-t / 0.03)))
    return np.asarray(np.sin(phase) * np.exp(-t / 0.11) + 0.3 * np.exp(-t / 0.003))


def _snare(noise: np.random.Generator) -> Sound:
    t = _time(0.22)
    rattle = np.diff(noise.standard_normal(len(t) + 1)) * np.exp(-t / 0.06)
    return np.asarray(0.45 * rattle + 0.7 * np.sin(2 * np.pi * 190.0 * t) * np.exp(-t / 0.045))


def _hat(noise: np.random.Generator, decay_s: float) -> Sound:
    t = _time(min(decay_s * 4, 0.3))
    hiss = np.diff(noise.standard_normal(len(t) + 2), n=2)
    return np.asarray(hiss * np.exp(-t / decay_s) * 0.5)


def _bass(note: int, beats: float) -> Sound:
    t = _time(beats * 60.0 / BPM)
    hz = _hz(note)
    wave = sum(np.sin(2 * np.pi * hz * k * t) / k**1.6 for k in range(1, 6))
    return np.asarray(wave * np.minimum(1.0, t / 0.008) * np.exp(-t / 0.6) * _release(t))


def _keys(note: int, beats: float) -> Sound:
    t = _time(beats * 60.0 / BPM)
    hz = _hz(note)
    bell = np.sin(2 * np.pi * hz * 14 * t) * np.exp(-t / 0.05) * 0.6
    tone = np.sin(2 * np.pi * hz * t + bell) + 0.3 * np.sin(4 * np.pi * hz * t) * np.exp(-t / 0.3)
    tremolo = 1.0 + 0.12 * np.sin(2 * np.pi * 4.6 * t)
    return np.asarray(tone * tremolo * np.exp(-t / 0.9) * np.minimum(1.0, t / 0.004) * _release(t))


def _release(t: Sound) -> Sound:
    return np.asarray(np.minimum(1.0, (t[-1] - t) / 0.02))


def _hz(note: int) -> float:
    return 440.0 * float(2.0 ** ((note - 69) / 12.0))


def _softened(channel: Sound) -> Sound:
    return np.asarray(np.tanh(channel * 0.9))
