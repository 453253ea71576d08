"""What is on a face and yet does not cover it, and what cameras do to pictures.

Shadows, glasses, make-up, stubble and texture teach the occlusion net what must not be cut;
exposure, blur, noise and compression what pictures are like.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mien.face_mesh import INNER_LIPS, LEFT_EYE, OUTER_LIPS, RIGHT_EYE
from mien.types import F32Array, U8Array

_BEARD_POINTS = (152, 148, 176, 149, 150, 377, 400, 378, 379, 18, 200, 199, 175, 58, 288, 172, 397)
_CHEEKS = (50, 280, 205, 425, 151, 9)
_GRAIN_SIDE = 640


def dress_face(picture: U8Array, landmarks: F32Array, random: np.random.Generator) -> U8Array:
    """The face with texture, make-up, stubble, glasses and shadows that cover nothing.

    Args:
        picture: (H, W, 3) uint8 BGR; left as it is.
        landmarks: (478, 3) float32, pixels of the picture.
        random: where chance comes from.
    """
    image = picture.astype(np.float32)
    side = len(picture)
    if random.random() < 0.35:
        image = _grinning(image, landmarks, random)
    if random.random() < 0.6:
        image *= _texture(side, random)
    if random.random() < 0.15:
        image = _painted(image, landmarks, random)
    if random.random() < 0.15:
        image = _stubble(image, landmarks, random)
    if random.random() < 0.35:
        image *= _cast_shadow(side, random)
    if random.random() < 0.10:
        image += _gleam(landmarks, side, random)
    if random.random() < 0.18:
        image = _spectacled(image, landmarks, random)
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def draw_tones(random: np.random.Generator) -> Callable[[U8Array], F32Array]:
    """What a camera does to light: exposure, white balance, contrast, saturation.

    Returns:
        A function of a (H, W, 3) uint8 picture that gives its float32 code values.
    """
    gain = np.exp(random.normal(0, 0.09, 3)) * np.exp(random.normal(0, 0.22))
    power = float(np.exp(random.normal(0, 0.2)))
    levels = np.arange(256)[:, None] / 255
    tones = np.round(255 * np.clip(levels * gain, 0, 1) ** power).astype(np.uint8)
    saturation = 0.0 if random.random() < 0.03 else float(np.exp(random.normal(0, 0.25)))
    mixed = np.full((3, 3), (1 - saturation) / 3) + np.eye(3) * saturation

    def toned(picture: U8Array) -> F32Array:
        bright = cv2.LUT(picture, tones[None]).astype(np.float32)
        return np.asarray(cv2.transform(bright, mixed), np.float32)

    return toned


def soften_and_spoil(image: F32Array, random: np.random.Generator) -> U8Array:
    """The picture as a camera would give it: softness, noise, compression.

    Args:
        image: (H, W, 3) float32 code values.
        random: where chance comes from.
    """
    side = len(image)
    if random.random() < 0.25:
        # A small face, scaled up by the camera or by the crop.
        small = int(side * random.uniform(0.35, 0.9))
        image = np.asarray(cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA))
        image = np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR))
    elif random.random() < 0.4:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), float(random.uniform(0.3, 2.0))))
    if random.random() < 0.08:
        image = _moved(image, random)
    return spoil(image, random)


def spoil(image: F32Array, random: np.random.Generator) -> U8Array:
    """The picture with noise and compression.

    Args:
        image: (H, W, 3) float32 code values.
        random: where chance comes from.
    """
    side = len(image)
    if random.random() < 0.7:
        strength = abs(random.normal(0, 5.0))
        top, left = random.integers(0, _GRAIN_SIDE - side, 2)
        grain = _grain()[top : top + side, left : left + side]
        noise = strength * (grain[..., 3:] + random.uniform(0, 0.8) * grain[..., :3])
        if random.random() < 0.4:
            # Cameras smooth their noise.
            noise = cv2.GaussianBlur(noise, (0, 0), 0.8) * 1.6
        image = image + noise
    harmed = np.clip(np.round(image), 0, 255).astype(np.uint8)
    if random.random() < 0.5:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(random.uniform(35, 97))]
        _, data = cv2.imencode(".jpg", harmed, quality)
        harmed = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return harmed


@cache
def _grain() -> F32Array:
    """(_GRAIN_SIDE, _GRAIN_SIDE, 4) float32 noise, from which each picture takes a part."""
    grain = np.random.default_rng(4).standard_normal((_GRAIN_SIDE, _GRAIN_SIDE, 4), np.float32)
    grain.flags.writeable = False
    return grain


def _field(side: int, knots: int, random: np.random.Generator) -> F32Array:
    """(side, side) float32 smooth noise, about 1 in spread."""
    coarse = random.standard_normal((knots, knots)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_LINEAR), np.float32)


def _texture(side: int, random: np.random.Generator) -> F32Array:
    """(side, side, 3) factors: blotches, pores, wrinkles."""
    total = np.zeros((side, side), np.float32)
    for knots, strength in ((6, 0.05), (16, 0.04), (48, 0.035), (120, 0.03)):
        if random.random() < 0.7:
            total += abs(random.normal(0, strength * 1.2)) * _field(side, knots, random)
    if random.random() < 0.3:
        coarse = random.standard_normal((int(random.integers(30, 90)), 6)).astype(np.float32)
        total += 0.03 * cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    tint = 1 + 0.5 * random.normal(0, 0.4, 3).astype(np.float32)
    return np.asarray(1 + total[..., None] * tint, np.float32)


def _grinning(image: F32Array, landmarks: F32Array, random: np.random.Generator) -> F32Array:
    """Bright teeth between the lips, which the studio's people hardly show."""
    ring = landmarks[list(INNER_LIPS), :2].astype(np.float64)
    half = len(ring) // 2
    wide = float(np.linalg.norm(ring[half] - ring[0]))
    if wide < 4:
        return image
    down = np.array([-(ring[half] - ring[0])[1], (ring[half] - ring[0])[0]]) / wide
    if down[1] < 0:
        down = -down
    # The lower lip, from one corner to the other, drops; the corners rise.
    along = np.sin(np.linspace(0, np.pi, half + 1))
    ring[: half + 1] += down * (along * wide * random.uniform(0.02, 0.3))[:, None]
    side = len(image)
    opening = np.zeros((side, side), np.float32)
    cv2.fillPoly(opening, [_corners(ring)], (1.0,), cv2.LINE_AA, 3)
    lips = landmarks[list(OUTER_LIPS), :2]
    places = np.clip(np.round(lips).astype(int), 0, side - 1)
    lip = image[places[:, 1], places[:, 0]].mean(axis=0)
    canvas = image.copy()
    thick = max(round(wide * random.uniform(0.08, 0.2)), 1)
    cv2.polylines(canvas, [_corners(ring)], True, lip.tolist(), thick, cv2.LINE_AA, 3)
    light = np.clip(lip.mean() * random.uniform(1.2, 1.9) + 10, 0, 250)
    teeth = light * np.array([random.uniform(0.8, 1.0), random.uniform(0.93, 1.0), 1.0])
    reach = np.round(ring).astype(int)
    left, top = np.clip(reach.min(axis=0) - 4, 0, side - 1)
    right, bottom = np.clip(reach.max(axis=0) + 5, left + 1, side)
    part = (slice(top, bottom), slice(left, right))
    rows, columns = np.mgrid[part].astype(np.float32)
    across = (columns - ring[0, 0]) * down[1] - (rows - ring[0, 1]) * down[0]
    gaps = np.cos(2 * np.pi * across / (wide / random.uniform(6, 11)))
    shade = (
        1
        - random.uniform(0, 0.3) * (gaps > 0.9)
        - random.uniform(0, 0.5) * np.abs(2 * across / wide - 1).clip(0, 1)
    )
    if random.random() < 0.4:
        # The teeth are above, the dark of the mouth below.
        below = (rows - ring[:, 1].mean()) * down[1] > wide * random.uniform(-0.02, 0.12)
        shade = np.where(below, 0.25, shade)
    filled = teeth.astype(np.float32) * shade[..., None].astype(np.float32)
    share = cv2.GaussianBlur(opening[part], (0, 0), 0.6)[..., None]
    canvas[part] = canvas[part] * (1 - share) + filled * share
    return canvas


