"""A performer's set-up in a TOML file: every option of a command, by its long name."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any

import typer

from mien.errors import InputError, UsageError

_NOT_SETTINGS = {"config", "help"}


def load_set_up(context: typer.Context, path: Path | None) -> Path | None:
    """Makes the values of a TOML file the defaults of the running command; flags still win.

    A callback for an eager ``--config`` option.

    Raises:
        InputError: the file is missing or not TOML.
        UsageError: it sets something that the command does not know.
    """
    if path is None:
        return None
    known = {
        parameter.name: parameter
        for parameter in context.command.params
        if parameter.name and parameter.name not in _NOT_SETTINGS
    }
    defaults: dict[str, Any] = {}
    for key, value in _read(path).items():
        name = key.replace("-", "_")
        if name not in known:
            spelled = sorted(name.replace("_", "-") for name in known)
            raise UsageError(f"{path}: there is no option {key!r}", _suggest(key, spelled))
        parameter = known[name]
        if getattr(parameter, "multiple", False):
            defaults[name] = _texts(path, key, value)
            continue
        is_switch = getattr(parameter, "is_flag", False)
        if isinstance(value, dict | list) or isinstance(value, bool) != is_switch:
            wanted = "true or false" if is_switch else "a text or a number"
            raise UsageError(f"{path}: {key} must be {wanted}, got {value!r}", "correct the file")
        defaults[name] = value if is_switch else str(value)
    context.default_map = {**(context.default_map or {}), **defaults}
    return path


def _texts(path: Path, key: str, value: object) -> list[str]:
    values: list[object] = value if isinstance(value, list) else [value]
    texts = [one for one in values if isinstance(one, str)]
    if len(texts) < len(values):
        raise UsageError(
            f"{path}: {key} must be a text or a number, or a list of texts, got {value!r}",
            "correct the file",
        )
    return texts


def _suggest(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key.replace("_", "-"), known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"no such file: {path}", "check the path of --config") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}", "check it") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} is not TOML: {error}", "see docs/cli.md for an example"
        ) from error
