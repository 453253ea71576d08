"""The refiner as the pipeline uses it: where it can help, and while there is time."""

from __future__ import annotations

from collections.abc import Mapping

from mien.config import RefineConfig
from mien.mending import STAGE
from mien.models.catalogue import model_bytes
from mien.refining.allowance import Allowance
from mien.refining.stage import PerformerView, RefinerStage
from mien.types import FaceTrack, Patch, U8Array

# Smaller faces have nothing that a viewer could see mended.
_LEAST_WIDTH_PX = 40


class Refinement:
    """Looks at a face before it is painted over, and mends it after; belongs to one thread.

    Args:
        stage: the network and what goes round it.
        allowance: whether there is time.
    """

    def __init__(self, stage: RefinerStage, allowance: Allowance) -> None:
        self._stage = stage
        self._allowance = allowance

    def look(self, frame_bgr: U8Array, track: FaceTrack) -> PerformerView | None:
        """What :meth:`refine` needs to know of the bare face; None where it will not mend."""
        left, _, right, _ = track.box
        if not self._allowance.mends or right - left < _LEAST_WIDTH_PX:
            return None
        return self._stage.look(frame_bgr, track)

    def refine(
        self, frame_bgr: U8Array, patch: Patch, track: FaceTrack, view: PerformerView | None
    ) -> None:
        """Mends a face in the frame, in place, if it was looked at and is of a known kind.

        Args:
            frame_bgr: (H, W, 3) uint8, with the patch in it.
            patch: what the compositor blended.
            track: the face.
            view: what :meth:`look` returned for this face.
        """
        if view is not None and patch.mendable:
            self._stage.refine(frame_bgr, patch, track, view)

    def settle(self, stage_ms: Mapping[str, float]) -> None:
        """Books the times of a frame, by stage."""
        mending_ms = stage_ms.get(STAGE, 0.0)
        self._allowance.spent(sum(stage_ms.values()) - mending_ms, mending_ms)


def open_refinement(config: RefineConfig, *, threads: int = 1) -> Refinement | None:
    """The refiner that ships with mien; None where it is not wanted.

    Args:
        config: when, how much, and in what time.
        threads: of the network.

    Raises:
        ModelError: the model file is missing or corrupt.
    """
    if config.mode == "off":
        return None
    stage = RefinerStage(model_bytes("refiner"), threads=threads, strength=config.strength)
    return Refinement(stage, Allowance(config.budget_ms if config.mode == "auto" else 0.0))
