"""Things that people hold before their faces: microphones, mugs, phones, paper, sticks, cloth.

All are swept profiles and bent sheets, in decimetres, drawn at random in size and colour.
"""

from __future__ import annotations

import numpy as np

from .figure.anatomy import F32, F64
from .occluder_drawing import Mesh, joined

_ROUND = 40


def draw_colour(random: np.random.Generator) -> F32:
    """(3,) linear RGB: black, white, metal, wood, or anything."""
    kind = random.random()
    if kind < 0.3:
        grey = random.uniform(0.01, 0.06) * np.ones(3)
    elif kind < 0.5:
        grey = random.uniform(0.5, 0.85) * (1 + random.normal(0, 0.03, 3))
    elif kind < 0.62:
        grey = random.uniform(0.15, 0.45) * np.ones(3)
    elif kind < 0.74:
        # Skin, wood, leather: the colours that are hard to tell from a face.
        grey = np.array([1.0, 0.62, 0.42]) * random.uniform(0.08, 0.6)
    else:
        hue = random.random(3) ** 1.6
        grey = hue * random.uniform(0.15, 0.8) + 0.01
    return np.asarray(np.clip(grey, 0.005, 0.9), np.float32)


def draw_texture(random: np.random.Generator, size: int = 128) -> F32:
    """(size, size, 3) float32 about 1: plain, stripes, checks, print, weave or blotches."""
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) / size
    kind = random.integers(7)
    other = draw_colour(random) / max(float(draw_colour(random).mean()), 0.1)
    if kind == 0:
        return np.ones((size, size, 3), np.float32)
    if kind == 1:
        wave = np.sin(2 * np.pi * (random.uniform(2, 12) * columns + random.uniform(0, 6) * rows))
        share = (wave > random.uniform(-0.7, 0.7)).astype(np.float32)
    elif kind == 2:
        count = random.uniform(3, 14)
        share = ((np.floor(columns * count) + np.floor(rows * count)) % 2).astype(np.float32)
    elif kind == 3:
        share = np.zeros((size, size), np.float32)
        # Lines of print.
        pitch = int(random.integers(5, 12))
        for top in range(pitch, size - pitch, pitch):
            length = int(size * random.uniform(0.4, 0.92))
            words = random.random(size) > 0.2
            share[top : top + max(pitch // 3, 1), 6:length] = words[6:length]
        other = np.full(3, 0.08)
    elif kind == 4:
        weave = np.sin(columns * size * 0.9) * np.sin(rows * size * 0.9)
        share = 0.25 * (1 + weave)
        other = np.full(3, 0.3)
    else:
        knots = random.standard_normal((2, 9, 9))
        from cv2 import INTER_CUBIC, resize

        field = resize(knots[0], (size, size), interpolation=INTER_CUBIC)
        share = np.clip(field * 1.5 + 0.4, 0, 1).astype(np.float32)
    return np.asarray(1 + share[..., None] * (other - 1), np.float32)


def lathe(profile: F64, colours: F64) -> Mesh:
    """A profile turned round the y axis.

    Args:
        profile: (k, 2) radius and height.
        colours: (k, 3) linear RGB.
    """
    angles = np.linspace(0, 2 * np.pi, _ROUND + 1)
    radius, height = profile[:, 0][:, None], profile[:, 1][:, None]
    points = np.stack(
        [radius * np.cos(angles), height * np.ones_like(angles), radius * np.sin(angles)], axis=2
    )
    return _grid(points, np.repeat(colours[:, None], _ROUND + 1, axis=1))


def tube(path: F64, radius: F64 | float, colour: F64 | F32, sides: int = 12) -> Mesh:
    """A tube along a path.

    Args:
        path: (k, 3).
        radius: (k,) or one.
        colour: (3,) or (k, 3) linear RGB.
        sides: of its cross-section.
    """
    count = len(path)
    along = np.gradient(path, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    side = np.cross(along, [0.31, 0.17, 0.93])
    side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-9)
    other = np.cross(along, side)
    angles = np.linspace(0, 2 * np.pi, sides + 1)
    wide = np.broadcast_to(np.asarray(radius), (count,))[:, None, None]
    points = path[:, None] + wide * (
        np.cos(angles)[None, :, None] * side[:, None]
        + np.sin(angles)[None, :, None] * other[:, None]
    )
    colours = np.broadcast_to(np.asarray(colour), (count, 3))
    return _grid(points, np.repeat(colours[:, None], sides + 1, axis=1))


def sheet(
    random: np.random.Generator, wide: float, high: float, bend: float, colour: F32, texture: F32
) -> Mesh:
    """A bent rectangle about the origin."""
    u, v = np.meshgrid(np.linspace(0, 1, 28), np.linspace(0, 1, 28))
    x, y = (u - 0.5) * wide, (0.5 - v) * high
    waves = random.normal(0, 1, (4, 2)) * 2.2 / max(wide, high)
    z = bend * sum(
        np.sin(a * x + b * y + phase)
        for (a, b), phase in zip(waves, random.uniform(0, 6.28, 4), strict=True)
    )
    mesh = _grid(np.stack([x, y, z], axis=2), np.broadcast_to(colour, (28, 28, 3)))
    mesh.uv = np.stack([u, v], axis=2).reshape(-1, 2).astype(np.float32)
    mesh.texture = texture
    return mesh


def microphone(random: np.random.Generator) -> Mesh:
    """A hand-held or studio microphone along y, its head at the origin."""
    body, head = draw_colour(random), draw_colour(random)
    if random.random() < 0.6:
        head = np.asarray(random.uniform(0.08, 0.4) * np.ones(3), np.float32)
    radius = random.uniform(0.2, 0.34)
    tall = radius * random.uniform(0.9, 1.5)
    arc = np.linspace(0, 0.86 * np.pi, 26)
    ball = np.stack([np.maximum(radius * np.sin(arc), 0), tall * np.cos(arc)], axis=1)
    # The grille: rows of holes.
    dark = np.where(np.arange(26) % 2 == 0, 1.0, random.uniform(0.35, 0.9))
    neck = ball[-1, 0]
    low = ball[-1, 1]
    stem = random.uniform(0.55, 1.0) * neck
    profile = np.concatenate(
        [ball, [[radius * 0.9, low * 0.5], [radius * 0.92, low * 0.7], [neck, low - 0.05]],
         [[stem, low - random.uniform(0.1, 0.5)], [stem * 0.85, low - 2.4], [0.0, low - 2.4]]]
    )  # fmt: skip
    colours = np.concatenate(
        [head * dark[:, None], np.tile(head * 0.6, (3, 1)), np.tile(body, (3, 1))]
    )
    return lathe(profile, colours)


def boom_microphone(random: np.random.Generator) -> Mesh:
    """A headset's thin arm with a small head, or a stand's arm, bent in the plane."""
    colour = draw_colour(random) if random.random() < 0.3 else np.full(3, 0.02, np.float32)
    turn = np.linspace(0, random.uniform(0.6, 1.6), 24)
    reach = random.uniform(0.9, 2.2)
    path = np.stack(
        [reach * np.sin(turn), -reach * (1 - np.cos(turn)) * random.uniform(0.4, 1), 0.25 * turn],
        axis=1,
    )
    path -= path[-1]
    arm = tube(path, random.uniform(0.02, 0.07), colour)
    radius = random.uniform(0.07, 0.2)
    arc = np.linspace(0, np.pi, 16)
    ball = np.stack([radius * np.sin(arc), 1.3 * radius * np.cos(arc)], axis=1)
    return joined([arm, lathe(ball, np.tile(colour * 0.8, (16, 1)))])


def mug(random: np.random.Generator) -> Mesh:
    """A mug with a handle, a glass-shaped beaker, or a bottle; the rim at the top."""
    colour, radius, tall = draw_colour(random), random.uniform(0.33, 0.5), random.uniform(0.7, 1.3)
    kind = random.random()
    taper = random.uniform(0.7, 1.05)
    outer = [[radius, tall / 2], [radius * (1 + taper) / 2, 0], [radius * taper, -tall / 2]]
    inner = [[radius * 0.86 * taper, -tall * 0.45], [radius * 0.9, tall / 2]]
    if kind < 0.7:
        profile = np.array([*inner, *outer, [0, -tall / 2]])
    else:
        shoulder = [[radius * 0.3, tall * 1.2], [radius * 0.32, tall * 0.8], [radius, tall * 0.35]]
        profile = np.array([[0, tall * 1.2], *shoulder, [radius, -tall], [0, -tall]])
    # Straight walls: every edge of the profile twice, for hard creases.
    steps = [profile[i] + (profile[i + 1] - profile[i]) * t
             for i in range(len(profile) - 1) for t in (0.02, 0.3, 0.7, 0.98)]  # fmt: skip
    fine = np.array(steps)
    band = draw_colour(random) if random.random() < 0.5 else colour
    colours = np.where((np.abs(fine[:, 1:]) < tall * random.uniform(0.1, 0.4)), band, colour)
    cup = lathe(fine, colours)
    if kind < 0.45:
        turn = np.linspace(-np.pi / 2, np.pi / 2, 20)
        path = np.stack(
            [radius * 0.9 + 0.33 * np.cos(turn), 0.3 * tall * np.sin(turn), 0 * turn], axis=1
        )
        return joined([cup, tube(path, 0.06, colour)])
    return cup


def phone(random: np.random.Generator) -> Mesh:
    """A slab with rounded corners: a phone, a book, a card, a controller."""
    wide = random.uniform(0.6, 1.3)
    high, deep = wide * random.uniform(1.2, 2.2), random.uniform(0.04, 0.16)
    colour = draw_colour(random)
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    power = random.uniform(4, 14)
    # A superellipse.
    c, s = np.cos(angle), np.sin(angle)
    scale = (np.abs(c) ** power + np.abs(s) ** power) ** (-1 / power)
    rim = np.stack([c * scale * wide / 2, s * scale * high / 2], axis=1)
    rings, shades = [], []
    screen = draw_colour(random) * 0.7
    for share, z, shade in (
        (0.0, deep, screen), (0.9, deep, screen), (0.905, deep, colour), (0.98, deep, colour),
        (1.0, deep * 0.5, colour), (1.0, -deep * 0.5, colour), (0.97, -deep, colour),
        (0.0, -deep, colour),
    ):  # fmt: skip
        ring = np.concatenate([rim * share, np.full((64, 1), z)], axis=1)
        rings.append(np.concatenate([ring, ring[:1]]))
        shades.append(np.tile(shade, (65, 1)))
    return _grid(np.array(rings), np.array(shades))


def stick(random: np.random.Generator) -> Mesh:
    """A pen, a straw, a brush, a cigarette, a spoon; its tip at the origin."""
    length, radius = random.uniform(0.8, 2.2), random.uniform(0.03, 0.1)
    colour = draw_colour(random)
    heights = np.linspace(0, -length, 20)
    thickness = radius * (1 + random.normal(0, 0.1) * heights / length)
    tip = draw_colour(random)
    colours = np.where((heights > -length * random.uniform(0.05, 0.4))[:, None], tip, colour)
    if random.random() < 0.3:
        # A bowl or a brush at the tip.
        thickness = thickness + random.uniform(0.05, 0.22) * np.exp(-((heights / 0.2) ** 2))
    profile = np.stack([thickness, heights], axis=1)
    profile = np.concatenate([[[0, 0.02]], profile, [[0, -length]]])
    return lathe(profile, np.concatenate([colours[:1], colours, colours[-1:]]))


def lump(random: np.random.Generator) -> Mesh:
    """A smooth body of no name: food, a toy, a sponge."""
    u, v = np.meshgrid(np.linspace(0, 2 * np.pi, 49), np.linspace(0.02, np.pi - 0.02, 32))
    unit = np.stack([np.cos(u) * np.sin(v), np.cos(v), np.sin(u) * np.sin(v)], axis=2)
    waves = random.normal(0, 1, (5, 3)) * random.uniform(1, 3)
    bumps = sum(
        np.sin(unit @ wave + phase)
        for wave, phase in zip(waves, random.uniform(0, 6.28, 5), strict=True)
    )
    radius = random.uniform(0.2, 0.7) * np.exp(0.1 * bumps)
    points = unit * radius[..., None] * np.exp(random.normal(0, 0.35, 3))
    mesh = _grid(points, np.broadcast_to(draw_colour(random), (*u.shape, 3)))
    mesh.uv = np.stack([u / (2 * np.pi), v / np.pi], axis=2).reshape(-1, 2).astype(np.float32)
    mesh.texture = draw_texture(random)
    return mesh


def cloth(random: np.random.Generator) -> Mesh:
    """A scarf's or a sleeve's folds: wide, deeply waved."""
    texture = draw_texture(random)
    mesh = sheet(
        random,
        random.uniform(1.4, 3.2),
        random.uniform(0.5, 1.6),
        0.07,
        draw_colour(random),
        texture,
    )
    folds = random.uniform(6, 18)
    y = mesh.vertices[:, 1] + 0.1 * np.sin(mesh.vertices[:, 0] * random.uniform(1, 4))
    mesh.vertices[:, 2] += (0.05 * np.sin(folds * y)).astype(np.float32)
    mesh.vertices[:, 1] += (0.12 * np.sin(mesh.vertices[:, 0] * random.uniform(1, 3))).astype(
        np.float32
    )
    return mesh


def paper(random: np.random.Generator) -> Mesh:
    """A sheet of paper or a page."""
    return sheet(
        random, random.uniform(0.9, 2.1), random.uniform(0.9, 2.6), random.uniform(0, 0.08),
        draw_colour(random), draw_texture(random),
    )  # fmt: skip


def _grid(points: F64, colours: F64) -> Mesh:
    """A mesh of (rows, columns, 3) points."""
    rows, columns = points.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    triangles = np.concatenate(
        [np.stack([a, b, c], axis=2).reshape(-1, 3), np.stack([a, c, d], axis=2).reshape(-1, 3)]
    )
    return Mesh(
        vertices=points.reshape(-1, 3).astype(np.float32),
        triangles=triangles.astype(np.int32),
        albedo=np.clip(colours.reshape(-1, 3), 0.003, 1.9).astype(np.float32),
    )
