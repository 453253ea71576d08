"""Draws a persona as a textured mesh under the performer's pose, expression and light.

Geometry: the persona's neutral shape minus the performer's, in canonical coordinates,
fading to nothing at the face oval, is added to the performer's landmarks under the
present pose; expression, gaze and head motion stay the performer's by construction.
Light: colours of the performer's skin at the vertices become a gain on the persona's
de-lit texture, half from a spherical-harmonics fit (which knows the persona's own
normals), half from the local ratio (which knows cast shadows).
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mien import _kernels
from mien.config import PipelineConfig
from mien.eyes import recolour_irises
from mien.face_light import vertex_colours
from mien.face_mesh import VERTEX_COUNT, face_mesh
from mien.face_regions import face_regions
from mien.face_shape import VIEW_FROM_LANDMARK, canonical_from_landmarks
from mien.look import Blend
from mien.personas.persona import Persona
from mien.ranges import ranged
from mien.swappers.mesh.lips import OwnLips
from mien.swappers.mesh.morph import Mixer
from mien.swappers.mesh.performer import PerformerModel
from mien.swappers.mesh.reshape import shape_offset
from mien.swappers.mesh.wardrobe import Costume, TextureLevel, make_costume
from mien.types import F32Array, FaceTrack, Frame, Patch, U8Array

if TYPE_CHECKING:
    from mien.gpu import Berth, Placement, SharedFrame

# UV units from the oval over which the persona's shape sets in.
_SHAPE_RIM = 0.05

_MOST_PERFORMERS = 16


def _smoothstep(distance: F32Array, width: float) -> F32Array:
    rise = np.clip(distance / np.float32(width), 0.0, 1.0)
    step: F32Array = (rise * rise * (3.0 - 2.0 * rise)).astype(np.float32)
    return step[:, None]


class MeshSwapper:
    """The embedded default swapper: CPU, any portrait, native resolution.

    ``swap`` belongs to one thread; ``prepare`` and ``set_likeness`` may be called from
    any. Patches are views into buffers that the next ``swap`` overwrites.
    """

    name = "mesh"

    refined = True
    """The refiner was trained on this swapper's faces."""

    def __init__(self, config: PipelineConfig) -> None:
        self._config = config.mesh
        self._threads = config.tracker.threads
        self._placement = _place(config)
        self._frame_on_gpu: SharedFrame | None = None
        self._raster = _kernels.raster_face if self._placement is None else self._placement.draw
        self._lock = threading.Lock()
        self._performers: dict[int, PerformerModel] = {}
        mesh, regions = face_mesh(), face_regions()
        self._uv = mesh.uv
        self._triangles = mesh.triangles
        self._shape_share = _smoothstep(regions.rim_distance, _SHAPE_RIM)
        self._regions = regions
        self._mixer = Mixer()
        self._lips = OwnLips()
        self._no_offset = np.zeros((VERTEX_COUNT, 3), dtype=np.float32)
        self._bgr = np.empty(0, dtype=np.uint8)
        self._matte = np.empty(0, dtype=np.uint8)
        self._depth = np.empty(0, dtype=np.float32)

    def lend(self, frame: SharedFrame) -> None:
        """Draws from pixels that are on the GPU already, where faces are drawn on that one."""
        self._frame_on_gpu = frame
        if self._placement is not None:
            self._placement.lend(frame)

    def prepare(self, persona: Persona) -> Costume:
        """The persona, ready to be drawn."""
        return make_costume(persona)

    def set_likeness(self, likeness: float) -> None:
        """Changes how much of the persona's shape shows, 0..1, from the next frame."""
        with self._lock:
            self._config = replace(self._config, likeness=likeness)

    @property
    def where(self) -> list[str]:
        """What runs where, and why, in lines for people; empty where nobody asked."""
        return self._placement.lines() if self._placement is not None else []

    @property
    def gpu_ms(self) -> float:
        """What the GPU has worked so far, by its own clock; 0 without one."""
        return self._placement.gpu_ms if self._placement is not None else 0.0

    def close(self) -> None:
        """Forgets all performers and lets go of the GPU, if there is one."""
        self._performers.clear()
        if self._placement is not None:
            self._placement.close()

    @ranged("swap")
    def swap(self, frame: Frame, track: FaceTrack, state: object) -> Patch:
        """Draws the persona on one face.

        Recolours the irises in ``frame.bgr`` on the way; the patch covers them.

        Args:
            frame: the frame; its pixels are the performer's eyes and mouth.
            track: the face.
            state: what ``prepare`` returned.

        Raises:
            TypeError: ``state`` was prepared by another swapper.
        """
        if not isinstance(state, Costume):
            raise TypeError(f"expected a state that MeshSwapper.prepare made, got {type(state)}")
        config = self._config
        performer = self._performer(track)
        landmarks = track.landmarks
        performer.observe_shape(canonical_from_landmarks(landmarks, track.pose))
        performer.observe_eyes(frame.bgr, landmarks)
        likeness = np.float32(config.likeness * state.likeness)
        vertices = self._vertices(track, performer, state, likeness)
        gain = self._gain(frame, track, performer, state, config.tone)
        own = performer.iris_bgr
        if config.eyes == "persona" and own is not None and state.iris > 0.0:
            wanted = own + (state.iris_bgr - own) * np.float32(state.iris)
            painted = recolour_irises(frame.bgr, landmarks, own, wanted)
            if self._frame_on_gpu is not None:
                self._frame_on_gpu.touch(frame.bgr, painted)
        performer.drawn_width = _across(vertices)
        return self._draw(frame, track, vertices, gain, state)

    def mix(
        self, base: object, top: object, blend: Blend, track: FaceTrack, *, keep: bool = False
    ) -> Costume:
        """Two personas as one, for one face; see :class:`~mien.swappers.mesh.morph.Mixer`.

        Args:
            base, top: what ``prepare`` or ``mix`` returned; None is the performer's own face.
            blend: how, and how much; its names are not looked at.
            track: the face, for its size.
            keep: the result outlives the next call.
        """
        known = self._performers.get(track.track_id)
        # As it was drawn last: a mixture then has the texture size that either would have.
        width = known.drawn_width if known is not None else 0
        return self._mixer.mix(
            _costume(base), _costume(top), blend, width or _width(track), keep=keep
        )

    def with_dials(self, state: object, *, likeness: float, iris: float) -> Costume:
        """The same persona with less of its shape or iris colour, both 0..1."""
        costume = _costume(state)
        if costume is None:
            raise TypeError("the performer's own face has no dials")
        return replace(costume, likeness=costume.likeness * likeness, iris=costume.iris * iris)

    def with_lips(self, state: object, lips: float) -> Costume:
        """The same persona with so much of its lips' look, 0..1; the rest is the performer's."""
        costume = _costume(state)
        if costume is None:
            raise TypeError("the performer's own face has lips of its own")
        return replace(costume, lips=costume.lips * lips)

    def _performer(self, track: FaceTrack) -> PerformerModel:
        performer = self._performers.get(track.track_id)
        if performer is None:
            if len(self._performers) >= _MOST_PERFORMERS:
                self._performers.pop(next(iter(self._performers)))
            performer = self._performers[track.track_id] = PerformerModel()
        elif track.age == 0:
            performer.forget_light()
        return performer

    def _vertices(
        self, track: FaceTrack, performer: PerformerModel, costume: Costume, likeness: np.float32
    ) -> F32Array:
        pose = track.pose
        offset = shape_offset(
            costume.shape, performer.neutral, performer.lid_opening, performer.mouth_known
        )
        offset *= self._shape_share * likeness
        moved = (offset @ pose.rotation.T) * np.float32(pose.scale)
        vertices: F32Array = track.landmarks[:VERTEX_COUNT] + moved * VIEW_FROM_LANDMARK
        return np.ascontiguousarray(vertices, dtype=np.float32)

    def _gain(
        self,
        frame: Frame,
        track: FaceTrack,
        performer: PerformerModel,
        costume: Costume,
        tone: float,
    ) -> F32Array:
        rotation = track.pose.rotation.T
        colours = vertex_colours(frame.bgr, track.landmarks, track.pose.scale)
        light = performer.observe_light(colours, performer.normals @ rotation)
        gain = np.empty((VERTEX_COUNT, 3), dtype=np.float32)
        _kernels.skin_gain(
            colours,
            costume.normals @ rotation,
            light,
            self._regions.light_weights,
            self._regions.broad,
            self._regions.near,
            costume.broad_colours,
            costume.near_colours,
            costume.skin_bgr,
            performer.skin_bgr,
            self._regions.rim_distance,
            tone,
            gain,
        )
        return gain

    def _draw(
        self,
        frame: Frame,
        track: FaceTrack,
        vertices: F32Array,
        gain: F32Array,
        costume: Costume,
    ) -> Patch:
        height, width = frame.size
        low = np.floor(vertices[:, :2].min(axis=0)).astype(int)
        high = np.ceil(vertices[:, :2].max(axis=0)).astype(int) + 1
        left, top = max(int(low[0]), 0), max(int(low[1]), 0)
        right, bottom = min(int(high[0]), width), min(int(high[1]), height)
        if left >= right or top >= bottom:
            empty = np.zeros((0, 0), dtype=np.uint8)
            return Patch(left=0, top=0, bgr=np.zeros((0, 0, 3), dtype=np.uint8), matte=empty)
        level = _level(costume, _across(vertices))
        lips = costume.lips if self._config.mouth == "persona" else 0.0
        if lips < 1.0:
            level = self._lips.opened(level, lips)
        arrays = (
            level.bgra,
            level.matte,
            self._uv,
            vertices,
            np.ascontiguousarray(track.landmarks[:VERTEX_COUNT, :2]),
            gain if costume.contrast == 1.0 else gain * np.float32(costume.contrast),
            self._no_offset if costume.lift is None else gain * costume.lift,
            self._triangles,
        )
        size = bottom - top, right - left
        if self._placement is not None and self._placement.paint is not None:
            painted = self._placement.paint(
                arrays, frame.bgr, (left, top), size, track.softening_px
            )
            if painted is not None:
                return Patch(
                    left=left,
                    top=top,
                    bgr=painted[0],
                    matte=painted[1],
                    blended=True,
                    mendable=True,
                )
        bgr, matte, depth = self._buffers(*size)
        self._raster(*arrays, frame.bgr, left, top, bgr, matte, depth, self._threads)
        return Patch(left=left, top=top, bgr=bgr, matte=matte, mendable=True)

    def _buffers(self, rows: int, columns: int) -> tuple[U8Array, U8Array, F32Array]:
        texels = rows * columns
        if self._matte.size < texels:
            roomy = texels + texels // 4
            self._bgr = np.empty(3 * roomy, dtype=np.uint8)
            self._matte = np.empty(roomy, dtype=np.uint8)
            self._depth = np.empty(roomy, dtype=np.float32)
        return (
            self._bgr[: 3 * texels].reshape(rows, columns, 3),
            self._matte[:texels].reshape(rows, columns),
            self._depth[:texels].reshape(rows, columns),
        )


def _place(config: PipelineConfig) -> Placement | Berth | None:
    """Where faces are drawn, if that is a question: where the stream was given a place, if it was
    given one."""
    if config.device == "cpu":
        return None
    from mien.gpu import place, process_fleet  # not needed on most machines

    return process_fleet().berth(config.stream) or place(config.device)


def _costume(state: object) -> Costume | None:
    if state is not None and not isinstance(state, Costume):
        raise TypeError(f"expected a state that MeshSwapper.prepare made, got {type(state)}")
    return state


def _across(vertices: F32Array) -> int:
    xs = vertices[:, 0]
    return int(np.ceil(xs.max())) + 1 - int(np.floor(xs.min()))


def _width(track: FaceTrack) -> int:
    left, _, right, _ = track.box
    return max(int(right - left), 1)


def _level(costume: Costume, face_width: int) -> TextureLevel:
    """The smallest texture that has a texel for every pixel of the face."""
    chosen = costume.levels[0]
    for level in costume.levels[1:]:
        if len(level.matte) < face_width:
            break
        chosen = level
    return chosen
