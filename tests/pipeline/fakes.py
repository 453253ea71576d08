"""Stages that do what a test tells them, and pictures to run them on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mien.config import GuardConfig, MarkConfig, PipelineConfig
from mien.face_mesh import face_mesh
from mien.guard import Guard
from mien.marking import Marker, draw_slate
from mien.personas.persona import Consent, Persona
from mien.pipeline import Pipeline
from mien.stages import OcclusionStage, RefinementStage
from mien.types import F32Array, FaceTrack, Frame, HeadPose, Patch, U8Array

SIZE = (240, 320)
PERSONA_BGR = (200, 40, 40)


def make_persona(name: str = "ada", *, side: int = 16, preview: bytes = b"") -> Persona:
    mesh = face_mesh()
    return Persona(
        name=name,
        created="2026-01-01T00:00:00Z",
        consent=Consent(statement="fictional", given_by="fictional"),
        texture=np.zeros((side, side, 3), np.uint8),
        coverage=np.zeros((side, side), np.uint8),
        shape=mesh.vertices,
        iris_bgr=np.zeros(3, np.float32),
        skin_bgr=np.zeros(3, np.float32),
        descriptor=np.zeros(128, np.float32),
        latents={},
        preview_jpeg=preview,
    )


def make_frame(index: int = 0, size: tuple[int, int] = SIZE, seed: int = 1) -> Frame:
    """A frame of fine noise: wherever it shows, detail shows."""
    bgr = np.random.default_rng(seed).integers(0, 255, (*size, 3), np.uint8)
    return Frame(index=index, bgr=bgr, capture_ns=index, pts_ns=index * 40_000_000)


def make_track(
    centre: tuple[float, float] = (160.0, 120.0),
    size: float = 60.0,
    *,
    quality: float = 1.0,
    performer: bool = True,
) -> FaceTrack:
    vertices = face_mesh().vertices
    points = np.zeros((478, 3), np.float32)
    scale = size / np.ptp(vertices[:, 1])
    points[:468] = vertices * scale * (1, -1, -1)
    points += (*centre, 0.0)
    points[468:] = points[1]
    pose = HeadPose(
        rotation=np.eye(3, dtype=np.float32), scale=scale, translation=np.zeros(3, np.float32)
    )
    return FaceTrack(
        track_id=0,
        landmarks=points,
        pose=pose,
        quality=quality,
        age=0,
        is_performer=performer,
    )


class FakeTracker:
    """Returns the tracks of a list, frame by frame; the last one for ever. Raises exceptions."""

    def __init__(self, script: Sequence[list[FaceTrack] | Exception]) -> None:
        self.script = list(script)
        self.closed = False
        self._position = 0

    def track(self, frame: Frame) -> list[FaceTrack]:
        step = self.script[min(self._position, len(self.script) - 1)]
        self._position += 1
        if isinstance(step, Exception):
            raise step
        return step

    def reset(self) -> None:
        self._position = 0

    def enrol_performer(self, descriptor: F32Array | None) -> None:
        del descriptor

    def enrol_cast(self, descriptors: Mapping[str, F32Array]) -> None:
        del descriptors

    def close(self) -> None:
        self.closed = True


def good_patch(frame: Frame, track: FaceTrack, state: object) -> Patch:
    del state
    left, top, right, bottom = (round(edge) for edge in track.box)
    height, width = frame.size
    left, top = max(left - 4, 0), max(top - 4, 0)
    right, bottom = min(right + 4, width), min(bottom + 4, height)
    shape = bottom - top, right - left
    return Patch(
        left=left,
        top=top,
        bgr=np.full((*shape, 3), PERSONA_BGR, np.uint8),
        matte=np.full(shape, 255, np.uint8),
    )


class FakeSwapper:
    """Paints a flat colour, or what a test hands in."""

    name = "fake"

    def __init__(
        self,
        draw: Callable[[Frame, FaceTrack, object], Patch] = good_patch,
        prepare: Callable[[Persona], object] = lambda persona: persona.name,
    ) -> None:
        self.draw = draw
        self._prepare = prepare
        self.closed = False
        self.likeness = 1.0

    def prepare(self, persona: Persona) -> object:
        return self._prepare(persona)

    def swap(self, frame: Frame, track: FaceTrack, state: object) -> Patch:
        return self.draw(frame, track, state)

    def set_likeness(self, likeness: float) -> None:
        self.likeness = likeness

    def close(self) -> None:
        self.closed = True


class FakeCompositor:
    def composite(self, frame_bgr: U8Array, patch: Patch, track: FaceTrack) -> None:
        del track
        height, width = patch.matte.shape
        region = frame_bgr[patch.top : patch.top + height, patch.left : patch.left + width]
        region[patch.matte > 0] = patch.bgr[patch.matte > 0]


def make_pipeline(
    *,
    script: Sequence[list[FaceTrack] | Exception] | None = None,
    swapper: FakeSwapper | None = None,
    compositor: FakeCompositor | None = None,
    guard: GuardConfig | None = None,
    persona: Persona | None = None,
    badge: bool = False,
    refinement: RefinementStage | None = None,
    occlusion: OcclusionStage | None = None,
) -> Pipeline:
    """A pipeline of fakes with a persona already on stage."""
    config = PipelineConfig(
        guard=guard or GuardConfig(mode="blur"), mark=MarkConfig(badge=badge, metadata=False)
    )
    pipeline = Pipeline(
        config,
        tracker=FakeTracker(script if script is not None else [[make_track()]]),
        swapper=swapper or FakeSwapper(),
        compositor=compositor or FakeCompositor(),
        guard=Guard(config.guard, draw_slate),
        marker=Marker(config.mark),
        refinement=refinement,
        occlusion=occlusion,
    )
    pipeline.set_persona(persona or make_persona(), wait=True)
    return pipeline


def detail(bgr: U8Array, track: FaceTrack) -> float:
    """Mean difference of neighbouring pixels inside a face box: noise 80, frosted below 3."""
    left, top, right, bottom = (max(round(edge), 0) for edge in track.box)
    face = bgr[top:bottom, left:right].astype(np.float32)
    return float(np.abs(np.diff(face, axis=1)).mean())
