"""Heads of a few thousand triangles, so that the studio can be tested without its real data."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from mien.training.synthetic.cast import CAST
from mien.training.synthetic.figure.anatomy import (
    EAR,
    EYE,
    F32,
    I32,
    LASHES,
    SKIN,
    TEETH,
    TONGUE,
    Head,
)
from mien.training.synthetic.figure.person import Person
from mien.training.synthetic.figure.rasteriser import FRINGE, SOLID
from mien.training.synthetic.figure.skin import SkinMaps, smoothstep
from mien.training.synthetic.figure.studio import mix_colours
from mien.training.synthetic.location import draw_backdrop, draw_camera, draw_light
from mien.training.synthetic.stage import Actor, Anatomy, Look

UNITS = ["eyeBlinkLeft", "jawOpen", "mouthSmileLeft"]
_EYES = ((0.308, 7.284, 1.245), (-0.308, 7.284, 1.245))


def doll_anatomy() -> Anatomy:
    """An egg on a stump, with eyes, lashes, and teeth and a tongue stuck on."""
    pieces = [
        (SKIN, *_ball((0, 7.2, 0.4), (0.75, 1.15, 0.95), 36, 48)),
        (SKIN, *_tube()),
        *((EYE, *_ball(eye, (0.15, 0.15, 0.15), 14, 20)) for eye in _EYES),
        *((LASHES, *_strip(x, 7.40, 1.30, wide=0.16, high=0.10, out=0.12)) for x, _, _ in _EYES),
        (TEETH, *_strip(0, 6.74, 1.31, wide=0.14, high=0.05, out=0.0)),
        (TONGUE, *_strip(0, 6.66, 1.30, wide=0.10, high=0.04, out=0.02)),
    ]
    rest = np.concatenate([points for _, points, _ in pieces]).astype(np.float32)
    offsets = np.cumsum([0, *(len(points) for _, points, _ in pieces)])[:-1]
    head = object.__new__(Head)
    head.rest, head.count = rest, len(rest)
    head.triangles = np.concatenate(
        [triangles + offset for (_, _, triangles), offset in zip(pieces, offsets, strict=True)]
    ).astype(np.int32)
    head.triangle_material = np.concatenate(
        [np.full(len(triangles), kind) for kind, _, triangles in pieces]
    ).astype(np.int32)
    head.vertex_material = np.concatenate([np.full(len(p), kind) for kind, p, _ in pieces])
    skin = head.vertex_material == SKIN
    head.masks = {
        "lips": _bump(rest, (0, 6.70, 1.3), 0.16) * skin,
        "inside-mouth": _bump(rest, (0, 6.70, 1.3), 0.07) * skin,
        "face": (rest[:, 2] > 0.8).astype(np.float32) * skin,
        EAR: np.zeros(len(rest), np.float32),
    }
    head.lid_rim = np.maximum(*(_bump(rest, eye, 0.2) for eye in _EYES)) * skin
    anatomy = object.__new__(Anatomy)
    anatomy.head, anatomy.units = head, UNITS
    ways = (((0.308, 7.4, 1.3), (0, -0.1, 0.05)), ((0, 6.5, 1.2), (0, -0.25, -0.05)),
            ((0.25, 6.7, 1.2), (0.05, 0.15, 0)))  # fmt: skip
    anatomy.displacements = np.stack(
        [_bump(rest, at, 0.25)[:, None] * np.array(way, np.float32) for at, way in ways]
    ).astype(np.float32)
    anatomy.follows = smoothstep(5.4, 6.4, rest[:, 1])
    anatomy.swapped = smoothstep(0.5, 0.9, rest[:, 2]) * smoothstep(6.1, 6.4, rest[:, 1])
    anatomy.triangles, anatomy.material = head.triangles, head.triangle_material
    anatomy.level = np.where(anatomy.material == LASHES, FRINGE, SOLID).astype(np.float32)
    return anatomy


def doll(anatomy: Anatomy, number: int, style: str = "crop") -> Actor:
    """Somebody of the cast as a doll, with hair of a style and a skin of noise."""
    random = np.random.default_rng(number)
    person: Person = replace(CAST[number], style=style)
    actor = object.__new__(Actor)
    actor.person = person
    shape = 1 + 0.08 * random.standard_normal(3)
    centre = np.array([0, 7.2, 0.4])
    actor.vertices = ((anatomy.head.rest - centre) * shape + centre).astype(np.float32)
    actor.pivot = np.array([0, 6.2, 0.2], np.float32)
    actor.eye_height = 7.28
    actor.maps = _noisy_skin(random)
    actor.colours = mix_colours(person, actor.maps)
    openness = random.uniform(0.4, 1, anatomy.head.count).astype(np.float32)
    actor.openness = (openness, np.sqrt(openness))
    return actor


def doll_looks(anatomy: Anatomy, count: int, size: int, seed: int) -> list[Look]:
    """Looks from one camera: expressions and turns to 40 degrees, each in a light of its own."""
    random = np.random.default_rng(seed)
    camera = draw_camera(random, 7.28)
    return [
        Look(
            strengths=random.uniform(0, 1, len(anatomy.units)).astype(np.float32),
            angles_deg=random.uniform(-40, 40, 3).astype(np.float32) * np.float32([1, 0.4, 0.4]),
            camera=camera,
            light=draw_light(random),
            backdrop=draw_backdrop(random, size),
        )
        for _ in range(count)
    ]


def _noisy_skin(random: np.random.Generator) -> SkinMaps:
    height, width = 192, 256
    base = random.uniform(0.2, 0.6, 3).astype(np.float32)
    noise = cv2.resize(random.random((24, 32, 7), np.float32), (width, height))
    layers = np.empty((height, width, 7), np.float32)
    layers[..., :3] = base * (0.7 + 0.6 * noise[..., :3])
    layers[..., 3:5] = 0.2 * (noise[..., 3:5] - 0.5)
    layers[..., 5:] = noise[..., 5:]
    strands = cv2.resize(random.random((48, 64), np.float32), (width, height))
    return SkinMaps(layers=layers, strands=strands, base=base)


def _bump(points: F32, centre: tuple[float, ...], radius: float) -> F32:
    away = np.linalg.norm(points - np.array(centre), axis=1) / radius
    return np.exp(-(away**2)).astype(np.float32)


def _ball(
    centre: tuple[float, ...], radii: tuple[float, ...], rows: int, columns: int
) -> tuple[F32, I32]:
    up, around = np.meshgrid(
        np.linspace(-1.5, 1.5, rows), np.linspace(0, 2 * np.pi, columns), indexing="ij"
    )
    unit = np.stack([np.cos(up) * np.sin(around), np.sin(up), np.cos(up) * np.cos(around)], -1)
    return unit.reshape(-1, 3) * radii + centre, _grid(rows, columns)


def _tube() -> tuple[F32, I32]:
    up, around = np.meshgrid(
        np.linspace(4.4, 6.5, 12), np.linspace(0, 2 * np.pi, 40), indexing="ij"
    )
    radius = 0.45 + 1.2 * np.clip((5.6 - up) / 1.2, 0, 1)
    points = np.stack([radius * np.sin(around), up, 0.2 + 0.6 * radius * np.cos(around)], -1)
    return points.reshape(-1, 3), _grid(12, 40)


def _strip(
    x: float, y: float, z: float, *, wide: float, high: float, out: float
) -> tuple[F32, I32]:
    down, across = np.meshgrid(np.linspace(0, 1, 4), np.linspace(-1, 1, 12), indexing="ij")
    points = np.stack([x + wide * across, y + high * down, z + out * down - 0.05 * across**2], -1)
    return points.reshape(-1, 3), _grid(4, 12)


def _grid(rows: int, columns: int) -> I32:
    number = np.arange(rows * columns).reshape(rows, columns)
    a, b = number[:-1, :-1].ravel(), number[:-1, 1:].ravel()
    c, d = number[1:, 1:].ravel(), number[1:, :-1].ravel()
    return np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]).astype(np.int32)
