"""The photographer: camera, light, backdrop, and one picture of one person."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from .anatomy import EYE, F32, I32, LASHES, Head
from .hair import grow_cap, grow_style
from .person import HAIR_COLOURS, IRIS_COLOURS, SHIRTS, Person, sculpt
from .rasteriser import FRINGE, SOLID, depth_map, rasterise, vertex_normals
from .shading import (
    COLOUR_COUNT,
    HAIR_RGB,
    IRIS_RGB,
    LIP_RGB,
    LIPS,
    MOUTH,
    OPENNESS,
    RIM,
    SHIRT_RGB,
    SKIN_RGB,
    shade,
)
from .skin import SkinMaps, paint_skin

SUPERSAMPLING = 2
_SHADOW_SIZE, _SHADOW_SPAN = 2048, 5.0
_BANDS = 6
# Eye height sits this far below the picture's middle, decimetres.
_HEADROOM = 0.22
_DISTANCE, _FOCAL = 14.0, 4.6
_BACKDROP_TOP, _BACKDROP_BOTTOM = np.array([0.30, 0.31, 0.34]), np.array([0.12, 0.125, 0.14])


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A pinhole camera.

    Attributes:
        position: (3,) decimetres.
        axes: (3, 3) rows are the camera's right, up and backward directions.
        focal: focal length over picture height.
    """

    position: F32
    axes: F32
    focal: float

    def project(self, points: F32, size: int) -> F32:
        """(n, 3): x, y in pixels of a square picture with centres at .5, and 1 / distance."""
        view = (points - self.position) @ self.axes.T
        distance = np.maximum(-view[:, 2], 0.01)
        scale = self.focal * size / distance
        pixels = np.stack(
            [size / 2 + scale * view[:, 0], size / 2 - scale * view[:, 1], 1 / distance], axis=1
        )
        return np.asarray(pixels, dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """A key light that casts shadows, a fill light, sky and ground; linear RGB.

    ``shine`` scales the skin's highlights, as a polariser does before the lens.
    """

    key_direction: F32
    key: F32
    fill_direction: F32
    fill: F32
    sky: F32
    ground: F32
    shine: float


def soft_frontal_light() -> Light:
    """Even light from the front: little of it stays baked into a texture."""
    return Light(
        key_direction=towards(10, 36),
        key=np.array([0.52, 0.505, 0.485], np.float32),
        fill_direction=towards(-28, 8),
        fill=np.array([0.34, 0.34, 0.345], np.float32),
        sky=np.array([0.52, 0.53, 0.55], np.float32),
        ground=np.array([0.40, 0.385, 0.37], np.float32),
        shine=0.5,
    )


class Sitter:
    """A person, shaped and painted, ready to be photographed from any side."""

    def __init__(self, person: Person, head: Head) -> None:
        self.person = person
        self.head = head
        base = sculpt(person, head.shapes)
        neck = base[head.shapes.group("joint-head")].mean(axis=0)
        self.pivot = np.array([0.0, neck[1] - 0.25, neck[2] - 0.05], np.float32)
        self.vertices = head.refine(base)
        if person.smile > 0:
            for side in ("Left", "Right"):
                self.vertices += person.smile * head.face_unit("mouthSmile" + side)
                self.vertices += 0.4 * person.smile * head.face_unit("cheekSquint" + side)
        self.eye_height = float(self.vertices[head.vertex_material == EYE][:, 1].mean())
        self.maps: SkinMaps = paint_skin(person)
        self.openness = bake_openness(self.vertices, head)
        self.colours = mix_colours(person, self.maps)


def photograph(sitter: Sitter, light: Light, *, yaw_deg: float, size: int) -> npt.NDArray[np.uint8]:
    """(size, size, 3) uint8 BGR; the camera stays, the whole person turns by ``yaw_deg``.

    Positive angles turn the nose to the picture's right.
    """
    head, person = sitter.head, sitter.person
    vertices = _turn(sitter.vertices, sitter.pivot, yaw_deg)
    normals = vertex_normals(sitter.vertices, head.triangles)
    cap = grow_cap(person, head, sitter.vertices, normals, sitter.openness)
    tresses = [cap, *grow_style(person, sitter.vertices, head)]
    # The lower row of lashes is left out: it reads as dirt at this size.
    triangles, material, level = visible_triangles(head)
    all_vertices = [vertices, *(_turn(t.vertices, sitter.pivot, yaw_deg) for t in tresses)]
    all_normals = [
        _turn(normals, np.zeros(3, np.float32), yaw_deg),
        *(_turn(t.normals, np.zeros(3, np.float32), yaw_deg) for t in tresses),
    ]
    rest = np.concatenate([head.rest, *(t.rest for t in tresses)]).astype(np.float32)
    attributes = np.zeros((len(rest), 4), np.float32)
    attributes[: head.count, LIPS] = head.masks["lips"]
    attributes[: head.count, MOUTH] = head.masks["inside-mouth"]
    attributes[: head.count, RIM] = head.lid_rim * (1 + 0.5 * person.liner)
    attributes[:, OPENNESS] = np.concatenate([sitter.openness, *(t.openness for t in tresses)])
    offset = head.count
    pieces, materials, levels = [triangles], [material], [level]
    for tress in tresses:
        pieces.append(tress.triangles + offset)
        materials.append(np.full(len(tress.triangles), tress.material, np.int32))
        levels.append(tress.level)
        offset += len(tress.vertices)
    camera = portrait_camera(sitter.eye_height)
    linear = _render(
        np.concatenate(all_vertices), np.concatenate(all_normals), rest, attributes,
        np.concatenate(pieces).astype(np.int32), np.concatenate(materials),
        np.concatenate(levels), sitter, camera, light, size,
    )  # fmt: skip
    return develop(linear)


def portrait_camera(eye_height: float) -> Camera:
    """A long lens at eye height, head and shoulders in the picture."""
    target = np.array([0.0, eye_height - _HEADROOM, 0.5])
    return Camera(
        position=(target + np.array([0, 0, _DISTANCE])).astype(np.float32),
        axes=np.eye(3, dtype=np.float32),
        focal=_FOCAL,
    )


def _render(
    vertices: F32, normals: F32, rest: F32, attributes: F32, triangles: I32, material: I32,
    level: F32, sitter: Sitter, camera: Camera, light: Light, size: int,
) -> F32:  # fmt: skip
    """(size, size, 3) linear RGB before the backdrop's tone curve."""
    samples = size * SUPERSAMPLING
    points = camera.project(vertices, samples)
    triangle_at = np.full((samples, samples), -1, np.int32)
    weights = np.zeros((samples, samples, 2), np.float32)
    depth = np.zeros((samples, samples), np.float32)
    rasterise(
        points, triangles, level, rest, sitter.maps.strands, _BANDS, triangle_at, weights, depth
    )
    axes = axes_along(light.key_direction)
    centre = sitter.pivot + np.array([0, 1.2, 0.3], np.float32)
    scale = _SHADOW_SIZE / _SHADOW_SPAN
    seen = ((vertices - centre) @ axes.T).astype(np.float32)
    seen[:, :2] = seen[:, :2] * scale + _SHADOW_SIZE / 2
    shadow = np.full((_SHADOW_SIZE, _SHADOW_SIZE), -1e9, np.float32)
    # One middle layer of the cap stands for all of them.
    casts = (level == SOLID) | (np.abs(level - 0.5) < 0.05)
    depth_map(seen, triangles[casts], shadow)
    out = np.zeros((samples, samples, 4), np.float32)
    shade(
        triangle_at, weights, triangles, material, level, vertices, normals, rest, attributes,
        sitter.maps.layers, sitter.colours, camera.position, light.key_direction, light.key,
        light.sky, light.ground, light.fill_direction, light.fill, light.shine, shadow, axes,
        centre.astype(np.float32), scale, out,
    )  # fmt: skip
    out = cv2.resize(out, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.asarray(out[..., :3] + _backdrop(size) * (1 - out[..., 3:]), dtype=np.float32)


def visible_triangles(head: Head) -> tuple[I32, I32, F32]:
    level = np.where(head.triangle_material == LASHES, FRINGE, SOLID).astype(np.float32)
    base_lower = np.zeros(head.shapes.vertex_count)
    for side in "lr":
        base_lower[head.shapes.group(f"helper-{side}-eyelashes-1")] = 1
    lower = head.refine(base_lower) > 0.5
    keep = ~((head.triangle_material == LASHES) & lower[head.triangles].any(axis=1))
    return head.triangles[keep], head.triangle_material[keep], level[keep]


def bake_openness(vertices: F32, head: Head, directions: int = 96, size: int = 256) -> F32:
    """(n,) 0..1: cosine-weighted share of the sky that each vertex sees."""
    normals = vertex_normals(vertices, head.triangles)
    middle = vertices[head.vertex_material == EYE][:, 1].mean()
    centre = np.array([0, middle, 0.4], np.float32)
    seen, possible = np.zeros(head.count), np.full(head.count, 1e-6)
    for k in range(directions):
        # Fibonacci sphere.
        z = 1 - 2 * (k + 0.5) / directions
        turn = k * 2.39996
        flat = math.sqrt(1 - z * z)
        direction = np.array([flat * math.cos(turn), z, flat * math.sin(turn)], np.float32)
        if direction[1] < -0.75:
            continue
        view = ((vertices - centre) @ axes_along(direction).T).astype(np.float32)
        pixels = view.copy()
        pixels[:, :2] = pixels[:, :2] * (size / 5.2) + size / 2
        nearest = np.full((size, size), -1e9, np.float32)
        depth_map(pixels, head.triangles, nearest)
        column = np.clip(pixels[:, 0].astype(int), 0, size - 1)
        row = np.clip(pixels[:, 1].astype(int), 0, size - 1)
        weight = np.maximum(normals @ direction, 0)
        seen += weight * (nearest[row, column] - view[:, 2] < 0.05)
        possible += weight
    return np.asarray(np.clip(seen / possible * 1.05, 0.03, 1), dtype=np.float32)


def mix_colours(person: Person, maps: SkinMaps) -> F32:
    colours = np.zeros(COLOUR_COUNT, np.float32)
    male_lips = maps.base * np.array([0.78, 0.60, 0.61])
    lipstick = np.array([0.30, 0.085, 0.095]) * (1 - 0.5 * person.skin_tone)
    bare = maps.base * [0.80, 0.52, 0.53]
    tinted = bare + (lipstick - bare) * 0.45 * min(person.lip_colour, 2.0)
    colours[SKIN_RGB : SKIN_RGB + 3] = maps.base
    colours[LIP_RGB : LIP_RGB + 3] = male_lips if person.male > 0.5 else tinted
    colours[HAIR_RGB : HAIR_RGB + 3] = HAIR_COLOURS[person.hair]
    colours[IRIS_RGB : IRIS_RGB + 3] = IRIS_COLOURS[person.iris]
    colours[SHIRT_RGB : SHIRT_RGB + 3] = SHIRTS[person.shirt]
    return colours


def _turn(points: F32, pivot: F32, yaw_deg: float) -> F32:
    angle = math.radians(yaw_deg)
    x, y, z = (points - pivot).T
    turned = np.stack(
        [x * math.cos(angle) + z * math.sin(angle), y, z * math.cos(angle) - x * math.sin(angle)],
        axis=1,
    )
    return np.asarray(turned + pivot, dtype=np.float32)


def towards(azimuth_deg: float, elevation_deg: float) -> F32:
    a, e = math.radians(azimuth_deg), math.radians(elevation_deg)
    return np.array([math.sin(a) * math.cos(e), math.sin(e), math.cos(a) * math.cos(e)], np.float32)


def axes_along(direction: F32) -> F32:
    """Right, up and the direction itself, as rows."""
    d = direction / np.linalg.norm(direction)
    up = np.array([0.0, 1.0, 0.0]) if abs(d[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
    right = np.cross(up, d)
    right /= np.linalg.norm(right)
    return np.asarray(np.stack([right, np.cross(d, right), d]), dtype=np.float32)


def _backdrop(size: int) -> F32:
    """A plain studio wall, lighter behind the head."""
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) / size
    glow = np.exp(-(((columns - 0.5) / 0.55) ** 2) - ((rows - 0.40) / 0.55) ** 2)[..., None]
    return np.asarray(_BACKDROP_BOTTOM * (1 - glow) + _BACKDROP_TOP * glow, dtype=np.float32)


def develop(linear: F32) -> npt.NDArray[np.uint8]:
    """A soft shoulder for the lights, a little contrast in the shadows, sRGB, BGR order."""
    x = np.maximum(linear, 0)
    y = np.clip(x / (1 + 0.35 * x) * 1.15, 0, 1)
    y = y * (0.86 + 0.14 * np.minimum(y * 3, 1))
    srgb = np.where(y < 0.0031308, 12.92 * y, 1.055 * np.power(y, 1 / 2.4) - 0.055)
    rgb = (np.clip(srgb, 0, 1) * 255 + 0.5).astype(np.uint8)
    return np.ascontiguousarray(rgb[..., ::-1])
