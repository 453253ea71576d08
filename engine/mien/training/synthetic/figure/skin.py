"""Paints skin, brows, beard, freckles and scalp on the unrolled head.

The map is a cylinder around the head's axis: columns are angles (0 in front), rows are
heights of the rest mesh. Angles are spread so that the face gets most of the columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from .anatomy import F32
from .person import BROW_COLOURS, HAIR_COLOURS, Person

MAP_HEIGHT, MAP_WIDTH = 1536, 2048
TOP_Y, SPAN_Y = 8.6, 3.4
AXIS_Z = 0.35
_LIGHT, _MIDDLE, _DARK = (
    np.array(colour) for colour in ((0.62, 0.40, 0.31), (0.42, 0.24, 0.155), (0.14, 0.062, 0.032))
)

_columns = (np.arange(MAP_WIDTH) + 0.5) / MAP_WIDTH * 2 - 1
ANGLE: F32 = (_columns / (1.8 - 0.8 * np.abs(_columns)) * 180)[None, :].astype(np.float32)
"""(1, W) degrees from the front; positive to the person's left."""
HEIGHT: F32 = (TOP_Y - (np.arange(MAP_HEIGHT) + 0.5) / MAP_HEIGHT * SPAN_Y)[:, None].astype(
    np.float32
)
"""(H, 1) height on the rest mesh, decimetres."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkinMaps:
    """What the shader looks up.

    Attributes:
        layers: (H, W, 7) float32: linear RGB reflectance, bump slopes along columns
            and rows, gloss, strand shade.
        strands: (H, W) float32: how far out hair reaches here, 0..1 of the cap; -1 = none.
        base: (3,) the skin's plain colour.
    """

    layers: F32
    strands: F32
    base: F32


def smoothstep(low: float, high: float, x: F32 | float) -> F32:
    """0 at ``low``, 1 at ``high`` (which may be the smaller), smooth between."""
    t = np.clip((np.asarray(x, dtype=np.float32) - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def paint_skin(person: Person) -> SkinMaps:
    """The maps of a person; the same person gives the same maps."""
    random = np.random.RandomState(person.seed + 1000)
    base = _base_colour(person.skin_tone) * (1 + 0.02 * random.randn(3) * [0.5, 1, 1])
    blotches, mottle, grain = _noise(random, 260, 5), _noise(random, 30, 4), _noise(random, 6, 2)
    albedo: F32 = np.ones((MAP_HEIGHT, MAP_WIDTH, 3), np.float32) * base.astype(np.float32)
    albedo *= (1 + 0.14 * (blotches - 0.5) + 0.18 * (mottle - 0.5) + 0.10 * (grain - 0.5))[
        ..., None
    ]
    _paint_flush(albedo, person, mottle)
    brows = _draw_brows(person, random)[..., None]
    albedo = _mix(albedo, np.array(BROW_COLOURS[person.hair], np.float32), brows)
    if person.liner > 0:
        _paint_lids(albedo, person)
    if person.beard > 0:
        albedo = _paint_beard(albedo, person, random, mottle)
    if person.freckles > 0:
        _paint_freckles(albedo, person, random)
    _paint_moles(albedo, random)
    hair = _hair_region(person, random)
    scalp = (hair * 0.9)[..., None]
    albedo = _mix(albedo, np.array(HAIR_COLOURS[person.hair], np.float32) * 0.6, scalp)
    bump = _bump(albedo, person, random, blotches, mottle)
    slope_columns = cv2.Sobel(bump, cv2.CV_32F, 1, 0, ksize=3) / 8
    slope_rows = -cv2.Sobel(bump, cv2.CV_32F, 0, 1, ksize=3) / 8
    gloss = np.clip(
        0.75 + 0.55 * _spot(0, 7.75, 25, 0.3) + 0.6 * _spot(0, 6.95, 8, 0.35)
        + 0.2 * _pair(25, 7.0, 10, 0.2) - 0.35 * (grain - 0.5) - 0.4 * brows[..., 0]
        + 0.4 * (mottle - 0.5), 0.15, 2,
    )  # fmt: skip
    strand_shade, strands = _strands(hair, random)
    layers = np.dstack(
        [albedo, slope_columns * 0.55, slope_rows * 0.55, gloss, strand_shade]
    ).astype(np.float32)
    return SkinMaps(
        layers=np.ascontiguousarray(layers), strands=strands, base=base.astype(np.float32)
    )


def _base_colour(tone: float) -> F32:
    if tone < 0.5:
        return np.asarray(_LIGHT * (1 - 2 * tone) + _MIDDLE * 2 * tone, np.float32)
    return np.asarray(_MIDDLE * (2 - 2 * tone) + _DARK * (2 * tone - 1), np.float32)


def _to_pixels(angle_deg: float, height: float) -> tuple[float, float]:
    turn = angle_deg / 180
    column = (0.5 + 0.5 * (1.8 * turn / (1 + 0.8 * abs(turn)))) * MAP_WIDTH
    return column, (TOP_Y - height) / SPAN_Y * MAP_HEIGHT


def _noise(random: np.random.RandomState, cell: float, octaves: int, stretch: float = 1.0) -> F32:
    """Fractal value noise, 0..1 about 0.5; ``stretch`` elongates it along the columns."""
    total = np.zeros((MAP_HEIGHT, MAP_WIDTH), np.float32)
    amplitude, weight = 1.0, 0.0
    for _ in range(octaves):
        rows, columns = max(2, int(MAP_HEIGHT / (cell * stretch))), max(2, int(MAP_WIDTH / cell))
        grid = random.rand(rows, columns).astype(np.float32)
        total += amplitude * cv2.resize(
            grid, (MAP_WIDTH, MAP_HEIGHT), interpolation=cv2.INTER_CUBIC
        )
        weight += amplitude
        amplitude *= 0.55
        cell = max(1.0, cell / 2)
    return total / weight


def _mix(albedo: F32, colour: F32, share: F32) -> F32:
    return np.asarray(albedo * (1 - share) + colour * share, dtype=np.float32)


def _blur(image: F32, sigma: float) -> F32:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), dtype=np.float32)


def _spot(angle: float, height: float, angle_sigma: float, height_sigma: float) -> F32:
    return np.asarray(
        np.exp(-(((ANGLE - angle) / angle_sigma) ** 2) - ((HEIGHT - height) / height_sigma) ** 2)
    )


def _pair(angle: float, height: float, angle_sigma: float, height_sigma: float) -> F32:
    """The same spot on both sides."""
    return _spot(angle, height, angle_sigma, height_sigma) + _spot(
        -angle, height, angle_sigma, height_sigma
    )


def _paint_flush(albedo: F32, person: Person, mottle: F32) -> None:
    """Red cheeks, nose, chin and ears; darker skin around the eyes."""
    red = (
        0.55 * _pair(30, 6.95, 13, 0.22) * person.blush + 0.5 * _spot(0, 6.92, 9, 0.16)
        + 0.3 * _spot(0, 6.35, 12, 0.15) + 0.35 * _pair(78, 7.1, 10, 0.4) + 0.15 * (mottle - 0.4)
    )  # fmt: skip
    red = np.clip(red, -0.2, 1.2)[..., None] * (1 - 0.55 * person.skin_tone)
    albedo *= 1 + red * np.array([0.05, -0.26, -0.24], np.float32)
    shade = 0.35 * _pair(15, 7.12, 8, 0.07) + 0.30 * _pair(17, 7.42, 9, 0.09)
    albedo *= 1 - (shade * (0.45 + 0.5 * person.wrinkles))[..., None] * np.array(
        [0.45, 0.6, 0.55], np.float32
    )


def _draw_brows(person: Person, random: np.random.RandomState) -> F32:
    """(H, W) 0..1, hair by hair."""
    canvas = np.zeros((MAP_HEIGHT, MAP_WIDTH), np.float32)
    for side in (-1, 1):
        for _ in range(int(900 * person.brow_density)):
            along = random.rand() ** 0.9
            arch = 0.085 * math.sin(min(along, 1) * 2.1) * person.brow_arch
            middle = 7.455 + arch - 0.05 * max(0.0, along - 0.65) / 0.35
            width = 0.026 * (1 - 0.6 * along) * person.brow_thickness
            height = middle + width * random.randn() * 0.7
            angle = 5.5 + along * 23
            lean = 6 * (0.35 + 0.9 * along)
            rise = 0.075 * (1 - 1.5 * along) + 0.012 * random.randn()
            start = _to_pixels(side * angle, height)
            end = _to_pixels(side * (angle + lean * 0.55), height + rise)
            _draw_hair(canvas, start, end, 0.3 + 0.4 * random.rand())
    canvas = _blur(canvas, 0.8)
    soft = _blur(canvas, 7)
    return np.clip(canvas * 1.5 + soft * 0.6, 0, 0.95)


def _draw_hair(
    canvas: F32, start: tuple[float, float], end: tuple[float, float], shade: float
) -> None:
    # Four fractional bits of a pixel.
    points = [(int(x * 16), int(y * 16)) for x, y in (start, end)]
    cv2.line(canvas, points[0], points[1], (shade,), 1, cv2.LINE_AA, 4)


def _paint_lids(albedo: F32, person: Person) -> None:
    """A soft shadow on the upper lids."""
    shadow = (0.6 * _pair(16.5, 7.345, 7.5, 0.05) + 0.35 * _pair(19, 7.39, 7, 0.06)) * person.liner
    albedo *= 1 - np.clip(shadow, 0, 0.8)[..., None] * np.array([0.42, 0.56, 0.50], np.float32)


def _paint_beard(albedo: F32, person: Person, random: np.random.RandomState, mottle: F32) -> F32:
    away = np.abs(ANGLE)
    region = (
        smoothstep(6.95, 6.65, HEIGHT + 0.0022 * away) * smoothstep(80, 62, away)
        * smoothstep(5.85, 6.15, HEIGHT)
    )  # fmt: skip
    cheek = smoothstep(6.35, 6.75, HEIGHT) * smoothstep(16, 26, away) * smoothstep(52, 36, away)
    region = np.clip(region - 0.85 * cheek, 0, 1) * (1 - _spot(0, 6.60, 14, 0.09) * 0.9)
    dots = (random.rand(MAP_HEIGHT, MAP_WIDTH) < 0.30).astype(np.float32)
    dots = _blur(dots, 0.8) * 1.5
    cover = np.clip(region * person.beard * (0.30 + 0.75 * dots * (0.5 + mottle)), 0, 0.92)
    colour = np.array(BROW_COLOURS[person.hair], np.float32) * 1.1
    return _mix(albedo, colour, cover[..., None])


def _paint_freckles(albedo: F32, person: Person, random: np.random.RandomState) -> None:
    canvas = np.zeros((MAP_HEIGHT, MAP_WIDTH), np.float32)
    for _ in range(int(700 * person.freckles)):
        x, y = _to_pixels(random.randn() * 26, 7.0 + random.randn() * 0.28)
        radius = 1.2 + 1.6 * random.rand()
        shade = 0.25 + 0.3 * random.rand()
        centre = (int(x * 16), int(y * 16))
        cv2.circle(canvas, centre, int(radius * 16), (shade,), -1, cv2.LINE_AA, 4)
    albedo *= 1 - _blur(canvas, 1.2)[..., None] * np.array([0.35, 0.5, 0.55], np.float32)


def _paint_moles(albedo: F32, random: np.random.RandomState) -> None:
    for _ in range(random.randint(1, 4)):
        x, y = _to_pixels(random.randn() * 28, 6.3 + 1.4 * random.rand())
        canvas = np.zeros((MAP_HEIGHT, MAP_WIDTH), np.float32)
        cv2.circle(canvas, (int(x), int(y)), random.randint(2, 4), (1.0,), -1, cv2.LINE_AA)
        albedo *= 1 - 0.5 * _blur(canvas, 1)[..., None]


def _hair_region(person: Person, random: np.random.RandomState) -> F32:
    """(H, W) 0..1, where hair grows."""
    line = person.hairline
    temple = 7.05 if person.male > 0.5 else 6.9
    outline = np.array(
        [[0, line], [18, line + 0.02], [38, line - 0.05], [52, line - 0.30], [60, line - 0.62],
         [70, temple], [80, 7.35], [95, 7.3], [112, 6.75], [140, 6.45], [181, 6.4]]
    )  # fmt: skip
    height = np.interp(np.abs(ANGLE[0]), outline[:, 0], outline[:, 1])[None, :].astype(np.float32)
    coarse, fine = _noise(random, 60, 4), _noise(random, 3, 1)
    return smoothstep(-0.07, 0.13, HEIGHT - height + 0.10 * (coarse - 0.5) + 0.16 * (fine - 0.5))


def _bump(
    albedo: F32, person: Person, random: np.random.RandomState, blotches: F32, mottle: F32
) -> F32:
    """Height of the skin's relief; wrinkles are darkened in ``albedo`` too."""
    pores = _noise(random, 3.2, 2) - 0.5
    relief = pores * 0.55 * (0.6 + 0.5 * _spot(0, 6.9, 30, 0.5)) + 0.5 * (
        _noise(random, 9, 2) - 0.5
    )
    if person.wrinkles > 0.15:
        away = np.abs(ANGLE)
        lines = np.zeros((MAP_HEIGHT, MAP_WIDTH), np.float32)
        for k in range(5):
            wave = 0.03 * np.sin(ANGLE * 0.09 + k * 1.3) + 0.02 * (blotches - 0.5)
            forehead = np.exp(-(((HEIGHT - 7.72 - 0.075 * k - wave) / 0.011) ** 2))
            lines += forehead * smoothstep(32, 15, away) * (0.5 + 0.5 * mottle)
        for k in range(4):
            fan = 0.03 * (k - 1.5) * (away - 25) / 6
            crow = np.exp(-(((HEIGHT - 7.30 - fan) / 0.009) ** 2))
            lines += crow * smoothstep(26, 29, away) * smoothstep(42, 34, away) * 0.7
        relief = relief - 5.5 * person.wrinkles * lines
        albedo *= 1 - (0.22 * person.wrinkles * np.clip(lines, 0, 1))[..., None]
    return _blur(relief.astype(np.float32), 0.7)


def _strands(hair: F32, random: np.random.RandomState) -> tuple[F32, F32]:
    shade = _noise(random, 2.2, 2, stretch=14.0)
    shade = (shade - shade.min()) / (shade.max() - shade.min())
    shade = np.clip((shade - 0.5) * 2 + 0.5, 0, 1)
    fine = random.rand(MAP_HEIGHT, MAP_WIDTH).astype(np.float32) * 0.35
    reach = np.clip(shade * 0.85 + fine, 0, 1) * smoothstep(0.12, 0.75, hair)
    return shade, np.where(hair > 0.15, reach, -1).astype(np.float32)
