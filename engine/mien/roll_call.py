"""Who of those in the picture is to be swapped, and with what look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mien.look import EVERYONE, Look, is_clear
from mien.types import FaceTrack, Frame

# One of several performers who is gone for longer has left the stage.
_LOST_NS = 1_000_000_000

Part = tuple[FaceTrack, "Look | None"]
"""A face to be swapped, and its look; None is that of the persona on stage."""


class Fault(Exception):
    """No trustworthy swapped patch; the text is the reason."""


class RollCall:
    """Remembers who was seen when; belongs to the pipeline's thread."""

    def __init__(self) -> None:
        self._seen_ns: dict[str, int] = {}
        self._anyone_seen = False

    def parts(
        self, frame: Frame, performers: Sequence[FaceTrack], looks: Mapping[str, Look]
    ) -> list[Part]:
        """Those to be swapped; performers who are to be bare are left out.

        Args:
            frame: for its time.
            performers: who is found in it.
            looks: by role; empty where one persona is on stage.

        Raises:
            Fault: somebody who must be covered is not found.
        """
        if not performers:
            raise Fault("performer lost" if self._anyone_seen else "no performer seen")
        self._anyone_seen = True
        if not looks:
            return [(track, None) for track in performers]
        parts: list[Part] = []
        for track in performers:
            self._seen_ns[track.role] = frame.pts_ns
            look = looks.get(track.role, looks.get(EVERYONE))
            if look is not None and not is_clear(look):
                parts.append((track, look))
        for role, look in looks.items():
            lost_ns = frame.pts_ns - self._seen_ns.get(role, frame.pts_ns)
            if 0 < lost_ns < _LOST_NS and not is_clear(look):
                raise Fault(f"{role or 'performer'} lost")
        return parts