def _painted(image: F32Array, landmarks: F32Array, random: np.random.Generator) -> F32Array:
    """Make-up: lids, lips, cheeks or the brow in another colour, softly."""
    side = len(image)
    mask = np.zeros((side, side), np.float32)
    where = random.integers(4)
    if where == 0:
        cv2.fillPoly(mask, [_corners(landmarks[list(OUTER_LIPS), :2])], (1.0,), cv2.LINE_AA, 3)
    elif where == 1:
        for eye in (LEFT_EYE, RIGHT_EYE):
            points = landmarks[list(eye), :2]
            centre = points.mean(axis=0) - [0, 0.12 * np.ptp(points[:, 0])]
            grown = centre + (points - centre) * [1.25, 2.6]
            cv2.fillPoly(mask, [_corners(grown)], (1.0,), cv2.LINE_AA, 3)
    else:
        for point in random.choice(_CHEEKS, 2, replace=False):
            centre = tuple(int(v) for v in landmarks[point, :2])
            cv2.circle(mask, centre, int(side * random.uniform(0.03, 0.09)), (1.0,), -1)
    soft = np.asarray(cv2.GaussianBlur(mask, (0, 0), float(random.uniform(1, 6))), np.float32)
    colour = (random.random(3) * 255).astype(np.float32)
    share = soft[..., None] * random.uniform(0.15, 0.55)
    return np.asarray(image * (1 - share) + colour * share * (image.mean() / 128), np.float32)


