"""What is computed once for a persona: textures at several sizes, colours, shape, normals."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from mien.face_mesh import face_mesh
from mien.face_regions import face_regions, oval_matte, own_pixel_weights, vertex_normals
from mien.personas.persona import Persona
from mien.types import F32Array, U8Array

# UV units over which the persona fades into the performer inside the face oval.
_FEATHER = 0.09

_SMALLEST_TEXTURE = 64

# The same averaging as of the performer's colours: half a centimetre of about 15 across.
_PATCH_UV = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class TextureLevel:
    """The persona's texture at one size.

    Attributes:
        bgra: (T, T, 4) uint8; A is the weight of the performer's own pixels.
        matte: (T, T) uint8.
    """

    bgra: U8Array
    matte: U8Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Costume:
    """A persona, ready to be drawn.

    Attributes:
        levels: textures, largest first, each half as large as the one before.
        shape: (468, 3) float32, neutral face, canonical centimetres.
        normals: (468, 3) float32, of that shape.
        near_colours: (468, 3) float32, the texture's skin smoothed over 1 cm.
        broad_colours: (468, 3) float32, over 2 cm.
        skin_bgr: (3,) float32; (468, 3) where it differs over the face, as in a wipe.
        iris_bgr: (3,) float32.
        likeness: 0..1, how much of the shape shows, of what the swapper is set to.
        iris: 0..1, iris colour from the performer's to this one, likewise.
        lips: 0..1, the lips' look from the performer's to this one.
        contrast: factor on the texture's detail: what a mixture of two has lost.
        lift: (468, 3) float32, code values that keep the texture's broad colours where
            they are under that factor; None is nothing.
    """

    levels: tuple[TextureLevel, ...]
    shape: F32Array
    normals: F32Array
    near_colours: F32Array
    broad_colours: F32Array
    skin_bgr: F32Array
    iris_bgr: F32Array
    likeness: float = 1.0
    iris: float = 1.0
    lips: float = 1.0
    contrast: float = 1.0
    lift: F32Array | None = None


@cache
def _masks(size: int) -> tuple[U8Array, U8Array]:
    return own_pixel_weights(size), oval_matte(size, _FEATHER)


def make_costume(persona: Persona) -> Costume:
    """Prepares a persona; some tens of milliseconds."""
    texture = persona.texture
    levels = []
    while True:
        own, matte = _masks(len(texture))
        bgra = np.ascontiguousarray(np.dstack([texture, own]))
        levels.append(TextureLevel(bgra=bgra, matte=matte))
        if len(texture) // 2 < _SMALLEST_TEXTURE:
            break
        half = len(texture) // 2
        texture = np.asarray(
            cv2.resize(texture, (half, half), interpolation=cv2.INTER_AREA), dtype=np.uint8
        )
    colours = _vertex_texture_colours(persona.texture)
    regions = face_regions()
    return Costume(
        levels=tuple(levels),
        shape=persona.shape,
        normals=vertex_normals(persona.shape),
        near_colours=np.maximum(regions.near @ colours, 1.0),
        broad_colours=np.maximum(regions.broad @ colours, 1.0),
        skin_bgr=persona.skin_bgr,
        iris_bgr=persona.iris_bgr,
    )


def _vertex_texture_colours(texture: U8Array) -> F32Array:
    size = len(texture)
    window = max(round(_PATCH_UV * size), 1)
    smooth = cv2.blur(texture, (window, window))
    at = (face_mesh().uv * size - 0.5).astype(np.float32)
    colours = cv2.remap(smooth, at[None, :, 0], at[None, :, 1], cv2.INTER_LINEAR)
    return np.asarray(colours[0], dtype=np.float32)
