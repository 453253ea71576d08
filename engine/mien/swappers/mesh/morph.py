"""Two personas as one: shape mixed at the vertices, skin in UV space.

A plain cross-fade is a double exposure: halfway, two sets of pores, brows and wrinkles show
at half their strength. Here broad colours change evenly, at the vertices and so for free;
detail changes faster, which shortens the time in which both show, and gets back the strength
that averaging two unrelated details costs (their energies add, not their amplitudes). The
texture itself is touched once a frame, at the size in use.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from math import hypot

import cv2
import numpy as np

from mien.face_mesh import face_mesh
from mien.look import Blend, Side
from mien.swappers.mesh.wardrobe import Costume, TextureLevel
from mien.types import F32Array, U8Array

# How much of the lost strength of detail comes back: features (brows, nostrils) coincide and
# lose nothing, pores and wrinkles lose 30% halfway (chosen by eye between 0 and 1).
_RESTORED = 0.5

# Detail is what is finer than a cell of this many per face.
_CELLS = 64

# Width of a wipe's soft front: for skin, and for shape and colour, UV units.
_FRONT = 0.16
_SHAPE_FRONT = 0.30

# The matte lets nothing show this near to the edges: a front has no way to go there.
_MARGIN = 0.08

_LOWS_KEPT = 16


class Mixer:
    """Mixes costumes; belongs to the thread that swaps. Reuses its texture buffers."""

    def __init__(self) -> None:
        self._bgra = np.empty(0, dtype=np.uint8)
        self._matte: U8Array = np.empty(0, dtype=np.uint8)
        self._lows: dict[int, tuple[TextureLevel, F32Array]] = {}

    def mix(
        self,
        base: Costume | None,
        top: Costume | None,
        blend: Blend,
        face_width: int,
        *,
        keep: bool = False,
    ) -> Costume:
        """The costume between two.

        Args:
            base, top: None is the performer's own face, not both.
            blend: amount and manner.
            face_width: pixels; decides the texture size.
            keep: own the texture; else it is good until the next call.

        Raises:
            ValueError: both are None.
        """
        if base is None and top is None:
            raise ValueError("a blend of nobody with nobody; expected at least one persona")
        first = base if base is not None else _absent(top)
        second = top if top is not None else _absent(base)
        one, two = _level_for(first, face_width), _level_for(second, face_width)
        two = _fitted(two, len(one.matte))
        amount = float(min(max(blend.amount, 0.0), 1.0))
        if blend.how == "wipe":
            return self._wipe(first, second, one, two, amount, blend.side, keep)
        skin = float(min(max(blend.skin_amount, 0.0), 1.0))
        return self._morph(first, second, one, two, (amount, skin), keep)

    def _morph(
        self,
        first: Costume,
        second: Costume,
        one: TextureLevel,
        two: TextureLevel,
        amounts: tuple[float, float],
        keep: bool,
    ) -> Costume:
        shape, amount = amounts
        detail = amount * amount * (3.0 - 2.0 * amount)
        bgra, matte = self._buffers(len(one.matte), keep)
        level = TextureLevel(
            bgra=_weighted(one.bgra, two.bgra, detail, bgra),
            matte=_weighted(one.matte, two.matte, amount, matte),
        )
        mixed = _between(first, second, np.float32(shape), np.float32(amount))
        if one.bgra is two.bgra:
            return replace(mixed, levels=(level,))
        contrast = 1.0 + _RESTORED * (1.0 / hypot(1.0 - detail, detail) - 1.0)
        contrast *= first.contrast + (second.contrast - first.contrast) * amount
        low_one, low_two = self._low(one), self._low(two)
        wanted = low_one + (low_two - low_one) * np.float32(amount)
        drawn = low_one + (low_two - low_one) * np.float32(detail)
        lift: F32Array = wanted - drawn * np.float32(contrast)
        for costume, share in ((first, 1.0 - amount), (second, amount)):
            if costume.lift is not None:
                low = self._low(costume.levels[0])
                kept = costume.lift + low * np.float32(costume.contrast - 1.0)
                lift += kept * np.float32(share)
        return replace(
            mixed,
            levels=(level,),
            contrast=contrast,
            lift=np.ascontiguousarray(lift, dtype=np.float32),
        )

    def _wipe(
        self,
        first: Costume,
        second: Costume,
        one: TextureLevel,
        two: TextureLevel,
        amount: float,
        side: Side,
        keep: bool,
    ) -> Costume:
        size = len(one.matte)
        bgra, matte = self._buffers(size, keep)
        share = _front(_along(size, side), amount, _FRONT)
        across = side in ("up", "down")
        _lay(one.bgra, two.bgra, share, across, bgra)
        if one.matte is two.matte:
            matte = one.matte
        else:
            _lay(one.matte, two.matte, share, across, matte)
        at_vertices = _front(_vertex_along(side), amount, _SHAPE_FRONT)[:, None]
        mixed = _between(first, second, np.float32(amount), np.float32(amount))
        contrast, lift = _level_lift(first, second, at_vertices)
        return replace(
            mixed,
            levels=(TextureLevel(bgra=bgra, matte=matte),),
            shape=_lerp(first.shape, second.shape, at_vertices),
            normals=_lerp(first.normals, second.normals, at_vertices),
            near_colours=_lerp(first.near_colours, second.near_colours, at_vertices),
            broad_colours=_lerp(first.broad_colours, second.broad_colours, at_vertices),
            skin_bgr=_lerp(first.skin_bgr, second.skin_bgr, at_vertices),
            contrast=contrast,
            lift=lift,
        )

    def _buffers(self, size: int, keep: bool) -> tuple[U8Array, U8Array]:
        if keep:
            return np.empty((size, size, 4), np.uint8), np.empty((size, size), np.uint8)
        if self._matte.shape != (size, size):
            self._bgra = np.empty((size, size, 4), np.uint8)
            self._matte = np.empty((size, size), np.uint8)
        return self._bgra, self._matte

    def _low(self, level: TextureLevel) -> F32Array:
        """(468, 3) float32: what of the texture is not detail, at the vertices."""
        known = self._lows.get(id(level))
        if known is not None and known[0] is level:
            return known[1]
        small = cv2.resize(level.bgra, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
        smooth = cv2.blur(small[..., :3], (3, 3))
        at = (face_mesh().uv * _CELLS - 0.5).astype(np.float32)
        low = cv2.remap(smooth, at[None, :, 0], at[None, :, 1], cv2.INTER_LINEAR)[0]
        if len(self._lows) >= _LOWS_KEPT:
            self._lows.pop(next(iter(self._lows)))
        self._lows[id(level)] = (level, np.asarray(low, np.float32))
        return self._lows[id(level)][1]


def _absent(costume: Costume | None) -> Costume:
    """The costume with nothing of it showing: what the performer's own face counts as."""
    assert costume is not None
    levels = tuple(
        TextureLevel(bgra=level.bgra, matte=_nothing(len(level.matte))) for level in costume.levels
    )
    return replace(costume, levels=levels, likeness=0.0, iris=0.0)


