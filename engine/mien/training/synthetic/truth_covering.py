"""Things that come before a face and leave again, the same before the performer and the truth."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from mien.face_mesh import FACE_OVAL
from mien.training.occlusion_covering import Place, cover, draw_place
from mien.training.occlusion_shards import BareFace
from mien.training.occlusion_sprites import KINDS, Sprite

from .figure.anatomy import F32
from .occluder_hands import Hands
from .occluders import draw_sprite

U8 = npt.NDArray[np.uint8]

# Sprites from here on are never trained on.
_FIRST_SPRITE = 1_000_000
_KINDS = ("hand", "microphone", "mug", "phone")
_NOSE = 1
# Parts of a clip: comes, is there, leaves, is gone.
_COMES, _STAYS, _LEAVES = (0.08, 0.30), 0.72, 0.92
# How far away it starts, in heights of the face.
_AWAY = 1.7
_SWAY_DEG, _SWAYS = 6.0, 1.5
# Share of the face that it should cover while it is there, and how often places are drawn.
_COVERS, _ATTEMPTS = (0.12, 0.40), 40


def find_sprite(seed: int, hands: Hands) -> Sprite:
    """A hand or a thing that is held, one that is never trained on."""
    number = _FIRST_SPRITE + 100 * seed
    while True:
        sprite = draw_sprite(number, hands)
        if KINDS[sprite.kind] in _KINDS:
            return sprite
        number += 1


class Covering:
    """One thing on its way past a face; call :meth:`cover` with the frames in order.

    Args:
        sprite: what covers.
        seed: of where it goes and how it is lit.
        frames: of the clip.
    """

    def __init__(self, sprite: Sprite, seed: int, frames: int) -> None:
        self._sprite, self._seed, self._frames = sprite, seed, frames
        self._first: tuple[Place, F32, float] | None = None
        random = np.random.default_rng([seed, 9090])
        aside = random.uniform(-1.0, 1.0)
        self._direction = np.array([aside, 1.0]) / np.hypot(aside, 1.0)

    def cover(
        self, index: int, driver: U8, truth: U8, landmarks: F32, light: F32
    ) -> tuple[U8, U8, U8]:
        """Both pictures with the thing before the face, and how much it covers.

        Args:
            index: of the frame.
            driver, truth: (H, W, 3) uint8 BGR.
            landmarks: (468, 2) or more, of the face.
            light: (9,) as in :class:`mien.training.occlusion_shards.BareFace`.

        Returns:
            Driver, truth, and (H, W) uint8 cover: where that is 255 the two are one picture.
        """
        place = self._place(index, landmarks, driver.shape[:2])
        face = BareFace(picture=driver, landmarks=landmarks, light=light)

        def put(picture: U8, *, only_shadow: bool) -> tuple[U8, F32]:
            # The same chances each time, so that light and focus hold still.
            random = np.random.default_rng([self._seed, 9191])
            return cover(picture, face, self._sprite, place, random, only_shadow=only_shadow)

        covered, share = put(driver, only_shadow=False)
        if not share.any():
            return driver, truth, np.zeros(driver.shape[:2], np.uint8)
        bare, twin = put(driver, only_shadow=True)[0], put(truth, only_shadow=True)[0]
        shown = 1 - share[..., None]
        # What the thing itself adds to the driver, it adds to the truth as well: a hand takes
        # its tone from the face that is handed in, and this must be one hand.
        added = covered - bare * shown
        twin_covered = np.clip(np.round(twin * shown + added), 0, 255).astype(np.uint8)
        return covered, twin_covered, np.round(share * 255).astype(np.uint8)

    def _place(self, index: int, landmarks: F32, size: tuple[int, ...]) -> Place:
        nose = landmarks[_NOSE, :2]
        tall = float(np.ptp(landmarks[list(FACE_OVAL), 1]))
        if self._first is None:
            place = self._find_place(landmarks, size)
            self._first = place, np.asarray(place.target - nose, np.float32), tall
        first, offset, first_tall = self._first
        grown = tall / first_tall
        time = index / max(self._frames - 1, 1)
        away = 1 - _smooth(time, *_COMES) * (1 - _smooth(time, _STAYS, _LEAVES))
        target = nose + offset * grown + self._direction * (away * _AWAY * tall)
        sway = _SWAY_DEG * np.sin(2 * np.pi * _SWAYS * time)
        return Place(
            anchor=first.anchor,
            target=(float(target[0]), float(target[1])),
            turn_deg=first.turn_deg + float(sway),
            scale=first.scale * grown,
        )

    def _find_place(self, landmarks: F32, size: tuple[int, ...]) -> Place:
        """A place where it covers some of the face, not next to nothing and not nearly all."""
        random = np.random.default_rng([self._seed, 9292])
        oval = np.zeros(size, np.uint8)
        cv2.fillPoly(oval, [np.round(landmarks[list(FACE_OVAL), :2]).astype(np.int32)], (1,))
        cover_of = self._sprite.planes[..., 3]
        for _ in range(_ATTEMPTS):
            place = draw_place(self._sprite, landmarks, random)
            alpha = cv2.warpAffine(cover_of, place.matrix(), (size[1], size[0]))
            share = float((alpha.astype(np.float32) * oval).sum()) / max(
                255.0 * float(oval.sum()), 1.0
            )
            if _COVERS[0] <= share <= _COVERS[1]:
                break
        return place


def _smooth(time: float, start: float, end: float) -> float:
    part = min(max((time - start) / (end - start), 0.0), 1.0)
    return part * part * (3 - 2 * part)
