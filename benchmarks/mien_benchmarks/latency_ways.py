"""What the latency bench is told, and what it gathers on each way; needs no WebRTC."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.resources import as_file, files
from typing import Any, Literal

import av
import numpy as np

from mien.personas.persona import Persona
from mien.types import U8Array

Work = Literal["none", "mesh"]
Codec = Literal["H264", "VP8"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencySettings:
    """What is measured.

    Attributes:
        size: (width, height) of the pictures.
        fps: their rate.
        codec: both ways.
        seconds: length of each round, after a warm-up.
        rounds: of each way, taken in turns.
        work: what is done to a picture between in and out.
        persona: who is worn with ``mesh``.
    """

    size: tuple[int, int] = (1280, 720)
    fps: int = 30
    codec: Codec = "H264"
    seconds: float = 10.0
    rounds: int = 2
    work: Work = "none"
    persona: Persona | None = None


@dataclass(slots=True)
class Way:
    """Everything measured on one way.

    Attributes:
        samples: ms from drawing to showing, of every picture that came back.
        sent: pictures drawn; unread: shown with a damaged number; doubled: shown twice.
    """

    samples: list[float] = field(default_factory=list)
    sent: int = 0
    unread: int = 0
    doubled: int = 0
    widths: dict[str, int] = field(default_factory=dict)
    browser_ms: list[dict[str, float | None]] = field(default_factory=list)

    def add(self, result: dict[str, Any]) -> None:
        """Takes the result of one round."""
        self.samples += result["samples"]
        self.sent += result["sent"]
        self.unread += result["unread"]
        self.doubled += result["doubled"]
        self.browser_ms.append(result["browser_ms"])
        for width, count in result["widths"].items():
            self.widths[width] = self.widths.get(width, 0) + count

    def summary(self) -> dict[str, Any]:
        """Percentiles and counts."""
        known = sorted({key for times in self.browser_ms for key in times})
        return {
            **percentiles(self.samples),
            "pictures": len(self.samples),
            "sent": self.sent,
            "lost": max(self.sent - len(self.samples) - self.unread, 0),
            "unread": self.unread,
            "doubled": self.doubled,
            "widths": self.widths,
            "browser_ms": {key: _mean([t.get(key) for t in self.browser_ms]) for key in known},
        }


def percentiles(samples: list[float]) -> dict[str, float]:
    """``{"p50", "p95", "p99", "max"}``; zeros without samples."""
    ordered = sorted(samples)
    if not ordered:
        return {"p50": 0.0, "p95": 0.0, "p99": 0.0, "max": 0.0}

    def at(part: float) -> float:
        return round(ordered[min(int(part * len(ordered)), len(ordered) - 1)], 2)

    return {"p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": round(ordered[-1], 2)}


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 2) if known else None


def clip_pictures(size: tuple[int, int], count: int = 60) -> list[U8Array]:
    """The first pictures of the bundled clip, in (width, height)."""
    with (
        as_file(files("mien_streamer").joinpath("demo", "driver.mp4")) as clip,
        av.open(str(clip)) as container,
    ):
        return [
            np.ascontiguousarray(picture.reformat(*size, format="bgr24").to_ndarray(), np.uint8)
            for _, picture in zip(range(count), container.decode(video=0), strict=False)
        ]