def _weighted(one: U8Array, two: U8Array, share: float, out: U8Array) -> U8Array:
    """One of two at a share of 0 and 1, in ``out`` unless they are the same."""
    if one is two:
        return one
    cv2.addWeighted(one, 1.0 - share, two, share, 0.0, dst=out)
    return out


@cache
def _nothing(size: int) -> U8Array:
    return np.zeros((size, size), np.uint8)


def _level_for(costume: Costume, face_width: int) -> TextureLevel:
    chosen = costume.levels[0]
    for level in costume.levels[1:]:
        if len(level.matte) < face_width:
            break
        chosen = level
    return chosen


def _fitted(level: TextureLevel, size: int) -> TextureLevel:
    """The level at another persona's texture size; resized only if they have none in common."""
    if len(level.matte) == size:
        return level
    how = cv2.INTER_AREA if len(level.matte) > size else cv2.INTER_LINEAR
    return TextureLevel(
        bgra=np.asarray(cv2.resize(level.bgra, (size, size), interpolation=how), np.uint8),
        matte=np.asarray(cv2.resize(level.matte, (size, size), interpolation=how), np.uint8),
    )


def _between(first: Costume, second: Costume, shape: np.float32, skin: np.float32) -> Costume:
    """Everything but the texture. Normals stay near enough to unit length to be used."""
    return Costume(
        levels=first.levels,
        shape=_lerp(first.shape, second.shape, shape),
        normals=_lerp(first.normals, second.normals, shape),
        near_colours=_lerp(first.near_colours, second.near_colours, skin),
        broad_colours=_lerp(first.broad_colours, second.broad_colours, skin),
        skin_bgr=_lerp(first.skin_bgr, second.skin_bgr, skin),
        iris_bgr=_lerp(first.iris_bgr, second.iris_bgr, skin),
        likeness=float(first.likeness + (second.likeness - first.likeness) * shape),
        iris=float(first.iris + (second.iris - first.iris) * skin),
        lips=float(first.lips + (second.lips - first.lips) * skin),
    )


