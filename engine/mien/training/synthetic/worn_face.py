"""A face that is worn, drawn straight into a crop, with nothing around it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from mien.live_view import LIVE_SIZE
from mien.types import F32Array

from .figure.anatomy import F32
from .figure.rasteriser import rasterise
from .stage import SUPERSAMPLING, Actor, Anatomy, Costumed, Look


class WornFace(Costumed):
    """A performer who wears another's face, of which only that face is drawn."""

    def __init__(self, actor: Actor, anatomy: Anatomy, other: Actor) -> None:
        super().__init__(actor, anatomy, other)
        self.face = other

    def draw_face(self, look: Look, crop: F32Array, frame_size: int) -> tuple[F32, F32]:
        """Linear RGB (S, S, 3) of the face in a crop, black elsewhere; (S, S) its share.

        Args:
            look: what holds; of the backdrop nothing is seen.
            crop: (2, 3), crop-from-frame.
            frame_size: side of the frame.
        """
        vertices, normals = self._posed(look)
        samples = LIVE_SIZE * SUPERSAMPLING
        points = look.camera.project(vertices, frame_size)
        # The camera's pixel centres lie at .5, the crop's at integers.
        moved = (points[:, :2] - 0.5) @ crop[:, :2].T + crop[:, 2]
        points[:, :2] = (moved + 0.5) * SUPERSAMPLING
        at = np.full((samples, samples), -1, np.int32)
        weights = np.zeros((samples, samples, 2), np.float32)
        depth = np.zeros((samples, samples), np.float32)
        rasterise(points, self.triangles, self.levels, self.rest, self.actor.maps.strands,
                  1, at, weights, depth)  # fmt: skip
        mix = np.zeros(len(vertices), np.float32)
        mix[: len(self.mix)] = self.mix
        corners = mix[self.triangles[at]]
        share = corners[..., 0] + weights[..., 0] * (corners[..., 1] - corners[..., 0])
        share += weights[..., 1] * (corners[..., 2] - corners[..., 0])
        share[at < 0] = 0.0
        at[share <= 0] = -1
        black = replace(look, backdrop=np.zeros((LIVE_SIZE, LIVE_SIZE, 3), np.float32))
        linear = self._shade(
            self.face, black, vertices, normals, at, weights, self._cast_shadow(look, vertices)
        )
        # Colour of the samples that show the face, not darkened by those that do not.
        shown = cv2.resize((at >= 0).astype(np.float32), (LIVE_SIZE, LIVE_SIZE),
                           interpolation=cv2.INTER_AREA)  # fmt: skip
        linear /= np.maximum(shown, 1e-3)[..., None]
        small = cv2.resize(share, (LIVE_SIZE, LIVE_SIZE), interpolation=cv2.INTER_AREA)
        return np.asarray(linear, np.float32), np.asarray(small, np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceShot:
    """One picture of a worn face: the arguments of :meth:`WornFace.draw_face`."""

    worn: WornFace
    look: Look
    crop: F32Array
