"""Batches for the occlusion net: bare faces, covered on the fly.

A step's batch depends on the step's number, the seed, the list of files and the library
alone, so a run that was cut short goes on with the very batches that it would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from mien.errors import MediaError
from mien.face_mesh import FACE_OVAL
from mien.occlusion_view import CROP_SIZE, BareMoment, stack_inputs
from mien.perception.landmarks import FACE_BELIEF, Landmarker
from mien.perception.roi import roi_from_landmarks
from mien.refiner_view import crop_from_frame, crop_landmarks, cut_crop
from mien.training.occlusion_covering import cover, draw_place
from mien.training.occlusion_harm import draw_tones, dress_face, soften_and_spoil, spoil
from mien.training.occlusion_shards import BareFace, read_faces
from mien.training.occlusion_sprites import Sprite, read_sprites
from mien.types import F32Array, U8Array

WORK_SIDE = 192
"""Side of the pictures in which faces are covered: the crop's scale is about the net's."""

BARE_SHARE = 0.36
"""Share of the samples in which nothing covers the face."""

# Share of the covered faces whose landmarks are found again under the cover.
_TRACKED_SHARE = 0.15
_ONLY_SHADOW = 0.06
_VIEWS = 2
# Share of the samples with a moment from before. Of those: in which it is another moment
# than the covered one, in which what covers was there already, in which the face wears
# something else, in which a part is not known; and of the bare ones, in which something
# covered the face before and is gone.
_REMEMBERED_SHARE = 0.7
_MOVED_SHARE, _STILL_SHARE, _CHANGED_SHARE, _PARTLY_SHARE = 0.8, 0.1, 0.15, 0.2
_GONE_SHARE = 0.15
_OUTSIDE_WEIGHT = 0.08


@dataclass(frozen=True, slots=True, kw_only=True)
class CoveredBatch:
    """What a step learns from; all float32.

    Attributes:
        inputs: (N, 12, S, S), 0..1, see :mod:`mien.occlusion_view`.
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
        inputs: (S, S, 12) uint8, of the landmarks as they were found.
        covered: (S, S) uint8.
        face: (S, S) uint8, 255 on the face.
    """

    inputs: U8Array
    covered: U8Array
    face: U8Array

    @property
    def crop(self) -> U8Array:
        """(S, S, 3) uint8 BGR."""
        return self.inputs[..., :3]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """A covered face before a camera takes it.

    Attributes:
        number: in its batch.
        index: of the face.
        dress: seed of what the face wears.
        picture: (WORK_SIDE, WORK_SIDE, 3) uint8 BGR.
        covered: (WORK_SIDE, WORK_SIDE) uint8.
        bare: nothing covers it.
    """

    number: int
    index: int
    dress: int
    picture: U8Array
    covered: U8Array
    bare: bool


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
        # Of each face, the positions of the others of its shot.
        self._others: list[list[int]] = []
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
        for path in paths:
            faces = [_reduced(face) for face in read_faces(path)]
            start = len(self._faces)
            self._others += [
                [
                    start + other
                    for other, moment in enumerate(faces)
                    if moment.shot == face.shot and other != index
                ]
                for index, face in enumerate(faces)
            ]
            self._faces += faces
            self.paths.append(path)

    def batch(
        self, step: int, size: int, seed: int, part: tuple[int, int] = (0, 1)
    ) -> CoveredBatch:
        """The batch of a training step, or of ``part``: every n-th of it from the k-th on.

        Two samples show one scene: covering a face costs more than a picture of it.
        """
        first, stride = part
        samples: list[CoveredSample] = []
        scene: _Scene | None = None
        for index in range(first, size, stride):
            if scene is None or scene.number != index // _VIEWS:
                number = index // _VIEWS
                scene = self._stage(number, np.random.default_rng([seed, step, number]), None)
            samples.append(self._view(scene, np.random.default_rng([seed, step, index, 1]), None))
        return gathered(samples)

    def sample(
        self, seed: Sequence[int], *, bare: bool | None = None, remembered: bool | None = None
    ) -> CoveredSample:
        """The sample of a seed.

        Args:
            seed: says all.
            bare: whether nothing covers the face; by chance if None.
            remembered: whether there is a moment from before to compare with; by chance if
                None.
        """
        random = np.random.default_rng(list(seed))
        return self._view(self._stage(0, random, bare), random, remembered)

    def _stage(self, number: int, random: np.random.Generator, bare: bool | None) -> _Scene:
        """A face, dressed and covered."""
        index = int(random.integers(len(self._faces)))
        face = self._faces[index]
        uncovered = bool(random.random() < BARE_SHARE) if bare is None else bare
        dress = int(random.integers(0, 2**31))
        picture = dress_face(face.picture, face.landmarks, np.random.default_rng(dress))
        covered = np.zeros(picture.shape[:2], np.float32)
        count = 0 if uncovered else 1 + int(random.random() < 0.25) + int(random.random() < 0.1)
        for _ in range(count):
            sprite = self._sprites[int(random.integers(len(self._sprites)))]
            place = draw_place(sprite, face.landmarks, random)
            shadow = bool(random.random() < _ONLY_SHADOW)
            picture, alpha = cover(picture, face, sprite, place, random, only_shadow=shadow)
            covered += (1 - covered) * alpha
        mask = np.round(covered * 255).astype(np.uint8)
        return _Scene(
            number=number, index=index, dress=dress, picture=picture, covered=mask, bare=count == 0
        )

    def _view(
        self, scene: _Scene, random: np.random.Generator, remembered: bool | None
    ) -> CoveredSample:
        """What a camera and the tracker make of a scene."""
        face = self._faces[scene.index]
        tone = int(random.integers(0, 2**31))
        picture = soften_and_spoil(draw_tones(np.random.default_rng(tone))(scene.picture), random)
        landmarks = self._found(picture, face.landmarks, tracked=not scene.bare, random=random)
        cut = _jittered(crop_from_frame(landmarks, CROP_SIZE), random)
        inside = crop_landmarks(landmarks, cut)
        before = None
        if (random.random() < _REMEMBERED_SHARE) if remembered is None else remembered:
            before = self._before(scene, tone, random)
        made = CoveredSample(
            inputs=stack_inputs(cut_crop(picture, cut, CROP_SIZE), inside, before),
            covered=cut_crop(scene.covered, cut, CROP_SIZE),
            face=_face_area(inside),
        )
        return _mirrored(made) if random.random() < 0.5 else made

    def _before(self, scene: _Scene, tone: int, random: np.random.Generator) -> BareMoment:
        """What the face looked like before: another moment of the shot, if there is one.

        Args:
            scene: what is seen now.
            tone: seed of the camera's tones.
            random: where chance comes from.
        """
        index, dress = scene.index, scene.dress
        others = self._others[index]
        # At times what covers was there already, and was taken for bare.
        still = not scene.bare and random.random() < _STILL_SHARE
        if others and not still and random.random() < _MOVED_SHARE:
            index = others[int(random.integers(len(others)))]
        face = self._faces[index]
        if random.random() < _CHANGED_SHARE:
            # Glasses put on, a shadow come, a smile: news, and yet nothing covers.
            dress += 1
        picture = scene.picture
        if not still:
            picture = dress_face(face.picture, face.landmarks, np.random.default_rng(dress))
        if scene.bare and random.random() < _GONE_SHARE:
            sprite = self._sprites[int(random.integers(len(self._sprites)))]
            place = draw_place(sprite, face.landmarks, random)
            picture, _ = cover(picture, face, sprite, place, random)
        toned = draw_tones(np.random.default_rng(tone))(picture)
        if random.random() < 0.5:
            toned *= np.exp(random.normal(0, 0.06)) * np.exp(random.normal(0, 0.02, 3))
        if random.random() < 0.1:
            toned *= np.exp(random.normal(0, 0.25))
        landmarks = _shaken(face.landmarks, 0.004, random)
        cut = crop_from_frame(landmarks, CROP_SIZE)
        crop = cut_crop(np.clip(toned, 0, 255).astype(np.uint8), cut, CROP_SIZE)
        crop = spoil(crop.astype(np.float32), random)
        known = np.full((CROP_SIZE, CROP_SIZE), 255, np.uint8)
        if random.random() < _PARTLY_SHARE:
            centre = tuple(int(v) for v in random.integers(0, CROP_SIZE, 2))
            axes = tuple(int(v) for v in random.integers(4, 40, 2))
            cv2.ellipse(known, centre, axes, random.uniform(0, 180), 0, 360, (0,), -1)
        return BareMoment(crop=crop, landmarks=crop_landmarks(landmarks, cut), known=known)

    def _found(
        self, picture: U8Array, landmarks: F32Array, *, tracked: bool, random: np.random.Generator
    ) -> F32Array:
        """Landmarks as the tracker gives them: disturbed by what covers, or a little off."""
        if tracked and random.random() < _TRACKED_SHARE:
            found, quality = self._landmarker.locate(picture, roi_from_landmarks(landmarks))
            if quality >= FACE_BELIEF:
                return found
        return _shaken(landmarks, 0.012, random)


def gathered(samples: Sequence[CoveredSample]) -> CoveredBatch:
    """Samples as one batch."""
    stack = np.stack([one.inputs for one in samples])
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
    return replace(face, picture=np.asarray(small, np.uint8), landmarks=landmarks)


def _shaken(landmarks: F32Array, share: float, random: np.random.Generator) -> F32Array:
    """Landmarks that are off by about ``share`` of the face's height together."""
    span = float(np.ptp(landmarks[:, 1]))
    off = random.normal(0, share * span, 3).astype(np.float32)
    rough = random.normal(0, 0.004 * span, landmarks.shape).astype(np.float32)
    return np.asarray(landmarks + off + rough, np.float32)


def _face_area(landmarks: F32Array) -> U8Array:
    """(S, S) uint8: 255 within the face's outline and a little beyond."""
    area = np.zeros((CROP_SIZE, CROP_SIZE), np.uint8)
    oval = landmarks[list(FACE_OVAL), :2]
    centre = oval.mean(axis=0)
    grown = np.clip(centre + (oval - centre) * 1.06, -400, 600)
    cv2.fillPoly(area, [np.round(grown * 8).astype(np.int32)], (255,), cv2.LINE_AA, 3)
    return area


def _mirrored(sample: CoveredSample) -> CoveredSample:
    inputs = np.ascontiguousarray(sample.inputs[:, ::-1])
    # Canonical x runs the other way in a mirror; where there is no face it stays 0.
    on_face = inputs[..., 3:6].max(axis=2) > 0
    inputs[..., 3] = np.where(on_face, 255 - inputs[..., 3], 0)
    return CoveredSample(
        inputs=inputs,
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