def _stubble(image: F32Array, landmarks: F32Array, random: np.random.Generator) -> F32Array:
    """A darker, rougher jaw: what the studio's painted beards lack."""
    side = len(image)
    mask = np.zeros((side, side), np.float32)
    hull = np.asarray(cv2.convexHull(landmarks[list(_BEARD_POINTS), :2]), np.float32)
    cv2.fillPoly(mask, [_corners(hull.reshape(-1, 2))], (1.0,), cv2.LINE_AA, 3)
    mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), float(random.uniform(4, 10))), np.float32)
    cv2.fillPoly(mask, [_corners(landmarks[list(OUTER_LIPS), :2])], (0.0,), cv2.LINE_AA, 3)
    rough = np.clip(0.6 + 0.5 * _field(side, 100, random), 0, 1.2)
    share = (mask * rough * random.uniform(0.3, 0.95))[..., None]
    colour = np.array([0.10, 0.12, 0.16]) * random.uniform(0.4, 3.0) * 255
    return np.asarray(image * (1 - share) + colour.astype(np.float32) * share, np.float32)


def _cast_shadow(side: int, random: np.random.Generator) -> F32Array:
    """(side, side, 1) factors: the shadow of a hat, a wall, blinds, leaves."""
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32) / side - 0.5
    angle = random.uniform(0, 2 * np.pi)
    across = columns * np.cos(angle) + rows * np.sin(angle)
    kind = random.random()
    if kind < 0.5:
        value = across - random.normal(0, 0.18) + 0.03 * _field(side, 6, random)
    elif kind < 0.75:
        value = np.sin(across * random.uniform(8, 60) + random.uniform(0, 6.28)) * 0.05
    else:
        value = 0.2 * (_field(side, int(random.integers(4, 9)), random) - random.uniform(-0.5, 0.5))
    edge = random.uniform(0.004, 0.09)
    dark = 1 / (1 + np.exp(-np.clip(value / edge, -30, 30)))
    return np.asarray(1 - random.uniform(0.15, 0.8) * dark[..., None], np.float32)


