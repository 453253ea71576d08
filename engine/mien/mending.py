"""A refinement whose faults cost a complaint and no frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

from mien.stages import RefinementStage
from mien.timing import Stopwatch
from mien.types import FaceTrack, Frame, Patch

STAGE = "refine"
"""What its time is called among those of the stages."""


@runtime_checkable
class Choosy(Protocol):
    """A swapper of whose faces some are not to be mended."""

    def is_refined(self, state: object) -> bool: ...


def is_refined(swapper: object, state: object) -> bool:
    """True where a refinement may mend what the swapper draws of a state.

    One that was trained on the faults of one way of drawing spoils another's.
    """
    return not isinstance(swapper, Choosy) or swapper.is_refined(state)


class Mending:
    """Mends painted faces where there is a refinement; a face that it fails on stays as painted.

    Args:
        stage: mends; None leaves all faces as they were painted.
        blame: told what was being done, and the exception.
    """

    def __init__(
        self, stage: RefinementStage | None, blame: Callable[[str, Exception], object]
    ) -> None:
        self._stage = stage
        self._blame = blame

    def look(
        self, frame: Frame, track: FaceTrack, swapper: object, state: object, watch: Stopwatch
    ) -> object:
        """What :meth:`mend` needs to know of the bare face; None where it will not mend.

        Args:
            frame: before the swapper paints.
            track: the face.
            swapper, state: what will draw it, and as whom; see :func:`is_refined`.
            watch: told how long it took, if anything was looked at.
        """
        if self._stage is None or not is_refined(swapper, state):
            return None
        try:
            view = self._stage.look(frame.bgr, track)
        except Exception as error:
            self._blame("refining", error)
            return None
        if view is not None:
            watch.lap(STAGE)
        return view

    def mend(
        self, frame: Frame, patch: Patch, track: FaceTrack, view: object, watch: Stopwatch
    ) -> None:
        """Mends the painted face in the frame, if it was looked at."""
        if self._stage is None or view is None:
            return
        try:
            self._stage.refine(frame.bgr, patch, track, view)
        except Exception as error:
            self._blame("refining", error)
        watch.lap(STAGE)

    def settle(self, stage_ms: Mapping[str, float]) -> None:
        """Tells the refinement how long each stage of a frame took."""
        if self._stage is not None:
            self._stage.settle(stage_ms)
