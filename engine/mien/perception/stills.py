"""All faces of a still picture, as accurately as the models allow."""

from __future__ import annotations

import cv2
import numpy as np

from mien.perception.detector import Detection, Detector, tiles_of
from mien.perception.landmarks import FACE_BELIEF, Landmarker
from mien.perception.roi import Roi, roi_from_landmarks
from mien.perception.views import in_picture
from mien.types import F32Array, U8Array

_SEARCH_PX = 4096
"""Long side beyond which a photo is reduced first; no network looks at more than 192 px
of a face anyway, and a face of 100 px in a photo of 100 megapixels is still found."""

_GLANCE_PX = 512
"""Long side of the reduced picture in which orientations are compared."""

_SURELY_UPRIGHT = 0.85
_CLEARLY_BETTER = 0.08
"""Upright faces score 0.87 to 0.95, upside-down ones 0.55 to 0.79 (measured on four)."""

_FAR_BELIEF = 0.99
"""Tiles also turn up things that look a little like faces: those reach up to 0.96 and
real faces 0.999 (measured on skimage's pictures)."""

_SURE_SCORE = 0.75
"""Far faces score 0.9 and more in a tile; other things up to 0.74 (same pictures)."""

_INSIDE = 0.27
"""Of a region's side: four fifths of the way from a face's centre to its edge."""

_SAME_FACE = 0.3
"""Regions that overlap more than this are one face found twice."""


def locate_faces(
    image_bgr: U8Array, detector: Detector, landmarker: Landmarker
) -> list[tuple[F32Array, float]]:
    """Landmarks and quality of every face, largest first.

    The picture is searched whole and in tiles, in the orientation in which its faces
    score best: some photos have lost theirs, and an upside-down face is often taken
    for an upright one, with landmarks that mean nothing.

    Args:
        image_bgr: (H, W, 3) uint8.
        detector: finds where to look.
        landmarker: finds the landmarks there.

    Returns:
        (478, 3) float32 in pixels of the picture as given, and 0..1, for each face.
    """
    small = _reduced(image_bgr, _SEARCH_PX)
    for attempt, quarter_turns in enumerate(_orientations(small, detector)):
        turned = np.ascontiguousarray(np.rot90(small, quarter_turns))
        faces = _locate_upright(turned, detector, landmarker, is_likeliest=attempt == 0)
        if faces:
            faces = [(turn_back(p, quarter_turns, small.shape), q) for p, q in faces]
            faces = [(_enlarged(p, small.shape, image_bgr.shape), q) for p, q in faces]
            return sorted(faces, key=lambda face: -roi_from_landmarks(face[0]).side)
    return []


def _reduced(image_bgr: U8Array, longest_px: int) -> U8Array:
    """The image, averaged down if it is larger than this."""
    height, width = image_bgr.shape[:2]
    k = longest_px / max(height, width)
    if k >= 1:
        return image_bgr
    size = (max(round(width * k), 1), max(round(height * k), 1))
    return np.asarray(cv2.resize(image_bgr, size, interpolation=cv2.INTER_AREA), np.uint8)


def _enlarged(landmarks: F32Array, small: tuple[int, ...], full: tuple[int, ...]) -> F32Array:
    """Landmarks of a reduced image in the pixels of the full one: corners align."""
    kx, ky = full[1] / small[1], full[0] / small[0]
    scale = np.array([kx, ky, (kx + ky) / 2], np.float32)
    shift = np.array([(kx - 1) / 2, (ky - 1) / 2, 0.0], np.float32)
    return np.asarray(landmarks * scale + shift, np.float32)


def _orientations(image_bgr: U8Array, detector: Detector) -> list[int]:
    """Quarter turns to try, the likeliest first; upright unless another is clearly better."""
    small = _reduced(image_bgr, _GLANCE_PX)
    scores = []
    for turns in range(4):
        found = detector.detect_near(np.ascontiguousarray(np.rot90(small, turns), np.uint8))
        scores.append(max((detection.score for detection in found), default=0.0))
        if scores[0] > _SURELY_UPRIGHT:
            break
    scores[0] += _CLEARLY_BETTER
    return sorted(range(4), key=lambda turns: -scores[turns] if turns < len(scores) else 0.0)


def _locate_upright(
    image_bgr: U8Array, detector: Detector, landmarker: Landmarker, *, is_likeliest: bool
) -> list[tuple[F32Array, float]]:
    height, width = image_bgr.shape[:2]
    tiles = list(tiles_of(height, width, levels=3))
    whole = detector.detect_whole(image_bgr)
    if is_likeliest:
        far = _sure(detector.detect_in(image_bgr, tiles))
    else:
        whole, far = _sure(whole), []
    faces: list[tuple[F32Array, float]] = []
    taken: list[Roi] = []
    for least_belief, detections in ((FACE_BELIEF, whole), (_FAR_BELIEF, far)):
        for detection in detections:
            landmarks, quality = landmarker.locate_refined(image_bgr, detection.roi, rounds=3)
            roi = roi_from_landmarks(landmarks)
            if quality < least_belief or not in_picture(landmarks, image_bgr):
                continue
            if not any(_is_same_face(roi, other) for other in taken):
                taken.append(roi)
                faces.append((landmarks, quality))
    return faces


def _sure(detections: list[Detection]) -> list[Detection]:
    return [detection for detection in detections if detection.score >= _SURE_SCORE]


def _is_same_face(a: Roi, b: Roi) -> bool:
    """True when the regions agree, or the smaller face sits inside the larger one."""
    reach = max(a.side, b.side) * _INSIDE
    return a.overlap(b) > _SAME_FACE or (abs(a.x - b.x) < reach and abs(a.y - b.y) < reach)


def turn_back(landmarks: F32Array, quarter_turns: int, shape: tuple[int, ...]) -> F32Array:
    """Landmarks found in ``numpy.rot90(image, quarter_turns)``, in the image's own pixels."""
    height, width = shape[:2]
    x, y = landmarks[:, 0], landmarks[:, 1]
    turned = landmarks.copy()
    if quarter_turns == 1:
        turned[:, 0], turned[:, 1] = width - 1 - y, x
    elif quarter_turns == 2:
        turned[:, 0], turned[:, 1] = width - 1 - x, height - 1 - y
    elif quarter_turns == 3:
        turned[:, 0], turned[:, 1] = y, height - 1 - x
    return turned
