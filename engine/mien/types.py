"""The values that travel between stages: frames, tracks, patches.

Conventions used everywhere: points are ``(x, y)`` with pixel centres at integer
coordinates, sizes are ``(height, width)``, colours are BGR in uint8 unless the
name says otherwise, times are monotonic nanoseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import atan2, degrees, hypot
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from mien.planes import OwnPlanes

U8Array = npt.NDArray[np.uint8]
F32Array = npt.NDArray[np.float32]
I32Array = npt.NDArray[np.int32]

_FACE_PER_SOFTENING_PX = 200.0

LANDMARK_COUNT = 478
"""Points of a face: 468 of the face mesh, then 5 for each iris."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One picture on its way from source to sink.

    Attributes:
        index: 0-based position in the source, counting dropped frames too.
        bgr: (H, W, 3) uint8, C-contiguous. Whoever holds the frame owns the
            pixels; stages that paint into them say so.
        capture_ns: monotonic time at which the picture was captured (decoded, for files).
        pts_ns: presentation time on the source's own clock, from its start.
        decoded: the 4:2:0 planes that the pixels were made of, where a sink may want them; no
            longer true once somebody paints.
        planes: planes that agree with the pixels; set by whoever knows what was painted. Ask
            :func:`mien.planes.planes_for_sink`.
    """

    index: int
    bgr: U8Array
    capture_ns: int
    pts_ns: int
    decoded: OwnPlanes | None = None
    planes: OwnPlanes | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.bgr.shape[0], self.bgr.shape[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadPose:
    """A weak-perspective pose: ``view = scale * rotation @ canonical + translation``.

    The view axes are x to the right of the picture, y up, z towards the viewer,
    all in pixels; a landmark (x, y, z) sits at view (x, -y, -z). The canonical
    axes are those of :mod:`mien.face_mesh` (centimetres).

    Attributes:
        rotation: (3, 3) float32, proper rotation.
        scale: pixels per centimetre of the canonical face.
        translation: (3,) float32, pixels.
    """

    rotation: F32Array
    scale: float
    translation: F32Array

    @property
    def yaw_deg(self) -> float:
        """Turn about the vertical axis; positive when the nose moves to the picture's right."""
        forward = self.rotation[:, 2]
        return degrees(atan2(forward[0], forward[2]))

    @property
    def pitch_deg(self) -> float:
        """Nod; positive when the nose rises."""
        forward = self.rotation[:, 2]
        return degrees(atan2(forward[1], hypot(forward[0], forward[2])))

    @property
    def roll_deg(self) -> float:
        """In-plane rotation; positive when the head's top leans to the picture's left."""
        right = self.rotation[:, 0]
        return degrees(atan2(right[1], hypot(right[0], right[2])))


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceTrack:
    """One face, as seen in one frame.

    Attributes:
        track_id: stable over time; never reused within a session.
        landmarks: (478, 3) float32, x and y in frame pixels, z in pixels of the
            same scale, negative towards the viewer; smoothed over time.
        pose: head pose fitted to the landmarks.
        quality: 0..1, the landmark model's belief that this is a face.
        age: number of frames since the track began; 0 on its first frame.
        is_performer: True for the face that is to be swapped.
        role: which of several enrolled performers this is; empty where only one is.
    """

    track_id: int
    landmarks: F32Array
    pose: HeadPose
    quality: float
    age: int
    is_performer: bool
    role: str = ""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) of the landmarks, frame pixels."""
        # Column by column: several times as fast as a reduction along the first axis.
        x, y = self.landmarks[:, 0], self.landmarks[:, 1]
        return float(x.min()), float(y.min()), float(x.max()), float(y.max())

    @property
    def is_finite(self) -> bool:
        """Whether the landmarks are as many as they must be, and all of them numbers."""
        landmarks = self.landmarks
        return landmarks.shape == (LANDMARK_COUNT, 3) and bool(np.isfinite(landmarks).all())

    @property
    def softening_px(self) -> int:
        """How far a patch's matte is softened: one pixel, more on large faces.

        Enough for the stair steps of a mesh's silhouette.
        """
        left, _, right, _ = self.box
        return max(round((right - left) / _FACE_PER_SOFTENING_PX), 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """What a swapper draws: pixels, how much of them to use, and where they go.

    The arrays may be views into buffers that the swapper reuses on its next call.

    Attributes:
        left, top: frame position of the patch's first pixel; the patch lies
            wholly inside the frame.
        bgr: (h, w, 3) uint8.
        matte: (h, w) uint8, straight alpha, 255 = persona, 0 = frame.
        mendable: True where the refiner knows how to mend what is drawn.
        blended: True where the swapper has softened the matte and blended: ``bgr`` is then what
            the frame is to show there.
    """

    left: int
    top: int
    bgr: U8Array
    matte: U8Array
    blended: bool = False
    mendable: bool = False
