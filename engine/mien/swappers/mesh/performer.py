"""What the mesh swapper learns of a performer while looking: neutral face, skin, light."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from mien.eyes import iris_colour
from mien.face_light import LightFit
from mien.face_mesh import face_mesh
from mien.face_regions import vertex_normals
from mien.face_shape import expression_coefficients, without_expression
from mien.swappers.mesh.reshape import lid_opening, mouth_motion
from mien.types import F32Array, U8Array

# Running means settle over this many frames, then keep following. The neutral face
# follows quickly because landmarks of one face differ with its pose (measured: 30 frames
# bring the persona's descriptor 4% nearer than 150, below 10 an open mouth closes).
_SETTLE_FRAMES = 30
_TONE_FRAMES = 300

# The mouth at rest is learned from frames in which it moves less than this; so many
# of them make it known.
_RESTING_MOUTH_CM = 0.35
_MOUTH_FRAMES = 2.0

# Normals of the neutral face change slowly; a new set now and then is enough.
_NORMALS_EVERY = 15
_EYES_EVERY = 10
_EYE_SAMPLES = 31

# Share of the newest light; the rest damps flicker from landmark noise.
_NEWEST_LIGHT = 0.6


class PerformerModel:
    """One track's performer. Belongs to the thread that swaps.

    Attributes:
        drawn_width: pixels across the face when it was drawn last; 0 before that.
    """

    def __init__(self) -> None:
        self.frames = 0
        self.drawn_width = 0
        self.neutral: F32Array = face_mesh().vertices
        self.normals: F32Array = vertex_normals(self.neutral)
        self.skin_bgr: F32Array = np.full(3, 128.0, dtype=np.float32)
        self.lid_opening: tuple[float, float] = (1.0, 1.0)
        self.mouth_known = 0.0
        self.light: F32Array | None = None
        self._fit = LightFit()
        self.iris_bgr: F32Array | None = None
        self._irises: deque[F32Array] = deque(maxlen=_EYE_SAMPLES)

    def forget_light(self) -> None:
        """Starts the light anew: the performer was away, or the scene was cut."""
        self.light = None
        self._fit = LightFit()

    def observe_shape(self, shape: F32Array) -> None:
        """Learns the neutral face from one more frame.

        Args:
            shape: (468, 3) float32, canonical centimetres, with expression.
        """
        reference = self.neutral if self.frames else face_mesh().vertices
        rest = without_expression(shape, expression_coefficients(shape, reference))
        share = np.float32(1.0 / min(self.frames + 1, _SETTLE_FRAMES))
        self.neutral = self.neutral + (rest - self.neutral) * share
        self.lid_opening = lid_opening(shape, self.neutral)
        rest_share = math.exp(-((mouth_motion(shape, rest) / _RESTING_MOUTH_CM) ** 2))
        self.mouth_known = min(self.mouth_known + rest_share / _MOUTH_FRAMES, 1.0)
        if self.frames % _NORMALS_EVERY == 0:
            self.normals = vertex_normals(self.neutral)
        self.frames += 1

    def observe_light(self, colours: F32Array, normals: F32Array) -> F32Array:
        """Follows the light; returns (9, 3) float32 coefficients for this frame."""
        first = self.light is None
        newest = self._fit.fit(colours, normals, iterations=4 if first else 1)
        skin = self._fit.skin_bgr
        if self.light is None:
            self.light, self.skin_bgr = newest, skin
        else:
            self.light = self.light + (newest - self.light) * np.float32(_NEWEST_LIGHT)
            share = np.float32(1.0 / min(self.frames, _TONE_FRAMES))
            self.skin_bgr = self.skin_bgr + (skin - self.skin_bgr) * share
        return self.light

    def observe_eyes(self, image_bgr: U8Array, landmarks: F32Array) -> None:
        """Learns the iris colour; looks only now and then."""
        if self.frames % _EYES_EVERY != 1 and self._irises:
            return
        iris = iris_colour(image_bgr, landmarks)
        if iris is not None:
            self._irises.append(iris)
            self.iris_bgr = np.median(self._irises, axis=0).astype(np.float32)
