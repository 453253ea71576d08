"""Who is worn, layer by layer: latents, how much of each, and what lies between two.

A generator's first layers say where things are, its last what they are made of. So a morph
moves the first layers first: the shape is on its way before the skin is, and neither halfway
is a double exposure, for there is one picture only (style mixing after Karras et al. 2019,
*A Style-Based Generator Architecture for Generative Adversarial Networks*, section 3.1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mien.errors import PersonaError
from mien.live_view import LATENT_SIZE
from mien.personas.persona import Persona
from mien.types import F32Array

# Part of a morph's time that each layer takes (chosen by eye): the first layers begin at
# once, the last end with it.
_LAYER_TIME = 0.7

# The encoder runs once for each latent: of many, as after a storm of cues, the heaviest stay.
_MOST_SOURCES = 6
_LIGHTEST = 1.0 / 512.0
_MOST_GENERATORS = 2

# From this part of the layers on, a picture's look is taken from another persona.
FINE_FROM = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Wearing:
    """A mixture of personas; a single one is the simplest.

    Attributes:
        latents: (K, 256) float32.
        shares: (L, K) float32, of each latent in each layer; every row adds up to 1.
        opacity: 0..1, how much of the performer is covered.
        generators: (name, share) of each that draws; "" is the one that ships. Between a
            persona with a generator of its own and another, both draw the same mixture, and
            the two pictures are mixed. Shares add up to 1.
    """

    latents: F32Array
    shares: F32Array
    opacity: float = 1.0
    generators: tuple[tuple[str, float], ...] = (("", 1.0),)


def wear(rows: F32Array, layers: int, generator: str = "") -> Wearing:
    """One persona, of one latent for all layers or one for each.

    Args:
        rows: (1, 256) or (layers, 256) float32.
        layers: of the generator.
        generator: name of the one that draws it.

    Raises:
        ValueError: another number of rows.
    """
    if rows.shape not in ((1, LATENT_SIZE), (layers, LATENT_SIZE)):
        raise ValueError(f"expected 1 or {layers} latents, got {rows.shape}")
    latents, which = np.unique(rows, axis=0, return_inverse=True)
    shares = np.eye(len(latents), dtype=np.float32)[np.broadcast_to(which.ravel(), (layers,))]
    return Wearing(
        latents=np.ascontiguousarray(latents, np.float32),
        shares=np.ascontiguousarray(shares),
        generators=((generator, 1.0),),
    )


def layer_amounts(amount: float, layers: int, skin: float | None = None) -> F32Array:
    """(layers,) float32: how far each layer is on its way in a morph.

    Args:
        amount: of the whole, or where ``skin`` is given of the coarsest layer.
        layers: of the generator, coarse to fine.
        skin: of the finest layer; those between lie between.
    """
    if skin is not None:
        return np.linspace(amount, skin, layers, dtype=np.float32)
    starts = np.linspace(0.0, 1.0 - _LAYER_TIME, layers, dtype=np.float32)
    return np.clip((np.float32(amount) - starts) / np.float32(_LAYER_TIME), 0.0, 1.0)


def morph(
    base: Wearing | None, top: Wearing | None, amount: float, skin: float | None = None
) -> Wearing:
    """What lies between two; None is the performer's own face, not both.

    Args:
        base, top: what is left, and what comes.
        amount: 0..1.
        skin: 0..1, amount of the fine layers, where it is another than the coarse ones'.

    Raises:
        ValueError: both are None.
    """
    amount = min(max(amount, 0.0), 1.0)
    cover = amount if skin is None else min(max(skin, 0.0), 1.0)
    if base is None or top is None:
        shown, share = (top, cover) if base is None else (base, 1.0 - cover)
        if shown is None:
            raise ValueError("a blend of nobody with nobody; expected at least one persona")
        return replace(shown, opacity=shown.opacity * share)
    step = layer_amounts(amount, len(base.shares), None if skin is None else cover)[:, None]
    mixed = Wearing(
        latents=np.concatenate([base.latents, top.latents]),
        shares=np.concatenate([base.shares * (1.0 - step), top.shares * step], axis=1),
        opacity=base.opacity + (top.opacity - base.opacity) * cover,
        generators=_between(base.generators, top.generators, float(step.mean())),
    )
    return _lightened(mixed)


def toward(wearing: Wearing, mean: F32Array, likeness: float) -> Wearing:
    """The same with less of who it is: on the way to the mean of all.

    Args:
        wearing: who.
        mean: (256,) float32, the latent of nobody.
        likeness: 0..1, 1 changes nothing.
    """
    if likeness >= 1.0:
        return wearing
    rest = np.full((len(wearing.shares), 1), 1.0 - likeness, np.float32)
    return _lightened(
        replace(
            wearing,
            latents=np.concatenate([wearing.latents, mean[None]]),
            shares=np.concatenate([wearing.shares * np.float32(likeness), rest], axis=1),
        )
    )


def _between(
    base: tuple[tuple[str, float], ...], top: tuple[tuple[str, float], ...], amount: float
) -> tuple[tuple[str, float], ...]:
    """Shares of generators on the way from one mixture of them to another."""
    shares: dict[str, float] = {}
    for mixture, part in ((base, 1.0 - amount), (top, amount)):
        for name, share in mixture:
            shares[name] = shares.get(name, 0.0) + share * part
    # Each draws a whole picture: of many, as after a storm of cues, the heaviest two stay.
    heaviest = sorted(shares.items(), key=lambda item: -item[1])[:_MOST_GENERATORS]
    kept = [(name, share) for name, share in heaviest if share > _LIGHTEST]
    whole = sum(share for _, share in kept)
    return tuple((name, share / whole) for name, share in kept)


def _lightened(wearing: Wearing) -> Wearing:
    """Without latents that hardly count, and with equal ones as one."""
    latents, which = np.unique(wearing.latents, axis=0, return_inverse=True)
    same = np.eye(len(latents), dtype=np.float32)[which.ravel()]
    shares = wearing.shares @ same
    weight = shares.max(axis=0)
    kept = np.sort(np.argsort(-weight, kind="stable")[:_MOST_SOURCES])
    kept = kept[weight[kept] > _LIGHTEST]
    shares = shares[:, kept]
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1e-6)
    return replace(wearing, latents=latents[kept], shares=np.ascontiguousarray(shares))


def rows_of(persona: Persona, key: str, cast: Mapping[str, F32Array]) -> F32Array:
    """(1, 256) or (L, 256) float32: the persona's latents for a pair of networks.

    Args:
        persona: who.
        key: names the networks.
        cast: latents that come with the networks, by name of the persona.

    Raises:
        PersonaError: there is none, or it was made for something else.
    """
    own = persona.latents.get(key)
    if own is not None:
        if own.ndim != 2 or own.shape[1] != LATENT_SIZE:
            raise PersonaError(
                f"the latent of {persona.name} has the shape {own.shape}, not (L, {LATENT_SIZE})",
                f"make it anew: mien persona latent {persona.name}",
            )
        return own
    if persona.name in cast and persona.consent.given_by == "fictional":
        return cast[persona.name][None]
    stale = any(name.startswith("live-") for name in persona.latents)
    raise PersonaError(
        f"{persona.name} has no latent for the StyleGAN3 generator"
        + (" of this version of mien" if stale else ""),
        f"make one: mien persona latent {persona.name}",
    )


def with_fine(coarse: F32Array, fine: F32Array, layers: int, start: float = FINE_FROM) -> F32Array:
    """(layers, 256) float32: style mixing, the shape of one and the skin of another.

    Args:
        coarse, fine: latents of one row or of one a layer.
        layers: of the generator.
        start: 0..1, from which part of the layers on the second is taken.
    """
    rows = np.array(np.broadcast_to(coarse, (layers, LATENT_SIZE)), np.float32)
    first = min(max(round(start * layers), 0), layers)
    rows[first:] = np.broadcast_to(fine, (layers, LATENT_SIZE))[first:]
    return rows


def mean_latent(latents: Sequence[F32Array]) -> F32Array:
    """(256,) float32: nobody in particular."""
    return np.asarray(np.mean(latents, axis=0), np.float32)
