"""Hands and forearms of the base mesh (CC0 1.0), posed by its rig's weights.

Linear blend skinning. The rig's own rest pose is an open hand; a pose is a handful of
angles about axes that follow from where the joints are.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .figure.anatomy import F32, F64, ShapeLibrary, catmull_clark
from .figure.person import sculpt
from .occluder_drawing import Mesh
from .strangers import draw_stranger

_FINGERS = range(1, 6)
_THUMB = 1
_PARENTS = {
    "lowerarm02.L": "lowerarm01.L",
    "wrist.L": "lowerarm02.L",
    **{f"metacarpal{n}.L": "wrist.L" for n in range(1, 5)},
    "finger1-1.L": "wrist.L",
    **{f"finger{n}-1.L": f"metacarpal{n - 1}.L" for n in range(2, 6)},
    **{f"finger{n}-{k}.L": f"finger{n}-{k - 1}.L" for n in _FINGERS for k in (2, 3)},
}
# Parents come before their children.
_BONES = (
    "lowerarm01.L", "lowerarm02.L", "wrist.L", *(f"metacarpal{n}.L" for n in range(1, 5)),
    *(f"finger{n}-{k}.L" for k in (1, 2, 3) for n in _FINGERS),
)  # fmt: skip
# Full bend of the three joints of a finger, and of the thumb, degrees.
_BEND, _THUMB_BEND = (82.0, 98.0, 62.0), (18.0, 34.0, 52.0)
_FIRST_HELPER_VERTEX = 13380
_NAIL_RGB, _KNUCKLE_RGB = (1.16, 1.0, 0.98), (1.05, 0.88, 0.84)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grip:
    """What a hand does.

    Attributes:
        curls: (5,) 0 (straight) .. 1 (in the fist), thumb first.
        spread: 0 (together) .. 1 (fanned out).
        wrist_deg: bend of the wrist towards the palm; ``aside_deg`` towards the thumb.
    """

    curls: tuple[float, ...]
    spread: float
    wrist_deg: float
    aside_deg: float


def draw_grip(random: np.random.Generator) -> Grip:
    """From an open hand to a fist, a pointing finger, a grip."""
    kind = random.integers(6)
    if kind == 0:
        curls = random.uniform(-0.08, 0.15, 5)
    elif kind == 1:
        curls = random.uniform(0.15, 0.45, 5)
    elif kind == 2:
        curls = random.uniform(0.85, 1.0, 5)
    elif kind == 3:
        curls = random.uniform(0.7, 1.0, 5)
        curls[1 : 2 + int(random.integers(2))] = random.uniform(-0.05, 0.15)
    elif kind == 4:
        # Round a stick or a mug.
        curls = np.full(5, random.uniform(0.45, 0.75)) + random.normal(0, 0.05, 5)
    else:
        curls = np.linspace(random.uniform(0, 1), random.uniform(0, 1), 5)
        curls += random.normal(0, 0.12, 5)
    return Grip(
        curls=tuple(float(v) for v in np.clip(curls, -0.1, 1.0)),
        spread=float(random.beta(1.2, 2.0)),
        wrist_deg=float(np.clip(random.normal(0, 24), -55, 60)),
        aside_deg=float(random.normal(0, 9)),
    )


class Hands:
    """The left hand and forearm of the base mesh, ready to be shaped and posed.

    Args:
        shapes: the base mesh and its targets.
    """

    def __init__(self, shapes: ShapeLibrary) -> None:
        self._shapes = shapes
        rig = json.loads((shapes.data / "mpfb2/rigs/standard/rig.default.json").read_text())
        self._rig = rig.get("bones", rig)
        path = shapes.data / "mpfb2/rigs/standard/weights.default.json"
        stored = json.loads(path.read_text())["weights"]
        weights = np.zeros((shapes.vertex_count, len(_BONES)))
        for column, bone in enumerate(_BONES):
            table = np.array(stored[bone]).reshape(-1, 2)
            weights[table[:, 0].astype(int), column] = table[:, 1]
        belongs = weights.sum(axis=1) > 0.4
        belongs[_FIRST_HELPER_VERTEX:] = False
        quads = np.array(
            [
                quad
                for quad, group in zip(shapes.mesh.quads, shapes.mesh.groups, strict=True)
                if group == "body" and belongs[quad].all()
            ]
        )
        once, fine = catmull_clark(quads, shapes.vertex_count)
        twice, finer = catmull_clark(fine, once.shape[0])
        used = np.unique(finer)
        renumber = np.full(twice.shape[0], -1)
        renumber[used] = np.arange(len(used))
        self._subdivide = (twice[used] @ once).tocsr()
        corners = renumber[finer]
        self._triangles = np.concatenate([corners[:, [0, 1, 2]], corners[:, [0, 2, 3]]]).astype(
            np.int32
        )
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-6)
        fine_weights = self._subdivide @ weights
        self._weights = fine_weights / np.maximum(fine_weights.sum(axis=1, keepdims=True), 1e-6)

    def pose(
        self, person: int, grip: Grip, random: np.random.Generator, sleeve: F32 | None
    ) -> Mesh:
        """A hand whose wrist is at the origin; fingers up, the forearm down, palm to the viewer.

        Args:
            person: number of the stranger whose hand it is.
            grip: what it does.
            random: where mottles come from.
            sleeve: (3,) linear RGB of the cloth on the forearm, or None for a bare one.
        """
        shaped = sculpt(draw_stranger(person), self._shapes)
        rest = self._subdivide @ shaped
        heads, tails = self._joints(shaped)
        palm = _palm_normal(heads, tails)
        moves = _moves(heads, tails, palm, grip)
        posed = np.zeros_like(rest)
        for column, bone in enumerate(_BONES):
            turn, shift = moves[bone]
            posed += self._weights[:, column : column + 1] * (rest @ turn.T + shift)
        albedo = self._paint(rest, heads, tails, palm, random)
        if sleeve is not None:
            posed = self._dress(posed, albedo, sleeve, moves, heads, random)
        axes = _hand_axes(heads, tails, palm)
        turned = (posed - _applied(moves["wrist.L"], heads["wrist.L"])) @ axes.T
        return Mesh(
            vertices=np.ascontiguousarray(turned, np.float32),
            triangles=self._triangles,
            albedo=albedo,
        )

    def _joints(self, shaped: F64) -> tuple[dict[str, F64], dict[str, F64]]:
        return tuple(
            {bone: self._joint(shaped, self._rig[bone][end]) for bone in _BONES}
            for end in ("head", "tail")
        )  # type: ignore[return-value]

    def _joint(self, shaped: F64, where: dict[str, object]) -> F64:
        if where["strategy"] == "CUBE":
            return np.asarray(shaped[self._shapes.group(str(where["cube_name"]))].mean(axis=0))
        return np.asarray(shaped[np.array(where["vertex_indices"])].mean(axis=0))

    def _paint(
        self, rest: F64, heads: dict[str, F64], tails: dict[str, F64], palm: F64,
        random: np.random.Generator,
    ) -> F32:  # fmt: skip
        """(n, 3) about 1: a paler palm, redder knuckles and tips, nails, mottles."""
        from .figure.rasteriser import vertex_normals

        normals = vertex_normals(rest.astype(np.float32), self._triangles)
        inward = np.clip(normals @ palm * 1.4, 0, 1)[:, None]
        hand = self._weights[:, 2:].sum(axis=1)[:, None]
        pale = 1 + random.uniform(0.0, 0.45) * inward * hand
        albedo = pale * np.ones((1, 3))
        reach = np.linalg.norm(tails["finger3-3.L"] - heads["finger3-3.L"])
        for n in _FINGERS:
            head, tail = heads[f"finger{n}-3.L"], tails[f"finger{n}-3.L"]
            along = (rest - head) @ (tail - head) / np.sum((tail - head) ** 2)
            own = self._weights[:, _BONES.index(f"finger{n}-3.L")]
            back = palm if n != _THUMB else _thumb_palm(heads, tails, palm)
            nail = own * (along > 0.42) * np.clip((-(normals @ back) - 0.62) * 8, 0, 1)
            albedo *= 1 + nail[:, None] * (np.array(_NAIL_RGB) - 1)
            for k in (1, 2):
                near = np.linalg.norm(rest - heads[f"finger{n}-{k}.L"], axis=1)
                red = np.exp(-((near / (0.55 * reach)) ** 2))[:, None] * (1 - inward)
                albedo *= 1 + 0.7 * red * (np.array(_KNUCKLE_RGB) - 1)
        waves = random.normal(0, 1, (6, 3)) * 14
        mottle = np.sin(rest @ waves.T + random.uniform(0, 6.28, 6)).sum(axis=1, keepdims=True)
        albedo *= 1 + 0.012 * mottle * np.array([0.6, 1.0, 1.0])
        return np.asarray(np.clip(albedo, 0.2, 1.9), np.float32)

    def _dress(
        self, posed: F64, albedo: F32, sleeve: F32, moves: dict[str, tuple[F64, F64]],
        heads: dict[str, F64], random: np.random.Generator,
    ) -> F64:  # fmt: skip
        """Pulls a sleeve over the forearm; paints it in place."""
        wrist = _applied(moves["wrist.L"], heads["wrist.L"])
        elbow = heads["lowerarm01.L"]
        length = float(np.linalg.norm(elbow - wrist))
        along = (posed - wrist) @ (elbow - wrist) / length**2
        start = random.uniform(-0.02, 0.35)
        cover = np.clip((along - start) / 0.03, 0, 1)[:, None]
        axis = wrist + np.clip(along, 0, 1.2)[:, None] * (elbow - wrist)
        folds = np.sin(along * random.uniform(30, 70) + 2 * np.sin(posed @ random.normal(0, 5, 3)))
        wide = 1.18 + 0.25 * np.clip(along, 0, 1) + 0.035 * folds
        albedo[:] = albedo * (1 - cover) + sleeve * cover
        return np.asarray(posed + cover * (posed - axis) * (wide[:, None] - 1))


def _moves(
    heads: dict[str, F64], tails: dict[str, F64], palm: F64, grip: Grip
) -> dict[str, tuple[F64, F64]]:
    """Rotation and shift of every bone, rest to posed."""
    moves: dict[str, tuple[F64, F64]] = {"lowerarm01.L": (np.eye(3), np.zeros(3))}
    arm = _unit(heads["wrist.L"] - heads["lowerarm01.L"])
    towards_thumb = _unit(heads["finger2-1.L"] - heads["finger5-1.L"])
    for bone in _BONES[1:]:
        turn = np.eye(3)
        if bone == "wrist.L":
            turn = _about(np.cross(arm, palm), grip.wrist_deg)
            turn = turn @ _about(np.cross(arm, towards_thumb), grip.aside_deg)
        elif bone.startswith("finger"):
            finger, joint = int(bone[6]), int(bone[8])
            along = _unit(tails[bone] - heads[bone])
            curl = grip.curls[finger - 1]
            if finger == _THUMB:
                inward = _unit(palm * 0.8 - towards_thumb)
                turn = _about(np.cross(along, inward), curl * _THUMB_BEND[joint - 1])
            else:
                turn = _about(np.cross(along, palm), curl * _BEND[joint - 1])
                if joint == 1:
                    fan = (3.4 - finger) * (grip.spread * 11 - 3) * (1 - 0.8 * max(curl, 0))
                    turn = _about(np.cross(along, towards_thumb), fan) @ turn
        parent, pivot = moves[_PARENTS[bone]], heads[bone]
        whole = parent[0] @ turn
        moves[bone] = (whole, _applied(parent, pivot) - whole @ pivot)
    return moves


def _applied(move: tuple[F64, F64], point: F64) -> F64:
    return np.asarray(move[0] @ point + move[1])


def _palm_normal(heads: dict[str, F64], tails: dict[str, F64]) -> F64:
    """Unit vector out of the palm: the way the fingers curl at rest."""
    wrist = heads["wrist.L"]
    normal = _unit(np.cross(heads["finger2-1.L"] - wrist, heads["finger5-1.L"] - wrist))
    first, last = heads["finger3-1.L"], tails["finger3-3.L"]
    bent = last - first
    straight = heads["finger3-1.L"] - wrist
    hang = bent - straight * (bent @ straight) / (straight @ straight)
    return normal if hang @ normal > 0 else -normal


def _thumb_palm(heads: dict[str, F64], tails: dict[str, F64], palm: F64) -> F64:
    along = _unit(tails["finger1-3.L"] - heads["finger1-3.L"])
    inward = palm * 0.8 - _unit(heads["finger2-1.L"] - heads["finger5-1.L"])
    return _unit(inward - along * (inward @ along))


def _hand_axes(heads: dict[str, F64], tails: dict[str, F64], palm: F64) -> F64:
    """Rows: right, up (along the fingers), towards the viewer (out of the palm)."""
    up = _unit(heads["finger3-1.L"] - heads["wrist.L"])
    out = _unit(palm - up * (palm @ up))
    return np.stack([np.cross(up, out), up, out])


def _unit(vector: npt.NDArray[np.float64]) -> F64:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9))


def _about(axis: F64, angle_deg: float) -> F64:
    """Rotation by an angle about an axis (Rodrigues)."""
    x, y, z = _unit(axis)
    angle = np.radians(angle_deg)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)
