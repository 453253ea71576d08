"""What a persona is once it is in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from mien.types import F32Array, U8Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """Who agreed to what.

    Attributes:
        statement: the words of the consent, as given.
        given_by: name of the person who consents ("fictional" for the cast).
        until: ISO 8601 date of the last day it holds, or None for no limit.
    """

    statement: str
    given_by: str
    until: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Persona:
    """An identity to wear.

    Attributes:
        name: short name, unique in its library.
        created: ISO 8601 date and time.
        consent: the consent record; there is no persona without one.
        texture: (T, T, 3) uint8 BGR, de-lit skin in the UV space of
            :mod:`mien.face_mesh`, every texel filled.
        coverage: (T, T) uint8; 255 where a photo showed the skin, 0 where it was
            mirrored or inpainted.
        shape: (468, 3) float32, neutral face in canonical centimetres and axes.
        iris_bgr: (3,) float32, 0..255, mean colour of the irises.
        skin_bgr: (3,) float32, 0..255, mean colour of the texture's skin.
        descriptor: (128,) float32, identity descriptor, mean over the photos.
        latents: latent codes by generator name, (num_ws, w_dim) float32 each.
        preview_jpeg: a JPEG picture, 256 px wide, for galleries.
        tunings: what the persona changes about a generator, by generator name, (N,) float32
            each; see :mod:`mien.networks.live_tuning`.
    """

    name: str
    created: str
    consent: Consent
    texture: U8Array
    coverage: U8Array
    shape: F32Array
    iris_bgr: F32Array
    skin_bgr: F32Array
    descriptor: F32Array
    latents: dict[str, F32Array]
    preview_jpeg: bytes
    tunings: dict[str, F32Array] = field(default_factory=dict)
