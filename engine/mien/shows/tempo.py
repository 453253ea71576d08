"""From beats to seconds and back, under a tempo that may change at any beat."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

SLOWEST_BPM, FASTEST_BPM = 10.0, 400.0


class TempoMap:
    """Beats on the show clock. Immutable; any thread may use it.

    Beat 0 is the first beat of bar 1 and falls on ``offset_s``; the first tempo also holds
    before it.

    Args:
        changes: (beat, beats per minute), the first at beat 0, beats rising.
        beats_per_bar: length of every bar.
        offset_s: show time of beat 0, seconds.

    Raises:
        ValueError: a tempo is out of range or a beat does not rise.
    """

    def __init__(
        self,
        changes: Sequence[tuple[float, float]] = ((0.0, 120.0),),
        *,
        beats_per_bar: int = 4,
        offset_s: float = 0.0,
    ) -> None:
        if not changes or changes[0][0] != 0:
            raise ValueError("the first tempo must stand at beat 0")
        if beats_per_bar < 1:
            raise ValueError(f"a bar needs at least one beat, got {beats_per_bar}")
        self.beats_per_bar = beats_per_bar
        self._beats: list[float] = []
        self._times: list[float] = []
        self._tempi: list[float] = []
        time_s = offset_s
        for beat, bpm in changes:
            if not SLOWEST_BPM <= bpm <= FASTEST_BPM:
                raise ValueError(
                    f"a tempo lies between {SLOWEST_BPM:.0f} and {FASTEST_BPM:.0f} bpm, got {bpm}"
                )
            if self._beats:
                if beat <= self._beats[-1]:
                    raise ValueError(f"tempo changes must come in order, beat {beat} does not")
                time_s += (beat - self._beats[-1]) * 60.0 / self._tempi[-1]
            self._beats.append(float(beat))
            self._times.append(time_s)
            self._tempi.append(float(bpm))

    def seconds(self, beat: float) -> float:
        """Show time of a beat."""
        place = max(bisect_right(self._beats, beat) - 1, 0)
        return self._times[place] + (beat - self._beats[place]) * 60.0 / self._tempi[place]

    def beat(self, time_s: float) -> float:
        """The beat at a show time."""
        place = max(bisect_right(self._times, time_s) - 1, 0)
        return self._beats[place] + (time_s - self._times[place]) * self._tempi[place] / 60.0

    def bpm(self, time_s: float) -> float:
        """The tempo at a show time."""
        return self._tempi[max(bisect_right(self._times, time_s) - 1, 0)]

    def bar_and_beat(self, time_s: float) -> tuple[int, float]:
        """Bar and beat in the bar, both counted from 1."""
        beat = self.beat(time_s)
        bar = int(beat // self.beats_per_bar)
        return bar + 1, beat - bar * self.beats_per_bar + 1.0

    def beat_of_bar(self, bar: int, beat: float = 1.0) -> float:
        """The beat number of a place like bar 3, beat 2.5."""
        return (bar - 1) * self.beats_per_bar + (beat - 1.0)

    def span_s(self, beats: float, start_s: float) -> float:
        """How long so many beats last from a show time on."""
        return self.seconds(self.beat(start_s) + beats) - start_s
