"""SMPTE timecode: hours, minutes, seconds and frames of one picture, at a rate."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LABEL = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2})([:;.])(\d{1,2})")

_DROPPED = 2
_NTSC = 1000 / 1001


@dataclass(frozen=True, slots=True)
class Timecode:
    """One label.

    Attributes:
        hours, minutes, seconds, frames: as they are written.
        drop: frame numbers 0 and 1 are left out at each minute but every tenth, so that 29.97
            frames a second keep to the wall's clock.
    """

    hours: int
    minutes: int
    seconds: int
    frames: int
    drop: bool = False

    def __str__(self) -> str:
        last = ";" if self.drop else ":"
        return f"{self.hours:02}:{self.minutes:02}:{self.seconds:02}{last}{self.frames:02}"

    def is_label(self, frames_per_s: int = 30) -> bool:
        """True when the numbers can stand on a tape of that nominal rate."""
        fits = self.hours < 24 and self.minutes < 60 and self.seconds < 60
        skipped = self.drop and self.seconds == 0 and self.frames < _DROPPED and self.minutes % 10
        return fits and self.frames < frames_per_s and not skipped

    def count(self, frames_per_s: int) -> int:
        """Frames from 00:00:00:00 on, of a nominal rate of 24, 25 or 30."""
        minutes = self.hours * 60 + self.minutes
        count = (minutes * 60 + self.seconds) * frames_per_s + self.frames
        return count - _DROPPED * (minutes - minutes // 10) if self.drop else count

    def time_s(self, frames_per_s: int) -> float:
        """Seconds from 00:00:00:00 on.

        Drop-frame labels keep the wall's time. Others are taken at their word: an hour on the
        tape is 3600 s, also where 23.976 or 29.97 pictures a second make it 0.1% longer.
        """
        count = self.count(frames_per_s)
        return count / (frames_per_s * _NTSC) if self.drop else count / frames_per_s


def read_timecode(text: str) -> Timecode:
    """A label from ``01:00:10:12``, or ``01:00:10;12`` of a drop-frame tape.

    Raises:
        ValueError: with what to write instead.
    """
    match = _LABEL.fullmatch(text.strip())
    if match is not None:
        hours, minutes, seconds, sign, frames = match.groups()
        label = Timecode(int(hours), int(minutes), int(seconds), int(frames), sign != ":")
        if label.is_label():
            return label
        if label.is_label(100):
            raise ValueError("frames count to 23, 24 or 29, by the tape's rate")
        if label.drop and label.frames < _DROPPED:
            raise ValueError("a drop-frame tape has no such label; take the next: ;02")
    raise ValueError('write a timecode like "01:00:10:12" (with ; before drop frames)')


def follows(one: Timecode, other: Timecode) -> bool:
    """True when ``other`` is the label after ``one``, at whatever rate."""
    before = (one.hours * 60 + one.minutes) * 60 + one.seconds
    after = (other.hours * 60 + other.minutes) * 60 + other.seconds
    if one.drop != other.drop:
        return False
    if before == after:
        return other.frames == one.frames + 1
    if after not in (before + 1, before + 1 - 86_400) or one.frames < 23:
        return False
    skips = other.drop and other.seconds == 0 and other.minutes % 10
    return other.frames == (_DROPPED if skips else 0)


class RateGuess:
    """Frames a second of a tape, learned from its labels; LTC does not say."""

    def __init__(self) -> None:
        self.frames_per_s = 0
        self._largest = 0

    def learn(self, before: Timecode | None, label: Timecode, measured: float) -> int:
        """The nominal rate, 24, 25 or 30, after one more label.

        Args:
            before: the label heard just before it, if it was its neighbour.
            label: the label.
            measured: frames a second at the speed at which the tape runs now; tells only
                until the labels have: once the seconds move on, the rate is certain.
        """
        self._largest = max(self._largest, label.frames)
        if label.drop or self._largest > 24:
            self.frames_per_s = 30
        elif before is not None and before.seconds != label.seconds:
            last = max(before.frames, label.frames)
            self.frames_per_s = {23: 24, 24: 25}.get(last, 30)
        elif not self.frames_per_s or self._largest >= self.frames_per_s:
            likely = [rate for rate in (24, 25, 30) if rate > self._largest]
            self.frames_per_s = min(likely, key=lambda rate: abs(rate - measured))
        return self.frames_per_s