def _level_lift(first: Costume, second: Costume, share: F32Array) -> tuple[float, F32Array | None]:
    """Contrast and lift where a wipe leaves an unfinished morph behind, from the stronger."""
    stronger = first if first.contrast >= second.contrast else second
    if stronger.lift is None:
        return 1.0, None
    left = 1.0 - share if stronger is first else share
    return stronger.contrast, np.ascontiguousarray(stronger.lift * left, dtype=np.float32)


def _lerp(a: F32Array, b: F32Array, amount: F32Array | np.float32) -> F32Array:
    mixed: F32Array = (a + (b - a) * amount).astype(np.float32, copy=False)
    return mixed


@cache
def _along(size: int, side: Side) -> F32Array:
    """(T,) float32: way to go at each column or row, 0 where the front starts, to 1."""
    centre: F32Array = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
    return centre if side in ("right", "down") else 1.0 - centre


@cache
def _vertex_along(side: Side) -> F32Array:
    uv = face_mesh().uv
    at = uv[:, 0] if side in ("left", "right") else uv[:, 1]
    return np.asarray(at if side in ("right", "down") else 1.0 - at, np.float32)


def _front(along: F32Array, amount: float, width: float) -> F32Array:
    """0..1, how much of the top shows along the way, when the front has come so far."""
    reached = _MARGIN + amount * (1.0 - 2.0 * _MARGIN + width)
    rise = np.clip((reached - along) / np.float32(width), 0.0, 1.0)
    step: F32Array = (rise * rise * (3.0 - 2.0 * rise)).astype(np.float32)
    return step


def _lay(one: U8Array, two: U8Array, share: F32Array, across: bool, out: U8Array) -> None:
    """Copies where one of two shows alone, and blends only in the band between."""
    if across:
        bands = [(slice(a, b), slice(None)) for a, b in _bands(share)]
    else:
        bands = [(slice(None), slice(a, b)) for a, b in _bands(share)]
    lower, soft, upper = bands
    for band, source in ((lower, one), (upper, two)):
        out[band] = source[band]
    width = share[soft[0] if across else soft[1]]
    if width.size:
        weights = np.round(width * 256.0).astype(np.uint16)
        shape = (-1, 1) if across else (1, -1)
        weights = weights.reshape(shape + (1,) * (one.ndim - 2))
        mixed = one[soft] * (256 - weights) + two[soft] * weights
        out[soft] = (mixed + 128) >> 8


def _bands(share: F32Array) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Ranges that are all base, between, and all top; the top lies at either end."""
    none = np.flatnonzero(share <= 0.0)
    full = np.flatnonzero(share >= 1.0)
    size = len(share)
    rising = share[-1] > share[0]
    empty = (0, 0)
    if rising:
        start = none[-1] + 1 if len(none) else 0
        end = full[0] if len(full) else size
        return (0, int(start)), (int(start), int(end)), (int(end), size)
    start = full[-1] + 1 if len(full) else 0
    end = none[0] if len(none) else size
    base = (int(end), size) if len(none) else empty
    return base, (int(start), int(end)), (0, int(start))
