"""Draws a performer, and the same picture with another person's face: the true swap.

The face's shape and skin become the other person's up to the hairline, the front of the
ears and the jaw; hair, neck, clothes, motion, light, camera and background stay.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import cv2
import numpy as np

from .figure.anatomy import EYE, F32, I32, SKIN, Head
from .figure.hair import grow_cap, grow_style
from .figure.person import Person, sculpt
from .figure.rasteriser import SOLID, depth_map, rasterise, vertex_normals
from .figure.shading import LIPS, MOUTH, OPENNESS, RIM, shade
from .figure.skin import SkinMaps, paint_skin, smoothstep
from .figure.studio import (
    Camera,
    Light,
    axes_along,
    bake_openness,
    mix_colours,
    visible_triangles,
)

_Shadow = tuple[F32, F32, F32, float]
"""Depth map, axes of the light's view, its centre, texels a decimetre."""

SHADOW_SIZE, SHADOW_SPAN = 768, 5.0
"""Of the shadow map: its side, texels, and what it covers, decimetres."""

SUPERSAMPLING = 2
"""Samples along each side of a pixel."""

# Skin maps at half size: faces of strangers are drawn at 200 px, and there are many.
_MAP_SHARE = 0.5
_NECK_BONES = {"neck01": 0.25, "neck02": 0.5, "neck03": 0.8}
_HEAD_BONES = ("head", "jaw", "eye.L", "eye.R")
_HEAD_MUSCLES = ("oris", "oculi", "orbicularis", "levator", "temporalis", "risorius", "tongue")


class Anatomy:
    """The head, its face units and how much of the neck follows it.

    Attributes:
        head: the shared topology.
        units: names of the face units; ``displacements`` (U, n, 3) what each does.
        follows: (n,) 0..1, share of the head's rotation that a vertex takes part in.
        swapped: (n,) 0..1, how much of a true swap is the other person's.
    """

    def __init__(self, head: Head) -> None:
        self.head = head
        folder = head.shapes.data / "faceunits01/targets/faceunits"
        self.units = sorted(path.name.removesuffix(".target") for path in folder.glob("*.target"))
        self.displacements = np.stack([head.face_unit(name) for name in self.units])
        self.follows = _follows(head)
        self.swapped = _swapped(head)
        self.triangles, self.material, self.level = visible_triangles(head)


