"""Batches for the occlusion net: bare faces, covered on the fly.

A step's batch depends on the step's number, the seed, the list of files and the library
alone, so a run that was cut short goes on with the very batches that it would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from mien.errors import MediaError
from mien.face_mesh import FACE_OVAL
from mien.occlusion_view import CROP_SIZE
from mien.perception.landmarks import FACE_BELIEF, Landmarker
from mien.perception.roi import roi_from_landmarks
from mien.refiner_view import crop_from_frame, crop_landmarks, cut_crop, draw_maps
from mien.training.occlusion_covering import cover, draw_place
from mien.training.occlusion_harm import dress_face, harm_picture
from mien.training.occlusion_shards import BareFace, read_faces
from mien.training.occlusion_sprites import Sprite, read_sprites
from mien.types import F32Array, U8Array

WORK_SIDE = 192
"""Side of the pictures in which faces are covered: the crop's scale is about the net's."""

BARE_SHARE = 0.36
"""Share of the samples in which nothing covers the face."""

# Share of the covered faces whose landmarks are found again under the cover.
_TRACKED_SHARE = 0.25
_ONLY_SHADOW = 0.06
_OUTSIDE_WEIGHT = 0.08


@dataclass(frozen=True, slots=True, kw_only=True)
class CoveredBatch:
    """What a step learns from; all float32.

    Attributes:
        inputs: (N, 8, S, S), 0..1, see :mod:`mien.networks.occlusion`.
        covered: (N, 1, S, S), 0..1, how much of a pixel is an occluder.
        weights: (N, 1, S, S), 1 on the face, little elsewhere.
    """

    inputs: torch.Tensor
    covered: torch.Tensor
    weights: torch.Tensor

    def to(self, device: torch.device) -> CoveredBatch:
        """The same on a device."""
        return CoveredBatch(
            inputs=self.inputs.to(device),
            covered=self.covered.to(device),
            weights=self.weights.to(device),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CoveredSample:
    """One crop.

    Attributes:
        crop: (S, S, 3) uint8 BGR.
        maps: (S, S, 5) uint8, of the landmarks as they were found.
        covered: (S, S) uint8.
        face: (S, S) uint8, 255 on the face.
    """

    crop: U8Array
    maps: U8Array
    covered: U8Array
    face: U8Array


class CoveredDeck:
    """Faces and sprites in memory, and how samples are made of them.

    Belongs to one thread.

    Args:
        paths: files of bare faces; their order counts.
        sprites: the library.

    Raises:
        MediaError: a file cannot be read.
    """

    def __init__(self, paths: Sequence[Path], sprites: Path) -> None:
        self.paths: list[Path] = []
        self._faces: list[BareFace] = []
        self.add(paths)
        self._sprites: list[Sprite] = read_sprites(sprites)
        if not self._faces:
            raise MediaError("the files hold no face", "render more faces")
        self._landmarker = Landmarker()

    def __len__(self) -> int:
        return len(self._faces)

    def close(self) -> None:
        """Frees the landmark network."""
        self._landmarker.close()

    def add(self, paths: Sequence[Path]) -> None:
        """Takes in more files of bare faces."""
        self.paths += paths
        self._faces += [_reduced(face) for path in paths for face in read_faces(path)]

    def batch(
        self, step: int, size: int, seed: int, part: tuple[int, int] = (0, 1)
    ) -> CoveredBatch:
        """The batch of a training step, or of ``part``: every n-th of it from the k-th on."""
        first, stride = part
        return gathered([self.sample([seed, step, index]) for index in range(first, size, stride)])

    def sample(self, seed: Sequence[int], *, bare: bool | None = None) -> CoveredSample:
        """The sample of a seed.

        Args:
            seed: says all.
            bare: whether nothing covers the face; by chance if None.
        """
        random = np.random.default_rng(list(seed))
        face = self._faces[int(random.integers(len(self._faces)))]
        uncovered = bool(random.random() < BARE_SHARE) if bare is None else bare
        picture = dress_face(face.picture, face.landmarks, random)
        covered = np.zeros(picture.shape[:2], np.float32)
        count = 0 if uncovered else 1 + int(random.random() < 0.25) + int(random.random() < 0.1)
        for _ in range(count):
            sprite = self._sprites[int(random.integers(len(self._sprites)))]
            place = draw_place(sprite, face.landmarks, random)
            shadow = bool(random.random() < _ONLY_SHADOW)
            picture, alpha = cover(picture, face, sprite, place, random, only_shadow=shadow)
            covered += (1 - covered) * alpha
        picture = harm_picture(picture, random)
        landmarks = self._found(picture, face.landmarks, tracked=count > 0, random=random)
        cut = _jittered(crop_from_frame(landmarks, CROP_SIZE), random)
        inside = crop_landmarks(landmarks, cut)
        mask = cut_crop(np.round(covered * 255).astype(np.uint8), cut, CROP_SIZE)
        made = CoveredSample(
            crop=cut_crop(picture, cut, CROP_SIZE),
            maps=draw_maps(inside, CROP_SIZE),
            covered=mask,
            face=_face_area(inside),
        )
        return _mirrored(made) if random.random() < 0.5 else made

    def _found(
        self, picture: U8Array, landmarks: F32Array, *, tracked: bool, random: np.random.Generator
    ) -> F32Array:
        """Landmarks as the tracker gives them: disturbed by what covers, or a little off."""
        if tracked and random.random() < _TRACKED_SHARE:
            found, quality = self._landmarker.locate(picture, roi_from_landmarks(landmarks))
            if quality >= FACE_BELIEF:
                return found
        span = float(np.ptp(landmarks[:, 1]))
        off = random.normal(0, 0.012 * span, 3).astype(np.float32)
        rough = random.normal(0, 0.004 * span, landmarks.shape).astype(np.float32)
        return np.asarray(landmarks + off + rough, np.float32)


def gathered(samples: Sequence[CoveredSample]) -> CoveredBatch:
    """Samples as one batch."""
    stack = np.stack([np.dstack([one.crop, one.maps]) for one in samples])
    covered = np.stack([one.covered for one in samples])
    face = np.stack([one.face for one in samples])
    inputs = torch.from_numpy(stack).permute(0, 3, 1, 2).float().div_(255)
    weights = torch.from_numpy(face)[:, None].float().div_(255)
    return CoveredBatch(
        inputs=inputs.contiguous(memory_format=torch.channels_last),
        covered=torch.from_numpy(covered)[:, None].float().div_(255),
        weights=weights.mul_(1 - _OUTSIDE_WEIGHT).add_(_OUTSIDE_WEIGHT),
    )


def _reduced(face: BareFace) -> BareFace:
    """The face at the side in which it is covered."""
    side = len(face.picture)
    scale = WORK_SIDE / side
    small = cv2.resize(face.picture, (WORK_SIDE, WORK_SIDE), interpolation=cv2.INTER_AREA)
    landmarks = face.landmarks * np.float32(scale)
    landmarks[:, :2] += np.float32((scale - 1) / 2)
    return BareFace(picture=np.asarray(small, np.uint8), landmarks=landmarks, light=face.light)


def _face_area(landmarks: F32Array) -> U8Array:
    """(S, S) uint8: 255 within the face's outline and a little beyond."""
    area = np.zeros((CROP_SIZE, CROP_SIZE), np.uint8)
    oval = landmarks[list(FACE_OVAL), :2]
    centre = oval.mean(axis=0)
    grown = np.clip(centre + (oval - centre) * 1.06, -400, 600)
    cv2.fillPoly(area, [np.round(grown * 8).astype(np.int32)], (255,), cv2.LINE_AA, 3)
    return area


def _mirrored(sample: CoveredSample) -> CoveredSample:
    maps = np.ascontiguousarray(sample.maps[:, ::-1])
    # Canonical x runs the other way in a mirror; where there is no face it stays 0.
    on_face = maps[..., :3].max(axis=2) > 0
    maps[..., 0] = np.where(on_face, 255 - maps[..., 0], 0)
    return CoveredSample(
        crop=np.ascontiguousarray(sample.crop[:, ::-1]),
        maps=maps,
        covered=np.ascontiguousarray(sample.covered[:, ::-1]),
        face=np.ascontiguousarray(sample.face[:, ::-1]),
    )


def _jittered(transform: F32Array, random: np.random.Generator) -> F32Array:
    """A crop that is a little off, as the tracker's may be."""
    middle = (CROP_SIZE - 1) / 2
    turn, zoom = float(random.normal(0, 3)), float(np.exp(random.normal(0, 0.03)))
    jitter: npt.NDArray[np.float64] = np.array(
        cv2.getRotationMatrix2D((middle, middle), turn, zoom), np.float64
    )
    jitter[:, 2] += random.normal(0, 0.015 * CROP_SIZE, 2)
    return np.asarray(jitter @ np.vstack([transform, [0, 0, 1]]), np.float32)
