"""What makes a persona sound: names, dates, consent and array shapes, checked in one place.

Both ways through a file use these checks, so nothing can be saved that would not load.
"""

from __future__ import annotations

import re
from datetime import date, datetime

import numpy as np
import numpy.typing as npt

from mien.errors import PersonaError
from mien.personas.persona import Consent, Persona

NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
NAME_RULE = "a name has 1 to 40 letters a to z, digits, '-' or '_', the first no '-' or '_'"
_WINDOWS_RESERVED = frozenset(
    {"con", "prn", "aux", "nul"}
    | {f"{port}{digit}" for port in ("com", "lpt") for digit in range(10)}
)

MAX_TEXT_CHARS = 2000
MIN_TEXTURE_PX = 16
MAX_TEXTURE_PX = 2048
MAX_PREVIEW_BYTES = 512 * 1024
MAX_LATENTS = 8
MAX_LATENT_SHAPE = (64, 1024)
MAX_TUNINGS = 4
MAX_TUNING_SIZE = 1 << 20
# A face is about 18 cm tall; a coordinate past this is a broken fit, not a face.
MAX_SHAPE_CM = 100.0
MAX_DESCRIPTOR = 1.0e4

FIXED_SHAPES: dict[str, tuple[int, ...]] = {
    "shape": (468, 3),
    "iris_bgr": (3,),
    "skin_bgr": (3,),
    "descriptor": (128,),
}
"""Float arrays of every persona, by field name."""


def check_name(name: str) -> None:
    """Pass a name that is safe as a file name on every system.

    Raises:
        PersonaError: for anything else.
    """
    if not NAME_PATTERN.fullmatch(name):
        shown = name if len(name) <= 60 else name[:57] + "..."
        raise PersonaError(f"{shown!r} cannot be the name of a persona", NAME_RULE)
    if name.lower() in _WINDOWS_RESERVED:
        raise PersonaError(
            f"{name!r} cannot be the name of a persona: Windows reserves it", "choose another name"
        )


def check_consent(consent: Consent) -> None:
    """Pass a consent record that says something.

    Raises:
        PersonaError: when the statement or the giver is blank or absurdly long, or
            when ``until`` is no ISO 8601 date.
    """
    for label, text in (("statement", consent.statement), ("giver", consent.given_by)):
        if not text.strip():
            raise PersonaError(
                f"the consent record has no {label}",
                "say who agreed to what, for example "
                '--consent "I am Kim Lee and agree to the use of my face in this show"',
            )
        if len(text) > MAX_TEXT_CHARS:
            raise PersonaError(
                f"the consent {label} has {len(text)} characters",
                f"keep it within {MAX_TEXT_CHARS}",
            )
    if consent.until is not None:
        parse_until(consent.until)


def parse_until(until: str) -> date:
    """The last day of a consent, from its ISO 8601 date."""
    try:
        return date.fromisoformat(until)
    except ValueError as error:
        raise PersonaError(
            f"{until[:40]!r} is not a date up to which consent can hold",
            "write it as YYYY-MM-DD, for example 2030-12-31",
        ) from error


def check_persona(persona: Persona) -> None:
    """Pass a persona whose every field can be relied on.

    Raises:
        PersonaError: naming the first field that is wrong.
    """
    check_name(persona.name)
    check_consent(persona.consent)
    try:
        datetime.fromisoformat(persona.created)
    except ValueError as error:
        raise PersonaError(
            f"the persona's creation time {persona.created[:40]!r} is not an ISO 8601 time",
            "create the persona anew from its photos",
        ) from error
    _check_texture(persona)
    for field, shape in FIXED_SHAPES.items():
        _check_floats(field, getattr(persona, field), shape)
    _check_range("shape", persona.shape, -MAX_SHAPE_CM, MAX_SHAPE_CM)
    _check_range("iris_bgr", persona.iris_bgr, 0.0, 255.0)
    _check_range("skin_bgr", persona.skin_bgr, 0.0, 255.0)
    _check_range("descriptor", persona.descriptor, -MAX_DESCRIPTOR, MAX_DESCRIPTOR)
    _check_latents(persona)
    _check_tunings(persona)
    if not 0 < len(persona.preview_jpeg) <= MAX_PREVIEW_BYTES:
        raise _broken(
            f"the preview has {len(persona.preview_jpeg)} bytes, "
            f"at most {MAX_PREVIEW_BYTES} are allowed"
        )


def _check_texture(persona: Persona) -> None:
    texture, coverage = persona.texture, persona.coverage
    if texture.dtype != np.uint8 or texture.ndim != 3 or texture.shape[2] != 3:
        raise _broken(f"the texture is {texture.shape} {texture.dtype}, not (T, T, 3) uint8")
    height, width = texture.shape[:2]
    if height != width or not MIN_TEXTURE_PX <= height <= MAX_TEXTURE_PX:
        raise _broken(
            f"the texture is {width}x{height}, not a square of "
            f"{MIN_TEXTURE_PX} to {MAX_TEXTURE_PX} pixels"
        )
    if coverage.dtype != np.uint8 or coverage.shape != (height, width):
        raise _broken(
            f"the coverage is {coverage.shape} {coverage.dtype}, not ({height}, {width}) uint8"
        )


def _check_latents(persona: Persona) -> None:
    if len(persona.latents) > MAX_LATENTS:
        raise _broken(f"there are {len(persona.latents)} latents, at most {MAX_LATENTS} fit")
    for generator, latent in persona.latents.items():
        check_name(generator)
        if latent.ndim != 2 or not all(
            1 <= size <= limit for size, limit in zip(latent.shape, MAX_LATENT_SHAPE, strict=True)
        ):
            raise _broken(f"the latent {generator!r} is {latent.shape}, not (num_ws, w_dim)")
        _check_floats(f"latent {generator!r}", latent, latent.shape)


def _check_tunings(persona: Persona) -> None:
    if len(persona.tunings) > MAX_TUNINGS:
        raise _broken(f"there are {len(persona.tunings)} tunings, at most {MAX_TUNINGS} fit")
    for generator, tuning in persona.tunings.items():
        check_name(generator)
        if tuning.ndim != 1 or not 1 <= len(tuning) <= MAX_TUNING_SIZE:
            raise _broken(f"the tuning {generator!r} is {tuning.shape}, not a list of numbers")
        _check_floats(f"tuning {generator!r}", tuning, tuning.shape)


def _check_floats(field: str, array: npt.NDArray[np.float32], shape: tuple[int, ...]) -> None:
    if array.dtype != np.float32 or array.shape != shape:
        raise _broken(f"{field} is {array.shape} {array.dtype}, not {shape} float32")
    if not np.isfinite(array).all():
        raise _broken(f"{field} holds values that are not finite")


def _check_range(field: str, array: npt.NDArray[np.float32], low: float, high: float) -> None:
    if array.size and (float(array.min()) < low or float(array.max()) > high):
        raise _broken(f"{field} holds values outside {low:g}..{high:g}")


def _broken(what: str) -> PersonaError:
    return PersonaError(f"the persona is broken: {what}", "create it anew from its photos")
