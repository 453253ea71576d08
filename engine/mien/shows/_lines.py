"""Where the tables and keys of a TOML text stand, which the parser does not tell."""

from __future__ import annotations

import re
from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]

_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"""^\s*("(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)\s*[.=]""")
_PART = re.compile(r""""([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+)""")


class Lines:
    """Line numbers, from 1, of what ``tomllib`` found. Wants a text that it could read."""

    def __init__(self, text: str) -> None:
        self._at: dict[Path, int] = {(): 1}
        table: Path = ()
        counts: dict[Path, int] = {}
        inside = _Inside()
        for number, line in enumerate(text.splitlines(), 1):
            if inside.a_value:
                inside.read(line)
                continue
            header = _HEADER.match(line)
            if header is not None:
                table = self._table(header[1] == "[[", header[2], counts)
                self._at.setdefault(table, number)
                continue
            key = _KEY.match(line)
            if key is not None:
                self._at.setdefault((*table, key[1].strip("\"'")), number)
                inside.read(line)

    def of(self, path: Path) -> int:
        """The line of a key, or of the nearest table around it."""
        while path not in self._at:
            path = path[:-1]
        return self._at[path]

    def _table(self, is_array: bool, name: str, counts: dict[Path, int]) -> Path:
        parts: Path = tuple(a or b or c for a, b, c in _PART.findall(name))
        if is_array:
            counts[parts] = counts.get(parts, -1) + 1
            return (*parts, counts[parts])
        for length in range(len(parts), 0, -1):
            if parts[:length] in counts:
                return (*parts[:length], counts[parts[:length]], *parts[length:])
        return parts


class _Inside:
    """Whether the reader is inside a value of several lines."""

    def __init__(self) -> None:
        self._depth = 0
        self._quote = ""

    @property
    def a_value(self) -> bool:
        return bool(self._depth or self._quote)

    def read(self, line: str) -> None:
        place = 0
        while place < len(line):
            rest = line[place:]
            if self._quote:
                if self._quote[0] == '"' and rest[0] == "\\":
                    place += 2
                elif rest.startswith(self._quote):
                    place += len(self._quote)
                    self._quote = ""
                else:
                    place += 1
                continue
            if rest[0] == "#":
                return
            opened = next((q for q in ('"""', "'''", '"', "'") if rest.startswith(q)), "")
            if opened:
                self._quote = opened
                place += len(opened)
                continue
            self._depth += (rest[0] in "[{") - (rest[0] in "]}")
            place += 1
        if len(self._quote) == 1:
            self._quote = ""
