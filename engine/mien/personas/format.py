"""The .persona file: a ZIP of a manifest, arrays and a preview, with nothing executable.

::

    NAME.persona
    |- manifest.json        version, name, consent, SHA-256 of the parts, signature
    |- arrays.safetensors   texture, coverage, shape, colours, descriptor, latents, tunings
    `- preview.jpg          a picture for galleries

A file is refused as a whole when anything about it is off; see ``docs/personas.md``.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save as pack_tensors

from mien.errors import OutputError, PersonaError
from mien.personas._archive import ArchiveError, pack_archive, unpack_archive
from mien.personas._tensors import TensorFormatError, parse_json, parse_tensors
from mien.personas.persona import Consent, Persona
from mien.personas.photos import check_preview
from mien.personas.signing import Signature, check_signature, sign_message
from mien.personas.validation import (
    FIXED_SHAPES,
    MAX_LATENTS,
    MAX_PREVIEW_BYTES,
    MAX_TUNINGS,
    check_persona,
)
from mien.types import F32Array

SUFFIX = ".persona"
FORMAT_NAME = "mien-persona"
FORMAT_VERSION = 1

MANIFEST = "manifest.json"
ARRAYS = "arrays.safetensors"
PREVIEW = "preview.jpg"
_PART_LIMITS = {MANIFEST: 32 * 1024, ARRAYS: 24 * 1024 * 1024, PREVIEW: MAX_PREVIEW_BYTES}
MAX_FILE_BYTES = 25 * 1024 * 1024

_Types = dict[str, type | tuple[type, ...]]
_MANIFEST_FIELDS: _Types = {
    "format": str,
    "version": int,
    "name": str,
    "created": str,
    "consent": dict,
    "parts": dict,
}
_LATENT_PREFIX, _TUNING_PREFIX = "latents.", "tunings."
_BYTE_TENSORS = frozenset({"texture", "coverage"})
_MAKE_ANEW = "get the file again from where it came, or create the persona anew from its photos"


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonaFile:
    """A persona and what its file says about itself.

    Attributes:
        persona: the persona.
        signature: whether somebody signed it, and with which key.
        size_bytes: size of the file.
    """

    persona: Persona
    signature: Signature
    size_bytes: int


def save_persona(
    persona: Persona,
    path: str | Path,
    *,
    overwrite: bool = False,
    private_key: bytes | None = None,
) -> None:
    """Write a persona to ``path`` in one step: the whole file, or nothing.

    The same persona always gives the same bytes.

    Args:
        persona: what to write.
        path: where to; the folder must exist.
        overwrite: replace a file that is already there.
        private_key: 32 raw bytes of an Ed25519 key that signs the manifest, or None.

    Raises:
        PersonaError: when the persona is not sound or the file is already there.
        OutputError: when the file cannot be written.
    """
    write_file(Path(path), pack_persona(persona, private_key=private_key), overwrite=overwrite)


def write_file(path: Path, data: bytes, *, overwrite: bool) -> None:
    """Write ``data`` beside ``path``, then move it there: the whole file, or nothing.

    Raises:
        PersonaError: when the file is already there and ``overwrite`` is not set.
        OutputError: when it cannot be written.
    """
    if path.exists() and not overwrite:
        raise PersonaError(
            f"{path} is already there", "choose another name, or say that it may be overwritten"
        )
    try:
        _write_atomically(path, data)
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}",
            "check that the folder exists, may be written to and has room",
        ) from error


def load_persona(path: str | Path) -> Persona:
    """The persona in a .persona file; see :func:`read_persona_file`."""
    return read_persona_file(path).persona


def read_persona_file(path: str | Path) -> PersonaFile:
    """The persona in a .persona file, with its signature checked.

    Raises:
        PersonaError: when the file is missing, not a persona, damaged or hostile.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise PersonaError(f"there is no persona file {path}", "check the path")
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise PersonaError(
            f"cannot read {path}: {error.strerror or error}", "check the path and its permissions"
        ) from error
    try:
        return unpack_persona(data)
    except PersonaError as error:
        raise PersonaError(f"{path.name}: {error.what}", error.hint) from error


def pack_persona(persona: Persona, *, private_key: bytes | None = None) -> bytes:
    """The bytes of a persona's file.

    Raises:
        PersonaError: when the persona is not sound.
    """
    check_persona(persona)
    check_preview(persona.preview_jpeg)
    tensors = {
        "texture": persona.texture,
        "coverage": persona.coverage,
        **{field: getattr(persona, field) for field in FIXED_SHAPES},
        **{_LATENT_PREFIX + key: value for key, value in persona.latents.items()},
        **{_TUNING_PREFIX + key: value for key, value in persona.tunings.items()},
    }
    arrays = pack_tensors({key: np.ascontiguousarray(value) for key, value in tensors.items()})
    parts = {ARRAYS: arrays, PREVIEW: persona.preview_jpeg}
    consent = persona.consent
    manifest: dict[str, object] = {
        "format": FORMAT_NAME,
        "version": FORMAT_VERSION,
        "name": persona.name,
        "created": persona.created,
        "consent": {
            "statement": consent.statement,
            "given_by": consent.given_by,
            "until": consent.until,
        },
        "parts": {key: sha256(value).hexdigest() for key, value in parts.items()},
    }
    if private_key is not None:
        public_key, signature = sign_message(_signed_bytes(manifest), private_key)
        manifest["signature"] = {
            "algorithm": "ed25519",
            "public_key": public_key.hex(),
            "signature": signature.hex(),
        }
    text = json.dumps(manifest, indent=2, ensure_ascii=False).encode("utf-8")
    if len(text) > _PART_LIMITS[MANIFEST]:
        raise PersonaError("the consent record is too long to store", "shorten its statement")
    return pack_archive({MANIFEST: text, **parts}, stored=frozenset({PREVIEW}))