class Actor:
    """A person whose face can move; made once, drawn often."""

    def __init__(self, person: Person, anatomy: Anatomy) -> None:
        head = anatomy.head
        self.person = person
        base = sculpt(person, head.shapes)
        neck = base[head.shapes.group("joint-head")].mean(axis=0)
        self.pivot = np.array([0.0, neck[1] - 0.25, neck[2] - 0.05], np.float32)
        self.vertices = head.refine(base)
        self.eye_height = float(self.vertices[head.vertex_material == EYE][:, 1].mean())
        maps = paint_skin(person)
        self.maps = SkinMaps(layers=_halved(maps.layers), strands=_halved(maps.strands),
                             base=maps.base)  # fmt: skip
        self.colours = mix_colours(person, maps)
        jaw = anatomy.displacements[anatomy.units.index("jawOpen")]
        self.openness = (
            bake_openness(self.vertices, head),
            bake_openness(self.vertices + 0.7 * jaw, head),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What holds for one frame: expression, pose, camera, light and backdrop.

    Attributes:
        strengths: (U,) of the face units; ``angles_deg`` yaw, pitch, roll.
        camera, light: where from and how lit.
        backdrop: (size, size, 3) float32, linear RGB.
    """

    strengths: F32
    angles_deg: F32
    camera: Camera
    light: Light
    backdrop: F32


class Costumed:
    """A performer who wears ``other``'s face (or nobody's), ready to be drawn.

    Attributes:
        actor, other, anatomy: see above.
        mix: (n,) 0..1, how much of each vertex of the head is the other's.
        vertices: (n, 3) of the head at rest; ``openness`` (n,) with the mouth shut and open.
        hair: what grows on it.
        triangles, materials, levels: (t, 3), (t,), (t,) of head and hair.
        rest: (N, 3) of head and hair, on the mesh that the skin is painted on.
        follows: (N,) 0..1, share of the head's rotation that a vertex takes part in.
        casts: (t,) bool, which triangles throw a shadow.
        shadow_centre: (3,) the middle of the shadow map.
    """

    def __init__(self, actor: Actor, anatomy: Anatomy, other: Actor | None = None) -> None:
        self.actor, self.other, self.anatomy = actor, other, anatomy
        head = anatomy.head
        self.mix = anatomy.swapped if other is not None else np.zeros(head.count, np.float32)
        self.vertices = actor.vertices
        self.openness = actor.openness
        if other is not None:
            moved = _aligned(other.vertices, actor.vertices, head)
            self.vertices = actor.vertices + self.mix[:, None] * (moved - actor.vertices)
            (closed, opened), (shut, ajar) = actor.openness, other.openness
            self.openness = (
                closed + self.mix * (shut - closed),
                opened + self.mix * (ajar - opened),
            )
        normals = vertex_normals(self.vertices, head.triangles)
        cap = grow_cap(actor.person, head, self.vertices, normals, self.openness[0])
        self.hair = [cap, *grow_style(actor.person, self.vertices, head)]
        offset = head.count
        pieces, materials, levels = [anatomy.triangles], [anatomy.material], [anatomy.level]
        for tress in self.hair:
            pieces.append(tress.triangles + offset)
            materials.append(np.full(len(tress.triangles), tress.material, np.int32))
            levels.append(tress.level)
            offset += len(tress.vertices)
        self.triangles = np.concatenate(pieces).astype(np.int32)
        self.materials = np.concatenate(materials)
        self.levels = np.concatenate(levels).astype(np.float32)
        self.rest = np.concatenate([head.rest, *(t.rest for t in self.hair)]).astype(np.float32)
        self.follows = np.ones(len(self.rest), np.float32)
        self.follows[: head.count] = anatomy.follows
        # One middle layer of the cap stands for all of them.
        self.casts = (self.levels == SOLID) | (np.abs(self.levels - 0.5) < 0.05)
        self.shadow_centre = (actor.pivot + np.array([0, 1.2, 0.3], np.float32)).astype(np.float32)

    def draw(self, look: Look) -> tuple[F32, F32]:
        """Linear RGB (size, size, 3), and (size, size) 0..1 how much is the other person's."""
        size = len(look.backdrop)
        vertices, normals = self._posed(look)
        samples = size * SUPERSAMPLING
        points = look.camera.project(vertices, samples)
        at = np.full((samples, samples), -1, np.int32)
        weights = np.zeros((samples, samples, 2), np.float32)
        depth = np.zeros((samples, samples), np.float32)
        rasterise(points, self.triangles, self.levels, self.rest, self.actor.maps.strands,
                  2, at, weights, depth)  # fmt: skip
        shadow = self._cast_shadow(look, vertices)
        linear = self._shade(self.actor, look, vertices, normals, at, weights, shadow)
        if self.other is None:
            return linear, np.zeros((size, size), np.float32)
        worn = self._shade(self.other, look, vertices, normals, at, weights, shadow)
        mix = np.concatenate([self.mix, np.zeros(len(vertices) - len(self.mix), np.float32)])
        corners = mix[self.triangles[at]]
        share = corners[..., 0] + weights[..., 0] * (corners[..., 1] - corners[..., 0])
        share += weights[..., 1] * (corners[..., 2] - corners[..., 0])
        share[at < 0] = 0.0
        small = cv2.resize(share, (size, size), interpolation=cv2.INTER_AREA)
        return linear + (worn - linear) * small[..., None], small

    def posed_vertices(self, look: Look) -> F32:
        """(n, 3) where the head's vertices are; hair follows them."""
        return self._posed(look)[0]

    def colours(self, skin: Actor) -> F32:
        """(15,) with somebody's skin; hair and clothes are always the performer's."""
        colours = skin.colours.copy()
        colours[6:9], colours[12:] = self.actor.colours[6:9], self.actor.colours[12:]
        return colours

    def jaw(self, look: Look) -> float:
        """0..1, between :attr:`openness` with the mouth shut and open."""
        return float(np.clip(look.strengths[self.anatomy.units.index("jawOpen")] / 0.7, 0, 1))

    def _posed(self, look: Look) -> tuple[F32, F32]:
        anatomy = self.anatomy
        used = np.nonzero(look.strengths)[0]
        moved = self.vertices + np.tensordot(
            look.strengths[used], anatomy.displacements[used], axes=1
        )
        normals = vertex_normals(moved.astype(np.float32), anatomy.head.triangles)
        all_vertices = np.concatenate([moved, *(t.vertices for t in self.hair)])
        all_normals = np.concatenate([normals, *(t.normals for t in self.hair)])
        pivot, follows = self.actor.pivot, self.follows
        turned = _turn(all_vertices - pivot, look.angles_deg, follows) + pivot
        return (
            np.ascontiguousarray(turned, np.float32),
            np.ascontiguousarray(_turn(all_normals, look.angles_deg, follows), np.float32),
        )

    def _cast_shadow(self, look: Look, vertices: F32) -> _Shadow:
        axes = axes_along(look.light.key_direction)
        centre = self.shadow_centre
        scale = SHADOW_SIZE / SHADOW_SPAN
        seen = ((vertices - centre) @ axes.T).astype(np.float32)
        seen[:, :2] = seen[:, :2] * scale + SHADOW_SIZE / 2
        depth = np.full((SHADOW_SIZE, SHADOW_SIZE), -1e9, np.float32)
        depth_map(seen, self.triangles[self.casts], depth)
        return depth, axes, centre, scale

    def _shade(
        self, skin: Actor, look: Look, vertices: F32, normals: F32, at: I32, weights: F32,
        shadow: _Shadow,
    ) -> F32:  # fmt: skip
        head, light = self.anatomy.head, look.light
        attributes = np.zeros((len(vertices), 4), np.float32)
        attributes[: head.count, LIPS] = head.masks["lips"]
        attributes[: head.count, MOUTH] = head.masks["inside-mouth"]
        attributes[: head.count, RIM] = head.lid_rim * rim_of(skin)
        jaw = self.jaw(look)
        closed, opened = self.openness
        hair = [tress.openness for tress in self.hair]
        attributes[:, OPENNESS] = np.concatenate([closed * (1 - jaw) + opened * jaw, *hair])
        out = np.zeros((*at.shape, 4), np.float32)
        shade(
            at, weights, self.triangles, self.materials, self.levels, vertices, normals,
            self.rest, attributes, skin.maps.layers, self.colours(skin), look.camera.position,
            light.key_direction, light.key, light.sky, light.ground, light.fill_direction,
            light.fill, light.shine, *shadow, out,
        )  # fmt: skip
        size = len(look.backdrop)
        small = cv2.resize(out, (size, size), interpolation=cv2.INTER_AREA)
        return np.asarray(small[..., :3] + look.backdrop * (1 - small[..., 3:]), np.float32)


