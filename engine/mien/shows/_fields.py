"""Reading the tables of a show file, and collecting what is wrong with them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from mien.shows._lines import Lines, Path
from mien.shows.show import Layers, Span
from mien.shows.tempo import TempoMap
from mien.shows.values import read_span

NAME = re.compile(r"[^\x00-\x1f\x7f]{1,60}")

_LAYERS = "write layers = { shape = [0.0, 0.6], skin = [0.4, 1.0] }"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        line: from 1.
        what: what is wrong.
        fix: what to write instead.
        fatal: the show cannot be played; else it can, but hardly as it was meant.
    """

    line: int
    what: str
    fix: str
    fatal: bool = True


class Fields:
    """Takes values out of tables; one that is unfit becomes a problem and its default."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self.tempo = TempoMap()
        self.problems: list[Problem] = []

    def say(self, path: Path, what: str, fix: str, *, fatal: bool = True) -> None:
        self.problems.append(Problem(self.lines.of(path), what, fix, fatal))

    def known(self, table: Mapping[str, Any], keys: tuple[str, ...], path: Path) -> None:
        for key in table:
            if key not in keys:
                where = f"[{'.'.join(str(part) for part in path)}]" if path else "a show"
                where = "a cue" if path[:1] == ("cue",) else where
                self.say((*path, key), f"{where} has no {key!r}", nearest(key, list(keys)))

    def table(self, data: dict[str, Any], key: str, path: Path) -> dict[str, Any]:
        value = data.get(key, {})
        if not isinstance(value, dict):
            self.say((*path, key), f"{key} is no table", f"write [{key}] on a line of its own")
            return {}
        return value

    def text(self, table: dict[str, Any], key: str, path: Path, default: str) -> str:
        value = table.get(key, default)
        if isinstance(value, str) and (value == default or NAME.fullmatch(value)):
            return value
        if key in ("audio", "recognise") and isinstance(value, str):
            return value
        self.say(
            (*path, key), f"{key} is no short text", f'write {key} = "..." (1 to 60 characters)'
        )
        return default

    def value(
        self, table: dict[str, Any], key: str, path: Path, read: Callable[[Any], T], default: T
    ) -> T:
        if key not in table:
            return default
        try:
            return read(table[key])
        except ValueError as error:
            self.say((*path, key), f"{key} = {table[key]!r} cannot be", str(error))
            return default

    def span(self, table: dict[str, Any], key: str, path: Path, default: Span) -> Span:
        return self.value(table, key, path, lambda value: read_span(value, self.tempo), default)

    def choice(
        self, table: dict[str, Any], key: str, path: Path, words: tuple[Any, ...], default: Any
    ) -> Any:
        value = table.get(key, default)
        if value in words:
            return value
        self.say((*path, key), f"no such {key}: {value!r}", nearest(str(value), list(words)))
        return default

    def integer(self, table: dict[str, Any], key: str, path: Path) -> int:
        value = table.get(key, 0)
        if is_int(value) and abs(value) <= 1000:
            return int(value)
        self.say((*path, key), f"no usable {key}: {value!r}", "write a whole number, like 1")
        return 0

    def unit(self, table: dict[str, Any], path: Path) -> float | None:
        value = table.get("likeness")
        if value is None:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
            return float(value)
        self.say((*path, "likeness"), f"no usable likeness: {value!r}", "write 0.0 to 1.0")
        return None

    def part(
        self, table: dict[str, Any], key: str, path: Path, default: float | None
    ) -> float | None:
        """Whose part of the face shows: 1 is the persona's, 0 the performer's."""
        words: tuple[Literal["persona", "performer"], ...] = ("persona", "performer")
        if key not in table:
            return default
        return 1.0 if self.choice(table, key, path, words, "persona") == "persona" else 0.0

    def layers(self, table: dict[str, Any], path: Path) -> Layers | None:
        """When shape and skin change, as ``{ shape = [0.0, 0.6], skin = [0.4, 1.0] }``."""
        if "layers" not in table:
            return None
        where = (*path, "layers")
        parts = table["layers"]
        if not isinstance(parts, dict) or not set(parts) <= {"shape", "skin"}:
            self.say(where, "no usable layers", _LAYERS)
            return None
        try:
            spans = {name: _span_of(value) for name, value in parts.items()}
        except ValueError:
            self.say(where, "no usable layers: each is [from, to] in 0..1, rising", _LAYERS)
            return None
        if table.get("transition", "morph") != "morph":
            self.say(where, "only a morph has layers", "leave layers out", fatal=False)
        return Layers(**spans)


def _span_of(value: object) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError
    start, end = number(value[0]), number(value[1])
    if not 0.0 <= start < end <= 1.0:
        raise ValueError
    return start, end


def nearest(word: str, words: list[str]) -> str:
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"choose from {', '.join(words[:16])}" if words else "there is none yet"


def is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no number")
    return float(value)
