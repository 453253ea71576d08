"""A generator of one persona's own: what its training changed, folded into a file to run.

A persona carries the change alone (:mod:`mien.networks.live_tuning`). The file is made of it
and of the weights that ship, once, and kept in the cache; runners take it as any other
generator, so that a GPU has an engine of it like of the one that ships. It shows whom
it was trained on: :func:`forget_tuned` removes it together with the persona.
"""

from __future__ import annotations

import contextlib
import logging
from hashlib import sha256
from pathlib import Path

import numpy as np

from mien.errors import MienError, OutputError, PersonaError
from mien.inference import cache_folder
from mien.networks.live_onnx import export_generator
from mien.networks.live_tuning import tuned_weights
from mien.networks.live_weights import read_live_weights
from mien.personas.persona import Persona
from mien.swappers.stylegan3.networks import LiveFiles
from mien.types import F32Array

logger = logging.getLogger(__name__)


def tuned_folder() -> Path:
    """Where generators of personas are kept."""
    return cache_folder() / "personas"


def tuned_path(key: str, tuning: F32Array, folder: Path | None = None) -> Path:
    """Where the generator with that change lies, or would.

    Args:
        key: of the networks, see :meth:`LiveFiles.key`.
        tuning: the change.
        folder: :func:`tuned_folder` by default.
    """
    digest = sha256(key.encode() + np.ascontiguousarray(tuning, "<f4").tobytes())
    return (folder or tuned_folder()) / f"{digest.hexdigest()[:24]}.onnx"


def tuned_generator(
    live: LiveFiles, persona: Persona, tuning: F32Array, folder: Path | None = None
) -> Path:
    """The generator's file; made if it is not there.

    Args:
        live: the networks that were changed.
        persona: whose change it is, for messages.
        tuning: the change.
        folder: :func:`tuned_folder` by default.

    Raises:
        PersonaError: the change is for another generator.
        MissingError: the package onnx, which makes the file, is not installed.
        OutputError: the file cannot be written.
    """
    path = tuned_path(live.key(), tuning, folder)
    if path.is_file():
        return path
    weights = read_live_weights(live.weights)
    try:
        changed = tuned_weights(weights, tuning)
    except MienError as error:
        raise PersonaError(
            f"what {persona.name} changes does not fit the generator: {error.what}", error.hint
        ) from error
    logger.info("folding what %s changes into a generator", persona.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {path.parent}: {error}", "check its permissions") from error
    export_generator(changed, path)
    return path


def forget_tuned(persona: Persona, folder: Path | None = None) -> None:
    """Removes the files that :func:`tuned_generator` made of a persona."""
    for key, tuning in persona.tunings.items():
        with contextlib.suppress(FileNotFoundError):
            tuned_path(key, tuning, folder).unlink()
