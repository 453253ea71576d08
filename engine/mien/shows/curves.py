"""How a transition runs: from the share of its time to the share of its change."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from typing import Literal, Protocol, get_args

CurveName = Literal["linear", "ease", "spring"]
CURVE_NAMES: tuple[str, ...] = get_args(CurveName)

# Critically damped: arrives fast, never overshoots (a face beyond the persona is no face).
# At 4.5 its steepest step is 1.8 times the mean one.
_SPRING = 4.5
_NEWTON_STEPS = 6


class Curve(Protocol):
    """0 at 0, 1 at 1, never falling."""

    def __call__(self, time: float) -> float: ...


@dataclass(frozen=True, slots=True)
class Named:
    """One of the curves with a name."""

    name: CurveName

    def __call__(self, time: float) -> float:
        time = min(max(time, 0.0), 1.0)
        if self.name == "ease":
            return time * time * (3.0 - 2.0 * time)
        if self.name == "spring":
            settled = 1.0 - (1.0 + _SPRING) * exp(-_SPRING)
            return (1.0 - (1.0 + _SPRING * time) * exp(-_SPRING * time)) / settled
        return time


@dataclass(frozen=True, slots=True)
class Bezier:
    """A cubic through (0, 0) and (1, 1), as CSS writes it.

    All four numbers lie in 0..1: then the curve never falls and never overshoots.
    """

    x1: float
    y1: float
    x2: float
    y2: float

    def __post_init__(self) -> None:
        if not all(0.0 <= value <= 1.0 for value in (self.x1, self.y1, self.x2, self.y2)):
            raise ValueError("the four numbers of a Bezier curve lie in 0..1")

    def __call__(self, time: float) -> float:
        time = min(max(time, 0.0), 1.0)
        low, high, t = 0.0, 1.0, time
        # Newton where it converges, bisection where the curve stands still.
        for _ in range(_NEWTON_STEPS * 4):
            error = _cubic(t, self.x1, self.x2) - time
            if abs(error) < 1e-9:
                break
            low, high = (low, t) if error > 0.0 else (t, high)
            slope = _slope(t, self.x1, self.x2)
            t = t - error / slope if slope > 1e-6 else (low + high) / 2
            if not low < t < high:
                t = (low + high) / 2
        return _cubic(t, self.y1, self.y2)


def _cubic(t: float, a: float, b: float) -> float:
    return 3 * a * t * (1 - t) ** 2 + 3 * b * t * t * (1 - t) + t**3


def _slope(t: float, a: float, b: float) -> float:
    return 3 * a * (1 - t) ** 2 + 6 * (b - a) * t * (1 - t) + 3 * (1 - b) * t * t
