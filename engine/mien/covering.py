"""Things before a face that stay before the persona; a fault never bares the performer."""

from __future__ import annotations

from collections.abc import Callable

from mien.stages import OcclusionStage
from mien.timing import Stopwatch
from mien.types import FaceTrack, Frame, Patch

STAGE = "occlude"
"""What its time is called among those of the stages."""


class Covering:
    """Looks for what covers a face, where there is a stage for it.

    Args:
        stage: finds what covers; None lets the persona cover all.
        blame: told what was being done, and the exception.
    """

    def __init__(
        self, stage: OcclusionStage | None, blame: Callable[[str, Exception], object]
    ) -> None:
        self._stage = stage
        self._blame = blame

    def look(self, frame: Frame, track: FaceTrack, watch: Stopwatch) -> object:
        """What :meth:`restore` needs; None where nothing covers the face.

        A look that fails leaves the persona over everything, as without the stage.
        """
        if self._stage is None:
            return None
        try:
            return self._stage.look(frame.bgr, track)
        except Exception as error:
            self._blame("looking for what covers the face", error)
            return None
        finally:
            watch.lap(STAGE)

    def restore(self, frame: Frame, patch: Patch, seen: object, watch: Stopwatch) -> bool:
        """Puts what covers the face back in front of the persona.

        Returns:
            False when that failed: the frame may then show anything.
        """
        if self._stage is None or seen is None:
            return True
        try:
            self._stage.restore(frame.bgr, patch, seen)
        except Exception as error:
            self._blame("uncovering", error)
            return False
        finally:
            watch.lap(STAGE)
        return True
