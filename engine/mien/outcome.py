"""What became of one frame."""

from __future__ import annotations

from dataclasses import dataclass, field

from mien.types import FaceTrack, Frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one frame.

    Attributes:
        frame: what may be shown.
        tracks: every face found in the picture as it came.
        swapped: number of faces that wear the persona.
        guarded: True when the guard chose the picture.
        reason: why nothing was swapped, in a few words; empty when all went well.
        stage_ms: milliseconds by stage: track, occlude, swap, composite, refine, mark, planes,
            guard.
    """

    frame: Frame
    tracks: list[FaceTrack] = field(default_factory=list)
    swapped: int = 0
    guarded: bool = False
    reason: str = ""
    stage_ms: dict[str, float] = field(default_factory=dict)
