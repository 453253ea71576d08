"""From photos and their landmarks to what a persona wears: skin texture and face shape.

Each photo is unwrapped into the UV space of the canonical face and its own light is
taken out (a spherical-harmonics fit, then the low-frequency half of what is left of the
asymmetry: faces are nearly symmetric, light is not). Hair and background that lie inside
the face oval are found as outliers of the skin colour, from the oval inwards, and dropped.
Photos are merged by how squarely each saw the skin; what none saw is mirrored, and what
has no mirror image is filled smoothly from its surroundings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mien.eyes import iris_colour, iris_colour_or_grey
from mien.face_light import LightFit, harmonics, mean_skin, vertex_colours
from mien.face_mesh import VERTEX_COUNT
from mien.face_regions import UvRegions, uv_regions, vertex_normals
from mien.face_shape import VIEW_FROM_LANDMARK, canonical_from_landmarks, neutral_shape
from mien.types import F32Array, FaceTrack, HeadPose, U8Array

BoolArray = npt.NDArray[np.bool_]

TEXTURE_SIZES = (512, 1024)

# A photo with more pixels across the face than this many a texel is shrunk first.
_PIXELS_PER_TEXEL = 1.5

# Skin colour outliers: log luminance and log chroma from the face's median, with the
# width of the transition. Only looked for this near the oval, in UV units.
_LUMINANCE = (0.25, 0.15)
_CHROMA = (0.08, 0.05)
_OUTLIER_REACH = (0.18, 0.05)
_GRAZING = (0.40, 0.20)
_GRAZING_REACH = 0.14

_MOUTH_V = 0.65

_DARKEST = 12.0
_LARGEST_DELIGHT = 2.0

# UV units over which colour counts as low frequency when asymmetry is taken out.
_SYMMETRY_RADIUS = 0.020

# Hue broader than this (UV units) is evened out on the sides of the face: start and
# width of the transition in what ``UvRegions.sideways`` measures.
_EVEN_RADIUS = 0.04
_EVEN_SIDEWAYS = (0.40, 0.30)

# Unsharp mask: measured to bring the descriptor 2% nearer; more looks crisp, not better.
_DETAIL_TEXELS = 1.2
_SHARPENING = 0.4

# Of several photos the one that sees a patch of skin most squarely wins.
_VIEW_SHARPNESS = np.float32(4.0)

# Expression coefficients up to this may be how the person looks at rest.
_REST_EXPRESSION = 0.30


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolledFace:
    """What photos say about a face; fields as in :class:`mien.personas.persona.Persona`."""

    texture: U8Array
    coverage: U8Array
    shape: F32Array
    iris_bgr: F32Array
    skin_bgr: F32Array


@dataclass(frozen=True, slots=True)
class _View:
    """One photo in UV space."""

    texture: F32Array
    trust: F32Array
    facing: F32Array
    skin_bgr: F32Array
    frontal: float


def enrol(photos: Sequence[U8Array], faces: Sequence[FaceTrack]) -> EnrolledFace:
    """Merges photos of one person into a de-lit texture and a neutral shape.

    Args:
        photos: (H, W, 3) uint8 BGR each.
        faces: the person's face in each, landmarks in pixels of the photo.

    Raises:
        ValueError: no photo, or lists of different lengths.
    """
    if not photos or len(photos) != len(faces):
        raise ValueError(
            f"expected a face for each photo, got {len(photos)} photos and {len(faces)} faces"
        )
    widths = [float(np.ptp(face.landmarks[:VERTEX_COUNT, 0])) for face in faces]
    size = next((size for size in TEXTURE_SIZES if size >= max(widths)), TEXTURE_SIZES[-1])
    regions = uv_regions(size)
    views = [
        _unwrap(photo, face.landmarks, face.pose, regions)
        for photo, face in zip(photos, faces, strict=True)
    ]
    frontal = max(views, key=lambda view: view.frontal)
    texture, trust = _merge(views, frontal)
    coverage = np.round(np.clip(trust, 0.0, 1.0) * 255.0).astype(np.uint8)
    texture = _complete(texture, trust)
    texture = _sharpen(_balance(texture, regions))
    shapes = [
        neutral_shape(canonical_from_landmarks(face.landmarks, face.pose), least=_REST_EXPRESSION)
        for face in faces
    ]
    return EnrolledFace(
        texture=np.clip(np.round(texture), 0, 255).astype(np.uint8),
        coverage=coverage,
        shape=np.mean(shapes, axis=0).astype(np.float32),
        iris_bgr=_iris(photos, faces, views),
        skin_bgr=frontal.skin_bgr,
    )


def _by_frontality(views: Sequence[_View]) -> list[int]:
    return sorted(range(len(views)), key=lambda index: -views[index].frontal)


def _iris(
    photos: Sequence[U8Array], faces: Sequence[FaceTrack], views: Sequence[_View]
) -> F32Array:
    """The iris colour in the most frontal photo in which the eyes are open."""
    order = _by_frontality(views)
    for index in order:
        colour = iris_colour(photos[index], faces[index].landmarks)
        if colour is not None:
            return colour
    return iris_colour_or_grey(photos[order[0]], faces[order[0]].landmarks)


def _unwrap(photo: U8Array, landmarks: F32Array, pose: HeadPose, regions: UvRegions) -> _View:
    size = len(regions.inside)
    points = landmarks[:VERTEX_COUNT]
    width = float(np.ptp(points[:, 0]))
    shrink = min(_PIXELS_PER_TEXEL * size / max(width, 1.0), 1.0)
    if shrink < 1.0:
        photo = np.asarray(
            cv2.resize(photo, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA), np.uint8
        )
        points = (points + 0.5) * np.float32(shrink) - 0.5
    scale = pose.scale * shrink

    normals = vertex_normals(points * VIEW_FROM_LANDMARK)
    colours = vertex_colours(photo, points, scale)
    light = LightFit().fit(colours, normals, iterations=4)
    skin_bgr = mean_skin(colours, normals)
    shade = np.maximum(harmonics(normals) @ light, _DARKEST)
    delight = np.clip(skin_bgr / shade, 1.0 / _LARGEST_DELIGHT, _LARGEST_DELIGHT)

    spread = regions.interpolate(np.concatenate([points[:, :2], delight, normals[:, 2:]], axis=1))
    where = np.ascontiguousarray(spread[..., :2])
    raw = cv2.remap(
        photo,
        where[..., 0],
        where[..., 1],
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    texture = raw.astype(np.float32) * spread[..., 2:5]
    facing = spread[..., 5]
    trust = _trusted_skin(texture, facing, regions)
    trust[~_inside_picture(where, photo)] = 0.0
    return _View(texture, trust, np.clip(facing, 0.05, 1.0), skin_bgr, float(pose.rotation[2, 2]))


def _inside_picture(where: F32Array, photo: U8Array) -> BoolArray:
    height, width = photo.shape[:2]
    x, y = where[..., 0], where[..., 1]
    inside: BoolArray = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    return inside


def _ramp(value: F32Array, start_width: tuple[float, float]) -> F32Array:
    start, width = start_width
    ramp: F32Array = np.clip((value - np.float32(start)) / np.float32(width), 0.0, 1.0)
    return ramp


def _trusted_skin(texture: F32Array, facing: F32Array, regions: UvRegions) -> F32Array:
    """(T, T) float32: 1 where the texel shows this face's skin, 0 for hair, background, edge.

    Whatever lies between a bad texel and the oval is bad too.
    """
    size = len(facing)
    fine = size / 512.0
    logarithm = np.log(np.maximum(cv2.GaussianBlur(texture, (0, 0), 3.0 * fine), 4.0))
    core = (regions.rim_distance > 0.13) & (facing > 0.5) & (regions.features < 0.1)
    core &= regions.brows < 0.1
    if core.sum() < 64:
        core = regions.rim_distance > 0.13
    deviation = logarithm - np.median(logarithm[core], axis=0)
    luminance = deviation.mean(axis=2)
    chroma = np.linalg.norm(deviation - luminance[..., None], axis=2)
    bad = np.maximum(_ramp(np.abs(luminance), _LUMINANCE), _ramp(chroma, _CHROMA))
    reach, fade = _OUTLIER_REACH
    bad *= np.clip((reach - regions.rim_distance) / fade, 0.0, 1.0)
    bad *= (1.0 - regions.brows) * (1.0 - regions.features)
    # Under the mouth there is beard more often than background.
    above_mouth = np.linspace(0.0, 1.0, size)[:, None] < _MOUTH_V
    bad *= np.maximum(_ramp(regions.sideways, (0.30, 0.25)), above_mouth)
    start, width = _GRAZING
    grazing = np.clip((start - facing) / width, 0.0, 1.0)
    bad = np.maximum(bad, grazing * (regions.rim_distance < _GRAZING_REACH))
    bad[~regions.inside] = 1.0

    bad = cv2.dilate(bad.astype(np.float32), np.ones((round(5 * fine),) * 2, np.uint8))
    # The circle reaches past the corners; what lies outside the other picture must be filled,
    # since OpenCV leaves it uninitialised otherwise and a blur spreads it.
    centre, radius = (size * 0.5, size * 0.53), size * 0.75
    there = cv2.WARP_POLAR_LINEAR | cv2.WARP_FILL_OUTLIERS
    polar = cv2.warpPolar(bad, (size, 2 * size), centre, radius, there)
    polar = np.maximum.accumulate(polar, axis=1)
    back = there | cv2.WARP_INVERSE_MAP
    bad = cv2.warpPolar(polar, (size, size), centre, radius, back)
    bad = cv2.dilate(bad, np.ones((round(7 * fine),) * 2, np.uint8))
    bad = cv2.GaussianBlur(bad, (0, 0), 4.0 * fine)
    # What a blur leaves of the weight in a hopeless region must not be amplified later.
    trust = np.clip((0.9 - bad) / 0.9, 0.0, 1.0) * regions.inside
    return np.asarray(trust, dtype=np.float32)


def _merge(views: Sequence[_View], frontal: _View) -> tuple[F32Array, F32Array]:
    """Weighted mean of the views, each brought to the exposure of the most frontal one."""
    if len(views) == 1:
        return frontal.texture, frontal.trust
    # Where the most frontal view sees the skin squarely it is used alone: the others blur
    # eyes and lips, and at the ridge of the nose they show the cheek behind it.
    lack = np.maximum(np.clip((0.80 - frontal.facing) / 0.30, 0.0, 1.0), 1.0 - frontal.trust)
    total = np.zeros_like(frontal.texture)
    weight = np.zeros_like(frontal.trust)
    trust = np.zeros_like(frontal.trust)
    for view in views:
        exposure = frontal.skin_bgr / np.maximum(view.skin_bgr, 1.0)
        share = view.trust * view.facing**_VIEW_SHARPNESS
        if view is not frontal:
            share = share * (lack + np.float32(1e-3))
        total += view.texture * exposure * share[..., None]
        weight += share
        trust = np.maximum(trust, view.trust)
    mean = total / np.maximum(weight, 1e-6)[..., None]
    return np.asarray(mean, dtype=np.float32), trust


def _complete(texture: F32Array, trust: F32Array) -> F32Array:
    """Fills untrusted texels from the mirror image, then from around them."""
    mirror_share = trust[:, ::-1] * (1.0 - trust)
    known = trust + mirror_share
    filled = texture * trust[..., None] + texture[:, ::-1] * mirror_share[..., None]
    filled /= np.maximum(known, 1e-6)[..., None]
    return _push_pull(filled.astype(np.float32), np.clip(known, 0.0, 1.0).astype(np.float32))


def _push_pull(image: F32Array, known: F32Array) -> F32Array:
    """Scattered-data filling on a pyramid (Gortler et al. 1996, *The Lumigraph*, section 3.4)."""
    height, width = known.shape
    if min(height, width) <= 2:
        return image
    half = (max(width // 2, 1), max(height // 2, 1))
    premultiplied = cv2.resize(image * known[..., None], half, interpolation=cv2.INTER_AREA)
    coarse_known = cv2.resize(known, half, interpolation=cv2.INTER_AREA)
    coarse = (premultiplied / np.maximum(coarse_known, 1e-6)[..., None]).astype(np.float32)
    coarse = _push_pull(coarse, np.minimum(2.0 * coarse_known, 1.0).astype(np.float32))
    around = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    share = known[..., None]
    return np.asarray(image * share + around * (1.0 - share), dtype=np.float32)


def _balance(texture: F32Array, regions: UvRegions) -> F32Array:
    """Takes out what light left behind at low frequencies.

    Half of the asymmetry goes from both sides. On the sides of the face, where skin was
    seen at a grazing angle and the light fit knows least, broad hue goes over into that of
    the middle; brightness, and with it beards, stays.
    """
    weight = (1.0 - regions.features) * (1.0 - regions.brows) * regions.inside + np.float32(1e-4)
    logarithm = np.log(np.maximum(texture, 3.0))
    low = _low_pass(logarithm, weight, _SYMMETRY_RADIUS)
    logarithm -= 0.5 * (low - low[:, ::-1])
    broad = _low_pass(logarithm, weight, _EVEN_RADIUS)
    middle: BoolArray = (regions.rim_distance > 0.2) & (weight > 0.9)
    share: F32Array = _ramp(regions.sideways, _EVEN_SIDEWAYS)
    share = share * (1.0 - regions.brows) * (1.0 - regions.features)
    tint = broad - np.median(logarithm[middle], axis=0)
    tint -= tint.mean(axis=2, keepdims=True)
    logarithm -= tint * share[..., None]
    balanced: F32Array = np.exp(logarithm)
    return balanced


def _sharpen(texture: F32Array) -> F32Array:
    """Makes up for the softness of sampling twice, photo to texture and texture to frame."""
    detail = texture - cv2.GaussianBlur(texture, (0, 0), _DETAIL_TEXELS)
    return np.asarray(texture + _SHARPENING * detail, dtype=np.float32)


def _low_pass(logarithm: F32Array, weight: F32Array, radius: float) -> F32Array:
    sigma = radius * len(weight)
    smooth = cv2.GaussianBlur(logarithm * weight[..., None], (0, 0), sigma)
    low = smooth / cv2.GaussianBlur(weight, (0, 0), sigma)[..., None]
    return np.asarray(low, dtype=np.float32)
