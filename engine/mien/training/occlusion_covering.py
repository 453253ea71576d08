"""Covers bare faces with lit sprites, and harms pictures as cameras do.

Everything follows from the random generator that is handed in.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mien.face_mesh import FACE_OVAL
from mien.training.occlusion_shards import BareFace
from mien.training.occlusion_sprites import KINDS, Sprite
from mien.types import F32Array, U8Array

# Sprites hold 60 px a decimetre; the oval of a face is about 1.75 dm from top to chin.
_SPRITE_PX_PER_DM, _OVAL_DM = 60.0, 1.75
_HAND, _HAIR = KINDS.index("hand"), KINDS.index("hair")
_MOUTH, _CHIN, _NOSE, _BROW = 13, 152, 1, 10
# Landmarks that hands go to.
_TOUCHED = (13, 152, 1, 10, 50, 280, 205, 425, 61, 291, 159, 386, 149, 378, 0, 127, 356)
# Landmarks whose pixels give the tone of the skin.
_SKIN_POINTS = (50, 280, 205, 425, 151, 9, 101, 330)
_GAMMA = 2.2
_TONES = (255 * np.linspace(0, 1, 1024) ** (1 / _GAMMA)).astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a sprite goes.

    Attributes:
        anchor: (x, y) in the sprite that comes to ``target``, (x, y) in the picture.
        turn_deg: counter-clockwise as seen.
        scale: picture pixels a sprite pixel.
    """

    anchor: tuple[float, float]
    target: tuple[float, float]
    turn_deg: float
    scale: float

    def matrix(self) -> F32Array:
        """(2, 3) picture from sprite."""
        angle = np.radians(self.turn_deg)
        c, s = np.cos(angle) * self.scale, np.sin(angle) * self.scale
        linear = np.array([[c, s], [-s, c]])
        shift = np.array(self.target) - linear @ np.array(self.anchor)
        return np.concatenate([linear, shift[:, None]], axis=1).astype(np.float32)


def draw_place(sprite: Sprite, landmarks: F32Array, random: np.random.Generator) -> Place:
    """A place for a sprite that covers some of a face, as such things do."""
    side = float(len(sprite.planes))
    middle = side / 2
    oval = landmarks[list(FACE_OVAL), :2]
    tall = float(np.ptp(oval[:, 1]))
    scale = tall / _OVAL_DM / _SPRITE_PX_PER_DM * float(np.exp(random.normal(0.02, 0.2)))
    kind = KINDS[sprite.kind]
    anchor = (middle, middle)
    if kind == "hand":
        point = int(random.choice(_TOUCHED))
        # Most forearms come from below.
        turn = random.normal(0, 50) if random.random() < 0.85 else random.uniform(-180, 180)
        anchor = (middle + random.normal(0, 12), middle - 22 + random.normal(0, 30))
        spread = 0.10
    elif kind in ("microphone", "mug", "stick"):
        point, spread = int(random.choice((_MOUTH, _MOUTH, _CHIN, _NOSE, 61, 291))), 0.13
        turn = random.normal(0, 45)
    elif kind == "boom":
        point, spread = int(random.choice((61, 291, _CHIN))), 0.08
        turn = random.normal(-40, 45)
    elif kind == "hair":
        point, spread = _BROW, 0.16
        anchor, turn = (middle, side * random.uniform(0.02, 0.16)), random.normal(0, 22)
    elif kind == "cloth":
        point, spread = int(random.choice((_CHIN, _CHIN, _BROW, _MOUTH))), 0.12
        turn = random.normal(0, 15)
    else:
        point, spread = int(random.choice(_TOUCHED)), 0.15
        turn = random.uniform(-180, 180)
    target = landmarks[point, :2] + random.normal(0, spread * tall, 2)
    return Place(
        anchor=anchor,
        target=(float(target[0]), float(target[1])),
        turn_deg=float(turn),
        scale=scale,
    )


def cover(
    picture: U8Array,
    face: BareFace,
    sprite: Sprite,
    place: Place,
    random: np.random.Generator,
    *,
    only_shadow: bool = False,
) -> tuple[U8Array, F32Array]:
    """The picture with the sprite before the face, and (H, W) float32 how much it covers.

    Args:
        picture: (H, W, 3) uint8 BGR; left as it is.
        face: whose light and skin the sprite takes.
        sprite: what covers.
        place: where.
        random: where the light's and the shadow's chances come from.
        only_shadow: the thing itself is outside the picture; nothing is covered.
    """
    matrix = place.matrix()
    flags = cv2.INTER_LINEAR
    size = (picture.shape[1], picture.shape[0])
    front = cv2.warpAffine(sprite.planes[..., :4], matrix, size, flags=flags)
    alpha = front[..., 3].astype(np.float32) / 255
    shaded = _shadowed(picture, alpha, face, random)
    if only_shadow or not alpha.any():
        return np.clip(np.round(shaded), 0, 255).astype(np.uint8), np.zeros_like(alpha)
    rows, columns = np.nonzero(alpha.max(axis=1))[0], np.nonzero(alpha.max(axis=0))[0]
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    back = cv2.warpAffine(
        sprite.planes[..., 4:], matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    part = (slice(top, bottom), slice(left, right))
    lit = _lit(
        np.asarray(front[part], np.uint8),
        np.asarray(back[part], np.uint8),
        face,
        picture,
        sprite,
        place.turn_deg,
        random,
    )
    colours = np.zeros_like(picture, np.float32)
    colours[part] = lit
    spread = float(random.choice((0.0, 0.0, 0.6, 1.2, 2.5), p=(0.35, 0.2, 0.25, 0.13, 0.07)))
    if spread:
        # What is nearer than the focus is soft.
        premultiplied = cv2.GaussianBlur(colours * alpha[..., None], (0, 0), spread)
        alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), spread), np.float32)
    else:
        premultiplied = colours * alpha[..., None]
    if random.random() < 0.12:
        kernel = _streak(random)
        premultiplied = cv2.filter2D(premultiplied, -1, kernel)
        alpha = np.asarray(cv2.filter2D(alpha, -1, kernel), np.float32)
    mixed = shaded * (1 - alpha[..., None]) + premultiplied
    return np.clip(np.round(mixed), 0, 255).astype(np.uint8), alpha