def rim_of(skin: Actor) -> float:
    """How dark the rims of somebody's lids are."""
    return 1 + 0.5 * skin.person.liner


def _turn(points: F32, angles_deg: F32, follows: F32) -> F32:
    yaw, pitch, roll = (np.radians(angle) * follows for angle in angles_deg)
    x, y, z = points.T
    x, y = x * np.cos(roll) - y * np.sin(roll), x * np.sin(roll) + y * np.cos(roll)
    y, z = y * np.cos(pitch) - z * np.sin(pitch), y * np.sin(pitch) + z * np.cos(pitch)
    x, z = x * np.cos(yaw) + z * np.sin(yaw), -x * np.sin(yaw) + z * np.cos(yaw)
    return np.asarray(np.stack([x, y, z], axis=1), np.float32)


def _aligned(vertices: F32, target: F32, head: Head) -> F32:
    """``vertices`` moved, turned and scaled so that the faces lie on each other."""
    face = (head.masks["face"] > 0.5) | (head.vertex_material == EYE)
    mine, theirs = vertices[face].astype(np.float64), target[face].astype(np.float64)
    centre, goal = mine.mean(axis=0), theirs.mean(axis=0)
    left, stretch, right = np.linalg.svd((mine - centre).T @ (theirs - goal))
    handed = np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = (left @ handed @ right).T
    scale = stretch.sum() / np.square(mine - centre).sum()
    return np.asarray((vertices - centre) @ rotation.T * scale + goal, np.float32)


def _swapped(head: Head) -> F32:
    rest = head.rest
    angle = np.degrees(np.abs(np.arctan2(rest[:, 0], rest[:, 2] - 0.35)))
    low = smoothstep(6.10, 6.30, rest[:, 1]) * smoothstep(
        0.62, 1.0, rest[:, 2] + 1.1 * np.maximum(rest[:, 1] - 6.55, 0)
    )
    share = smoothstep(7.98, 7.72, rest[:, 1]) * smoothstep(64, 50, angle) * low
    share[(head.vertex_material != SKIN) | (head.masks["inside-mouth"] > 0.3)] = 1.0
    return np.asarray(share, np.float32)


def _follows(head: Head) -> F32:
    shapes = head.shapes
    base = shapes.mesh.vertices
    path = shapes.data / "mpfb2/rigs/standard/weights.default.json"
    share = np.zeros(shapes.vertex_count)
    for bone, pairs in json.loads(path.read_text())["weights"].items():
        whole = bone in _HEAD_BONES or any(part in bone for part in (*_HEAD_MUSCLES, "special"))
        strength = 1.0 if whole else _NECK_BONES.get(bone, 0.0)
        if strength and pairs:
            table = np.array(pairs).reshape(-1, 2)
            share[table[:, 0].astype(int)] += strength * table[:, 1]
    share[13380:] = 1.0
    share[(base[:, 1] > 6.6) & (base[:, 1] < 9)] = 1.0
    return head.refine(np.clip(share, 0, 1))


def _halved(picture: F32) -> F32:
    size = (int(picture.shape[1] * _MAP_SHARE), int(picture.shape[0] * _MAP_SHARE))
    layers = [
        cv2.resize(np.ascontiguousarray(layer), size, interpolation=cv2.INTER_AREA)
        for layer in np.atleast_3d(picture).transpose(2, 0, 1)
    ]
    small = np.stack(layers, axis=2) if picture.ndim == 3 else layers[0]
    return np.ascontiguousarray(small, np.float32)
