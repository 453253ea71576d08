"""What the pipeline asks of each stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from mien.personas.persona import Persona
from mien.types import F32Array, FaceTrack, Frame, Patch, U8Array


class TrackerStage(Protocol):
    """Finds and follows faces."""

    def track(self, frame: Frame) -> list[FaceTrack]: ...
    def reset(self) -> None: ...
    def enrol_performer(self, descriptor: F32Array | None) -> None: ...
    def enrol_cast(self, descriptors: Mapping[str, F32Array]) -> None: ...
    def close(self) -> None: ...


class SwapperStage(Protocol):
    """Draws a persona on a track."""

    def prepare(self, persona: Persona) -> object: ...
    def swap(self, frame: Frame, track: FaceTrack, state: object) -> Patch: ...
    def close(self) -> None: ...


class CompositorStage(Protocol):
    """Paints a patch into the frame."""

    def composite(self, frame_bgr: U8Array, patch: Patch, track: FaceTrack) -> None: ...


class RefinementStage(Protocol):
    """Mends a face that was painted, knowing what it looked like before."""

    def look(self, frame_bgr: U8Array, track: FaceTrack) -> Any: ...
    def refine(self, frame_bgr: U8Array, patch: Patch, track: FaceTrack, view: Any) -> None: ...
    def settle(self, stage_ms: Mapping[str, float]) -> None: ...


class OcclusionStage(Protocol):
    """Finds what covers a face before it is painted, and puts it back in front after."""

    def look(self, frame_bgr: U8Array, track: FaceTrack) -> Any: ...
    def restore(self, frame_bgr: U8Array, patch: Patch, view: Any) -> None: ...


class MarkerStage(Protocol):
    """Paints the mark into the frame."""

    def apply(self, frame_bgr: U8Array) -> None: ...
