"""Hair: layers of a cap over the scalp, and what hangs from or sits on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .anatomy import EAR, EYE, F32, HAIR, I32, SKIN, Head
from .person import Person
from .rasteriser import SOLID
from .skin import AXIS_Z, smoothstep

LAYERS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Tresses:
    """Triangles of hair, ready to be added to the head's.

    Attributes:
        vertices, normals, rest: (n, 3) float32.
        triangles: (t, 3) int32, into these vertices.
        level: (t,) float32, see :func:`tools.render_cast.rasteriser.rasterise`.
        openness: (n,) float32, how much of the sky each vertex sees.
    """

    vertices: F32
    normals: F32
    rest: F32
    triangles: I32
    level: F32
    openness: F32

    material = HAIR


def grow_cap(person: Person, head: Head, vertices: F32, normals: F32, openness: F32) -> Tresses:
    """Layers that stand off the scalp; strands are cut out of them when they are drawn."""
    rest = head.rest
    angle = np.degrees(np.abs(np.arctan2(rest[:, 0], rest[:, 2] - AXIS_Z)))
    scalp = rest[:, 1] > np.interp(
        angle, [0, 40, 55, 75, 95, 120, 180], [7.8, 7.6, 7.0, 6.6, 6.7, 6.3, 6.2]
    )
    chosen = (
        (scalp[head.triangles].max(axis=1) > 0)
        & (head.triangle_material == SKIN)
        & (head.masks[EAR][head.triangles].max(axis=1) < 0.35)
        & (head.masks["inside-mouth"][head.triangles].max(axis=1) < 0.1)
    )
    roots = np.unique(head.triangles[chosen])
    renumber = np.zeros(head.count, np.int32)
    renumber[roots] = np.arange(len(roots))
    patch = renumber[head.triangles[chosen]].astype(np.int32)

    root_rest, root_normals, root_angle = rest[roots], normals[roots], angle[roots]
    top = smoothstep(7.2, 8.2, root_rest[:, 1])
    back = smoothstep(60, 120, root_angle)
    line = np.interp(root_angle, [0, 52, 70, 95, 181], [8.0, 7.7, 7.0, 6.9, 6.4])
    inside = smoothstep(-0.05, 0.3, root_rest[:, 1] - line.astype(np.float32))
    fullness = 0.45 + 0.75 * top + 0.30 * back * (0.0 if person.male > 0.5 else 1.0)
    length = person.hair_length * (0.35 + 0.65 * inside) * fullness
    comb = np.stack([0.25 * top, -0.35 * (1 - top), -0.45 * top], axis=1)

    layers = np.arange(1, LAYERS + 1) / LAYERS
    stacked = [
        vertices[roots] + (length * out)[:, None] * (root_normals + comb * out) for out in layers
    ]
    return Tresses(
        vertices=np.concatenate(stacked).astype(np.float32),
        normals=np.tile(root_normals, (LAYERS, 1)),
        rest=np.tile(root_rest, (LAYERS, 1)),
        triangles=np.concatenate([patch + k * len(roots) for k in range(LAYERS)]).astype(np.int32),
        level=np.repeat(layers - 0.5 / LAYERS, len(patch)).astype(np.float32),
        openness=np.tile(np.maximum(openness[roots], 0.5), LAYERS).astype(np.float32),
    )


def grow_style(person: Person, vertices: F32, head: Head) -> list[Tresses]:
    """What the person's style adds to the cap."""
    if person.style == "bun":
        return [_knot(person, vertices, head)]
    if person.style == "bob":
        return [_curtain(person, vertices, head, end=6.05, layer=k) for k in range(3)]
    if person.style == "long":
        return [_curtain(person, vertices, head, end=5.15, layer=k) for k in range(3)]
    return []


