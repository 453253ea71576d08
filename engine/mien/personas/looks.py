"""Looks: a persona's skin in the colours and the touch of another picture.

Everything happens in the texture, once: a look costs nothing per frame. Colour moves by the
linear map of least transport between the two pictures' colour distributions (Pitié and
Kokaram 2007, *The linear Monge-Kantorovitch linear colour mapping for example-based colour
transfer*, eq. 3), in Lab, bounded so
that skin stays smooth; touch moves by giving every band of a Laplacian pyramid the
strength that it has in the picture, which is what adaptive instance normalisation does to
the channels of a network (Huang and Belongie 2017, eq. 8).
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from mien.errors import PhotoError
from mien.face_regions import uv_regions
from mien.personas.persona import Persona
from mien.types import F32Array, U8Array

_SIDE = 512
_BANDS = 5
# Bands may grow and shrink by so much: beyond it, grain becomes noise and skin plastic.
_WEAKEST, _STRONGEST = 0.4, 2.5
# The same for colours: skin varies little, and a stretch of ten shows the steps of 8 bits.
_LEAST_SPREAD, _MOST_SPREAD = 0.3, 1.8
_SMALLEST_SIDE_PX = 32
_FLAT = 1.0

Matrix = npt.NDArray[np.float64]


def with_look(
    persona: Persona, picture_bgr: U8Array, *, colour: float = 0.8, touch: float = 0.6
) -> Persona:
    """The persona in the look of a picture: the same shape, eyes and identity record.

    Args:
        persona: who.
        picture_bgr: (H, W, 3) uint8, a painting, a still, a photograph.
        colour: 0..1, how far the colours move.
        touch: 0..1, how far the strength of fine and coarse detail moves.

    Raises:
        ValueError: a share is out of range.
        PhotoError: the picture is too small, or of one colour.
    """
    if not (0.0 <= colour <= 1.0 and 0.0 <= touch <= 1.0):
        raise ValueError(f"colour and touch lie in 0..1, got {colour} and {touch}")
    if min(picture_bgr.shape[:2]) < _SMALLEST_SIDE_PX:
        raise PhotoError(
            "the picture of the look is too small", f"use {_SMALLEST_SIDE_PX} pixels or more"
        )
    if float(picture_bgr.std()) < _FLAT:
        raise PhotoError("the picture of the look is of one colour", "choose one with a look")
    size = len(persona.texture)
    skin = uv_regions(size).inside
    lab = _lab(persona.texture)
    wanted = _lab(_fitted(picture_bgr))
    lab = lab + (_moved(lab, lab[skin], wanted.reshape(-1, 3)) - lab) * np.float32(colour)
    lab = _touched(lab, wanted, np.float32(touch))
    texture = _bgr(lab)
    gain = texture[skin].mean(axis=0) / np.maximum(persona.texture[skin].mean(axis=0), 1.0)
    skin_bgr = np.clip(persona.skin_bgr * gain, 0.0, 255.0).astype(np.float32)
    return replace(persona, texture=texture, skin_bgr=skin_bgr)


def _fitted(picture_bgr: U8Array) -> U8Array:
    """The middle square of the picture, at the scale of a texture."""
    height, width = picture_bgr.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = picture_bgr[top : top + side, left : left + side]
    how = cv2.INTER_AREA if side > _SIDE else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(square, (_SIDE, _SIDE), interpolation=how), np.uint8)


def _lab(bgr: U8Array) -> F32Array:
    lab = cv2.cvtColor(bgr.astype(np.float32) / 255.0, cv2.COLOR_BGR2LAB)
    return np.asarray(lab, np.float32)


def _bgr(lab: F32Array) -> U8Array:
    bgr = cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_LAB2BGR)
    return np.asarray(np.clip(np.round(bgr * 255.0), 0, 255), np.uint8)


def _moved(lab: F32Array, own: F32Array, wanted: F32Array) -> F32Array:
    """Colours under the map that takes one distribution to the other at least cost."""
    here, there = np.cov(own.T) + np.eye(3) * 1e-2, np.cov(wanted.T) + np.eye(3) * 1e-2
    root = _power(here, 0.5)
    inverse = _power(here, -0.5)
    transport = _bounded(inverse @ _power(root @ there @ root, 0.5) @ inverse)
    moved = (lab - own.mean(axis=0)) @ transport.T.astype(np.float32) + wanted.mean(axis=0)
    return np.asarray(moved, np.float32)


def _bounded(transport: Matrix) -> Matrix:
    """The map without directions in which colours spread or shrink too far."""
    values, vectors = np.linalg.eigh((transport + transport.T) / 2)
    kept = np.clip(values, _LEAST_SPREAD, _MOST_SPREAD)
    return np.asarray((vectors * kept) @ vectors.T)


def _power(symmetric: Matrix, exponent: float) -> Matrix:
    values, vectors = np.linalg.eigh(symmetric)
    powers = np.maximum(values, 1e-9) ** exponent
    return np.asarray((vectors * powers) @ vectors.T)


def _touched(lab: F32Array, wanted: F32Array, share: np.float32) -> F32Array:
    """Lightness with every band of detail as strong as in the picture."""
    own_bands, base = _bands(lab[..., 0])
    picture_bands, _ = _bands(wanted[..., 0])
    lightness = base
    for own, picture in zip(reversed(own_bands), reversed(picture_bands), strict=True):
        ratio = float(picture.std()) / max(float(own.std()), 1e-3)
        factor = 1.0 + (min(max(ratio, _WEAKEST), _STRONGEST) - 1.0) * float(share)
        lightness = cv2.pyrUp(lightness, dstsize=own.shape[::-1]) + own * np.float32(factor)
    touched = lab.copy()
    touched[..., 0] = np.clip(lightness, 0.0, 100.0)
    return touched


def _bands(lightness: F32Array) -> tuple[list[F32Array], F32Array]:
    """Detail from fine to coarse, and what is left."""
    bands: list[F32Array] = []
    for _ in range(_BANDS):
        smaller = np.asarray(cv2.pyrDown(lightness), np.float32)
        bands.append(lightness - cv2.pyrUp(smaller, dstsize=lightness.shape[::-1]))
        lightness = smaller
    return bands, lightness
