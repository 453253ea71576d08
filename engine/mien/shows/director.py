"""The show as the pipeline's director: a look for every role, before every frame."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from mien.look import Blend, Face, Look
from mien.shows.player import ShowPlayer
from mien.types import Frame

NS_PER_S = 1e9

Clock = Callable[[Frame], tuple[float, float | None]]
"""The run's time at a frame, and the show's where another machine gives it."""


def stream_clock(frame: Frame) -> tuple[float, float | None]:
    """The time of the frame on its own stream: for files, the same in every run."""
    return frame.pts_ns / NS_PER_S, None


class ShowDirector:
    """Asks the player what everybody wears at each frame. Belongs to the frames' thread.

    Args:
        player: the show.
        clock: time of a frame; :func:`stream_clock` for files.
        record: takes one line of JSON a frame: the decisions, to compare two runs.
    """

    def __init__(
        self,
        player: ShowPlayer,
        clock: Clock = stream_clock,
        record: Callable[[str], object] | None = None,
    ) -> None:
        self.player = player
        self._clock = clock
        self._record = record

    def looks(self, frame: Frame) -> Mapping[str, Look]:
        """Look by role."""
        now_s, show_s = self._clock(frame)
        self.player.advance(now_s, show_s)
        looks = self.player.looks()
        if self._record is not None:
            self._record(decision_line(frame, looks))
        return looks


def decision_line(frame: Frame, looks: Mapping[str, Look]) -> str:
    """One frame's decisions, in one way of writing."""
    return json.dumps(
        {
            "frame": frame.index,
            "pts_ns": frame.pts_ns,
            "looks": {
                role: {
                    "face": _described(look.face),
                    "likeness": round(look.likeness, 6),
                    "iris": round(look.iris, 6),
                    "lips": round(look.lips, 6),
                    "slate": look.slate,
                }
                for role, look in sorted(looks.items())
            },
        },
        separators=(",", ":"),
    )


def _described(face: Face) -> object:
    if isinstance(face, Blend):
        facts = [_described(face.base), face.top, round(face.amount, 6), face.how, face.side]
        return facts if face.skin is None else [*facts, round(face.skin, 6)]
    return face