def _curtain(person: Person, vertices: F32, head: Head, *, end: float, layer: int) -> Tresses:
    """A sheet that comes out of the cap behind the ears and ends in ragged strands."""
    random = np.random.RandomState(person.seed + 50 + layer)
    columns, rows = 420, 44
    start_deg = 88.0 - 4 * layer
    angle = np.radians(np.linspace(start_deg, 360 - start_deg, columns))
    fall = np.linspace(0, 1, rows)
    # The rest mesh's eyes are at 7.28; the person's may sit elsewhere.
    shift = float(vertices[head.vertex_material == EYE][:, 1].mean()) - 7.28
    top = 7.55
    tips = end + 0.16 * random.rand(columns) + 0.07 * layer
    height = top + (tips[None, :] - top) * fall[:, None]
    radius = _head_radius(vertices, head, angle)[None, :]
    # Inside the cap at the top, standing off the head at the ears, in again at the neck.
    stand = -0.06 + 0.20 * smoothstep(7.55, 6.9, height) + 0.035 * layer
    inward = 1 - 0.12 * smoothstep(6.6, 5.7, height)
    wave = 0.02 * np.sin(height * 6 + layer) + 0.012 * random.randn(1, columns)
    r = (radius + stand + wave) * inward
    sine, cosine = np.sin(angle)[None, :], np.cos(angle)[None, :]
    rest = np.stack([r * sine, height, AXIS_Z + r * cosine], axis=-1)
    outward = np.stack(
        [np.broadcast_to(sine, r.shape), np.full(r.shape, 0.15), np.broadcast_to(cosine, r.shape)],
        axis=-1,
    )
    shade = np.clip(0.55 + 0.35 * np.abs(np.sin(angle))[None, :] + 0 * height, 0.3, 1)
    return _sheet(rest + np.array([0, shift, 0]), outward, rest, shade)


def _knot(person: Person, vertices: F32, head: Head) -> Tresses:
    """A ball of hair on the crown."""
    skin = vertices[head.vertex_material == SKIN]
    crown = skin[:, 1].max()
    centre = np.array([0.0, crown + 0.13, -0.20])
    rows, columns = 40, 80
    latitude = np.linspace(-np.pi / 2, np.pi / 2, rows)[:, None]
    longitude = np.linspace(0, 2 * np.pi, columns)[None, :]
    outward = np.stack(
        [
            np.cos(latitude) * np.sin(longitude),
            np.sin(latitude) + 0 * longitude,
            np.cos(latitude) * np.cos(longitude),
        ],
        axis=-1,
    )
    swirl = 1 + 0.035 * np.sin(9 * longitude + 5 * latitude)
    spread = centre + outward * np.array([0.32, 0.27, 0.32]) * swirl[..., None]
    # Looked up where the strand map shows hair, at the back of the head.
    rest = np.stack(
        [np.sin(longitude + 4 * latitude) * 0.9, 7.2 + 0.5 * outward[..., 1],
         AXIS_Z + np.cos(longitude + 4 * latitude) * 0.9], axis=-1,
    )  # fmt: skip
    shade = 0.55 + 0.35 * smoothstep(-1, 0.6, outward[..., 1])
    return _sheet(spread, outward, rest, shade)


def _head_radius(vertices: F32, head: Head, angle: F32) -> F32:
    """Distance of the skull from the head's axis at ear height, by direction."""
    skin = vertices[(head.vertex_material == SKIN) & (head.masks[EAR] < 0.2)]
    eyes = vertices[head.vertex_material == EYE][:, 1].mean()
    band = skin[(skin[:, 1] > eyes - 0.2) & (skin[:, 1] < eyes + 0.4)]
    direction = np.arctan2(band[:, 0], band[:, 2] - AXIS_Z) % (2 * np.pi)
    distance = np.hypot(band[:, 0], band[:, 2] - AXIS_Z)
    bins = np.linspace(0, 2 * np.pi, 37)
    which = np.digitize(direction, bins) - 1
    reach = np.array([distance[which == k].max() if (which == k).any() else 0.0 for k in range(36)])
    middle = (bins[:-1] + bins[1:]) / 2
    return np.asarray(np.interp(angle, middle, reach, period=2 * np.pi), dtype=np.float32)


def _sheet(spread: F32, outward: F32, rest: F32, openness: F32) -> Tresses:
    rows, columns = spread.shape[:2]
    number = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    a, b = number[:-1, :-1].ravel(), number[:-1, 1:].ravel()
    c, d = number[1:, 1:].ravel(), number[1:, :-1].ravel()
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    normals = outward.reshape(-1, 3)
    normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    return Tresses(
        vertices=spread.reshape(-1, 3).astype(np.float32),
        normals=normals.astype(np.float32),
        rest=rest.reshape(-1, 3).astype(np.float32),
        triangles=triangles.astype(np.int32),
        level=np.full(len(triangles), SOLID, np.float32),
        openness=np.broadcast_to(openness, (rows, columns)).ravel().astype(np.float32),
    )