def _gleam(landmarks: F32Array, side: int, random: np.random.Generator) -> F32Array:
    """Sweat and spotlights: bright, soft spots."""
    mask = np.zeros((side, side), np.float32)
    for _ in range(int(random.integers(1, 4))):
        point = landmarks[int(random.integers(0, 468)), :2]
        centre = tuple(int(v) for v in point)
        cv2.circle(mask, centre, int(side * random.uniform(0.01, 0.05)), (1.0,), -1)
    soft = cv2.GaussianBlur(mask, (0, 0), float(random.uniform(1.5, 7)))
    return np.asarray(soft[..., None] * random.uniform(40, 220), np.float32)


def _spectacled(image: F32Array, landmarks: F32Array, random: np.random.Generator) -> F32Array:
    """Glasses count as face: frames round both eyes, a bridge, temples, a glint or a tint."""
    canvas = np.clip(image, 0, 255).astype(np.uint8)
    colour = (random.random(3) * 70 if random.random() < 0.7 else random.random(3) * 255).tolist()
    centres = [landmarks[list(eye), :2].mean(axis=0) for eye in (RIGHT_EYE, LEFT_EYE)]
    apart = float(np.linalg.norm(centres[1] - centres[0]))
    angle = float(np.degrees(np.arctan2(*(centres[1] - centres[0])[::-1])))
    thick = max(round(apart * random.uniform(0.015, 0.1)), 1)
    half = (apart * random.uniform(0.34, 0.46), apart * random.uniform(0.24, 0.42))
    power = float(random.uniform(2, 5))
    turn = np.radians(np.linspace(0, 360, 40))
    c, s = np.cos(turn), np.sin(turn)
    shape = np.stack([np.sign(c) * np.abs(c) ** (2 / power), np.sign(s) * np.abs(s) ** (2 / power)])
    tilt = np.radians(angle)
    spin = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    down = np.array([-np.sin(tilt), np.cos(tilt)]) * apart * random.uniform(0.0, 0.12)
    rims = [
        (centre + down + (spin @ (shape * np.array(half)[:, None])).T).astype(np.float32)
        for centre in centres
    ]
    tinted = canvas.astype(np.float32)
    if random.random() < 0.3:
        lens = np.zeros(canvas.shape[:2], np.float32)
        for rim in rims:
            cv2.fillPoly(lens, [_corners(rim)], (1.0,), cv2.LINE_AA, 3)
        share = lens[..., None] * random.uniform(0.1, 0.7)
        tint = (random.random(3) * random.choice([40, 255])).astype(np.float32)
        tinted = tinted * (1 - share) + tint * share
    canvas = np.clip(tinted, 0, 255).astype(np.uint8)
    for rim in rims:
        cv2.polylines(canvas, [_corners(rim)], True, colour, thick, cv2.LINE_AA, 3)
    start, end = _corner(rims[0][0]), _corner(rims[1][20])
    cv2.line(canvas, start, end, colour, thick, cv2.LINE_AA)
    for rim, index, ear in ((rims[0], 20, 127), (rims[1], 0, 356)):
        start, end = _corner(rim[index]), _corner(landmarks[ear, :2])
        cv2.line(canvas, start, end, colour, thick, cv2.LINE_AA)
    return canvas.astype(np.float32)


def _moved(image: F32Array, random: np.random.Generator) -> F32Array:
    length = int(random.integers(3, 8))
    kernel = np.zeros((9, 9), np.float32)
    angle = random.uniform(0, np.pi)
    reach = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    ends = [tuple(int(v) for v in np.round(4 + sign * reach)) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], (1.0,), 1)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.float32)


def _corners(points: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int32]:
    limited = np.clip(np.nan_to_num(points), -2000, 2000)
    return np.round(limited * 8).astype(np.int32)


def _corner(point: F32Array) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))
