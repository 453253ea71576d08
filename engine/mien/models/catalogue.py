"""The model files that ship with mien: what they are, where they come from, and their bytes.

``catalogue.toml`` beside this module holds name, file, licence, hash, origin and use of
each; nothing is loaded that is not listed there with the right hash.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

from mien.errors import ModelError

_FOLDER = Path(__file__).parent
_REINSTALL = "reinstall mien, or rebuild the file with tools/convert_models.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """One file of the catalogue.

    Attributes:
        name: what code calls it.
        file: file name inside this package.
        licence: SPDX identifier.
        sha256: hash of the file, lower-case hex.
        origin: the public package and file from which it was made.
        purpose: what mien uses it for.
    """

    name: str
    file: str
    licence: str
    sha256: str
    origin: str
    purpose: str


@cache
def catalogue() -> dict[str, ModelInfo]:
    """Every model that ships, by name, in the order of the file.

    Raises:
        ModelError: the catalogue itself is missing or broken.
    """
    path = _FOLDER / "catalogue.toml"
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))["model"]
        models = [ModelInfo(**entry) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"the model catalogue cannot be read: {error}", _REINSTALL) from error
    return {model.name: model for model in models}


def model_path(name: str) -> Path:
    """Where the file of the model ``name`` lies; it exists, its hash is not checked.

    Raises:
        ModelError: no such model is listed, or its file is missing.
    """
    path = _FOLDER / _info(name).file
    if not path.is_file():
        raise ModelError(f"the file of model '{name}' is missing: {path}", _REINSTALL)
    return path


def model_bytes(name: str) -> bytes:
    """The bytes of the model ``name``, checked against the catalogue.

    Raises:
        ModelError: the model is unknown, missing, unreadable or has the wrong hash.
    """
    path = model_path(name)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"model '{name}' cannot be read: {error}", _REINSTALL) from error
    if sha256(content).hexdigest() != _info(name).sha256:
        raise ModelError(f"model '{name}' is corrupt: wrong hash of {path}", _REINSTALL)
    return content


def verify() -> list[ModelInfo]:
    """Check the hash of every listed file and return the list.

    Raises:
        ModelError: at the first file that is missing or corrupt.
    """
    models = list(catalogue().values())
    for model in models:
        model_bytes(model.name)
    return models


def _info(name: str) -> ModelInfo:
    models = catalogue()
    if name not in models:
        raise ModelError(f"no model is called '{name}'", f"known models: {', '.join(models)}")
    return models[name]