def unpack_persona(data: bytes) -> PersonaFile:
    """The persona in the bytes of its file.

    Raises:
        PersonaError: when they are not a persona, damaged or hostile.
    """
    if len(data) > MAX_FILE_BYTES:
        raise PersonaError(
            f"it is larger than any persona ({MAX_FILE_BYTES >> 20} MB)", "check the path"
        )
    try:
        parts = unpack_archive(data, _PART_LIMITS)
        manifest = parse_json(parts[MANIFEST])
    except ArchiveError as error:
        raise PersonaError(f"this is not a sound .persona file: {error}", _MAKE_ANEW) from error
    except TensorFormatError as error:
        raise PersonaError(f"its manifest is damaged: {error}", _MAKE_ANEW) from error
    checked = _check_manifest(manifest)
    for part in (ARRAYS, PREVIEW):
        if checked["parts"][part] != sha256(parts[part]).hexdigest():
            raise PersonaError(f"its part {part!r} was changed: the hash differs", _MAKE_ANEW)
    signature = _check_manifest_signature(checked)
    consent = checked["consent"]
    persona = Persona(
        name=checked["name"],
        created=checked["created"],
        consent=Consent(
            statement=consent["statement"], given_by=consent["given_by"], until=consent["until"]
        ),
        preview_jpeg=parts[PREVIEW],
        **_parse_arrays(parts[ARRAYS]),
    )
    check_persona(persona)
    check_preview(persona.preview_jpeg)
    return PersonaFile(persona=persona, signature=signature, size_bytes=len(data))


def _parse_arrays(data: bytes) -> dict[str, Any]:
    """The array fields of a persona, named and typed but not yet checked for shape."""
    try:
        tensors = parse_tensors(data)
    except TensorFormatError as error:
        raise PersonaError(f"its arrays are damaged: {error}", _MAKE_ANEW) from error
    fields: dict[str, Any] = {}
    latents: dict[str, F32Array] = {}
    tunings: dict[str, F32Array] = {}
    for name, tensor in tensors.items():
        if name in _BYTE_TENSORS or name in FIXED_SHAPES:
            fields[name] = tensor
        elif name.startswith(_LATENT_PREFIX) and tensor.dtype == np.float32:
            latents[name.removeprefix(_LATENT_PREFIX)] = tensor.astype(np.float32, copy=False)
        elif name.startswith(_TUNING_PREFIX) and tensor.dtype == np.float32:
            tunings[name.removeprefix(_TUNING_PREFIX)] = tensor.astype(np.float32, copy=False)
        else:
            raise PersonaError(f"it holds the unknown array {name[:40]!r}", _MAKE_ANEW)
    missing = sorted((_BYTE_TENSORS | set(FIXED_SHAPES)) - set(fields))
    if missing or len(latents) > MAX_LATENTS or len(tunings) > MAX_TUNINGS:
        raise PersonaError(f"it lacks the array {missing[:1]}", _MAKE_ANEW)
    return {**fields, "latents": latents, "tunings": tunings}


def _check_manifest(manifest: object) -> dict[str, Any]:
    """The manifest, once every field has the right name and type."""
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT_NAME:
        raise PersonaError("its manifest is not that of a persona", _MAKE_ANEW)
    version = manifest.get("version")
    if version != FORMAT_VERSION or isinstance(version, bool):
        raise PersonaError(
            f"it has format version {str(version)[:20]}, this mien reads version {FORMAT_VERSION}",
            "update mien, or create the persona anew with this version",
        )
    _check_fields(manifest, _MANIFEST_FIELDS, optional={"signature": dict})
    _check_fields(
        manifest["consent"], {"statement": str, "given_by": str, "until": (str, type(None))}
    )
    _check_fields(manifest["parts"], {ARRAYS: str, PREVIEW: str})
    if "signature" in manifest:
        _check_fields(
            manifest["signature"], {"algorithm": str, "public_key": str, "signature": str}
        )
    return manifest


def _check_fields(value: dict[str, Any], required: _Types, optional: _Types | None = None) -> None:
    known = {**required, **(optional or {})}
    for field in required:
        if field not in value:
            raise PersonaError(f"its manifest lacks {field!r}", _MAKE_ANEW)
    for field, content in value.items():
        if field not in known:
            raise PersonaError(f"its manifest holds the unknown field {field[:40]!r}", _MAKE_ANEW)
        if not isinstance(content, known[field]):
            raise PersonaError(f"{field!r} in its manifest is of the wrong type", _MAKE_ANEW)


def _check_manifest_signature(manifest: dict[str, Any]) -> Signature:
    record = manifest.get("signature")
    if record is None:
        return Signature(state="unsigned")
    if record["algorithm"] != "ed25519":
        raise PersonaError("it is signed in a way that this mien does not know", "update mien")
    try:
        public_key = bytes.fromhex(record["public_key"])
        signature = bytes.fromhex(record["signature"])
    except ValueError as error:
        raise PersonaError("its signature is damaged", _MAKE_ANEW) from error
    unsigned = {key: value for key, value in manifest.items() if key != "signature"}
    try:
        result = check_signature(_signed_bytes(unsigned), public_key, signature)
    except UnicodeEncodeError as error:
        raise PersonaError("its manifest holds broken text", _MAKE_ANEW) from error
    if result is None:
        raise PersonaError("its signature is wrong: the file was changed", _MAKE_ANEW)
    return result


def _signed_bytes(manifest: dict[str, object]) -> bytes:
    """What is signed: the manifest without its signature, in one fixed spelling."""
    return json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8"
    )


def _write_atomically(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        with temporary.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