def _lit(
    front: U8Array, back: U8Array, face: BareFace, picture: U8Array, sprite: Sprite,
    turn_deg: float, random: np.random.Generator,
) -> F32Array:  # fmt: skip
    """(h, w, 3) float32, code values, of a sprite in the light of a face."""
    stored = front[..., :3].astype(np.float32) * np.float32(1 / 255)
    albedo = stored * stored * 2
    normal = (back[..., :3].astype(np.float32) - 128) / 127
    openness = back[..., 3:].astype(np.float32) / 255
    key_rgb, around_rgb = face.light[3:6], face.light[6:9]
    direction = face.light[:3] + random.normal(0, 0.3, 3).astype(np.float32)
    direction /= max(float(np.linalg.norm(direction)), 1e-6)
    # The light in the sprite's own axes: the sprite was turned, its normals were not.
    angle = np.radians(-turn_deg)
    c, s = np.cos(angle), np.sin(angle)
    local = np.array(
        [c * direction[0] - s * direction[1], s * direction[0] + c * direction[1], direction[2]],
        np.float32,
    )
    facing = normal @ local
    wrap = 0.25 if sprite.kind == _HAND else 0.05
    diffuse = np.clip((facing + wrap) / (1 + wrap), 0, None)[..., None]
    ambient = openness * (0.8 + 0.2 * normal[..., 1:2])
    light = diffuse * key_rgb[::-1] + ambient * around_rgb[::-1]
    if sprite.kind == _HAND:
        tone = _skin_tone(picture, face.landmarks) * np.exp(random.normal(0, 0.22))
        tone = tone * np.exp(random.normal(0, 0.05, 3))
        if random.random() < 0.2:
            tone = tone * np.exp(random.normal(0, 0.5))
        mean = light.mean() + 1e-4
        linear = albedo * (light / mean) * tone.astype(np.float32)
        # A sleeve keeps its own colour, but for the exposure.
        glossy = 0.1
    else:
        linear = albedo * light
        glossy = sprite.shine
    half = local + np.array([0, 0, 1], np.float32)
    half /= max(float(np.linalg.norm(half)), 1e-6)
    gleam = np.clip(normal @ half, 0, 1) ** (8 + 90 * glossy)
    linear = linear + (0.05 + 0.5 * glossy) * gleam[..., None] * key_rgb[::-1] * openness
    shoulder = linear / (1 + 0.25 * linear)
    index = np.minimum(shoulder * 1023, 1023).astype(np.int32)
    return np.asarray(_TONES[np.maximum(index, 0)], np.float32)


def _shadowed(
    picture: U8Array, alpha: F32Array, face: BareFace, random: np.random.Generator
) -> F32Array:
    """The picture under the soft shadow of what covers it."""
    strength = random.uniform(0, 0.75) if random.random() < 0.75 else 0.0
    if not strength:
        return picture.astype(np.float32)
    gap = random.uniform(1, 18)
    shift = np.array([[1, 0, -face.light[0] * gap], [0, 1, face.light[1] * gap]], np.float32)
    fallen = cv2.warpAffine(alpha, shift, alpha.shape[::-1])
    soft = cv2.GaussianBlur(fallen, (0, 0), 0.6 + gap * random.uniform(0.1, 0.5))
    around = face.light[6:9][::-1]
    lost = face.light[3:6][::-1] / np.maximum(face.light[3:6][::-1] + around, 1e-3)
    return np.asarray(picture * (1 - strength * soft[..., None] * lost), np.float32)


def _skin_tone(picture: U8Array, landmarks: F32Array) -> F32Array:
    """(3,) linear BGR of the cheeks and brow."""
    last = min(picture.shape[:2]) - 1
    places = np.clip(np.round(landmarks[list(_SKIN_POINTS), :2]).astype(int), 0, last)
    colours = picture[places[:, 1], places[:, 0]].astype(np.float32) / 255
    return np.asarray(np.median(colours, axis=0) ** _GAMMA, np.float32)


def _streak(random: np.random.Generator) -> F32Array:
    """The kernel of a motion blur."""
    length = int(random.integers(3, 12))
    kernel = np.zeros((13, 13), np.float32)
    angle = random.uniform(0, np.pi)
    reach = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    ends = [tuple(int(v) for v in np.round(6 + sign * reach)) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], (1.0,), 1)
    return np.asarray(kernel / kernel.sum(), np.float32)
