"""Records of arrays on disk: one safetensors file holds many of one kind.

A file is written in one move, so that a folder whose making was cut short holds whole files
only and the maker goes on where it stopped.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from mien.errors import MediaError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Record = TypeVar("Record", bound="DataclassInstance")


def write_records(path: Path, records: Sequence[DataclassInstance], form: str, what: str) -> None:
    """Writes records; the file appears under its name only once it is whole.

    Args:
        path: of the file.
        records: dataclasses of one kind, whose fields are arrays of the same shapes.
        form: name and version of the format, kept in the file.
        what: what one record is called, for the message.

    Raises:
        ValueError: there is no record.
    """
    if not records:
        raise ValueError(f"expected at least one {what}")
    arrays: dict[str, np.ndarray[Any, Any]] = {
        field.name: np.ascontiguousarray(np.stack([getattr(r, field.name) for r in records]))
        for field in fields(records[0])
    }
    part = path.with_suffix(".part")
    save_file(arrays, part, metadata={"format": form})
    os.replace(part, path)


def read_records(path: Path, kind: type[Record], form: str, hint: str) -> list[Record]:
    """The records of a file.

    Args:
        path: of the file.
        kind: the dataclass.
        form: what :func:`write_records` was given.
        hint: what to do when the file is of another form or cannot be read.

    Raises:
        MediaError: the file does not hold such records.
    """
    names = [field.name for field in fields(kind)]
    try:
        with safe_open(path, framework="numpy") as file:
            if (file.metadata() or {}).get("format") != form:
                raise MediaError(f"{path} does not hold {form}", hint)
            arrays = {name: file.get_tensor(name) for name in names}
    except (OSError, SafetensorError) as error:
        raise MediaError(f"{path} cannot be read: {error}", hint) from error
    return [
        kind(**{name: array[index] for name, array in arrays.items()})
        for index in range(len(arrays[names[0]]))
    ]
