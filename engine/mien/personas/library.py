"""Where personas are kept: the user's library, and the cast that ships with mien."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path
from typing import Literal

import platformdirs

from mien.errors import OutputError, PersonaError
from mien.personas.format import (
    SUFFIX,
    PersonaFile,
    read_persona_file,
    save_persona,
    write_file,
)
from mien.personas.persona import Persona
from mien.personas.photos import is_photo_path
from mien.personas.validation import check_name, parse_until

logger = logging.getLogger(__name__)

Origin = Literal["library", "cast", "file", "portrait"]
PortraitReader = Callable[[Path], Persona]
"""Makes an ad-hoc persona of a portrait."""

_CAST_PACKAGE = "mien.personas.cast"
_SUGGESTIONS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One persona in a listing.

    Attributes:
        name: what to call it.
        origin: ``library`` or ``cast``.
        path: where its file is.
        problem: why it cannot be used, or "".
        file: its content, or None where ``problem`` says why not.
    """

    name: str
    origin: Origin
    path: Path
    problem: str
    file: PersonaFile | None


def default_root() -> Path:
    """The folder of the user's library on this system."""
    return Path(platformdirs.user_data_dir("mien", appauthor=False)) / "personas"


def cast_names() -> list[str]:
    """Names of the cast, sorted."""
    folder = files("mien.personas").joinpath("cast")
    if not folder.is_dir():
        return []
    return sorted(
        item.name.removesuffix(SUFFIX) for item in folder.iterdir() if item.name.endswith(SUFFIX)
    )


class Library:
    """The personas at hand: a folder of the user's own, and the cast.

    Holds no open file and no cache; any thread may use it.

    Args:
        root: folder of .persona files; made when first written to. None takes
            :func:`default_root`.
        today: tells the date that consents are checked against.
    """

    def __init__(
        self, root: str | Path | None = None, *, today: Callable[[], date] | None = None
    ) -> None:
        self.root = Path(root) if root is not None else default_root()
        self._today = today or (lambda: datetime.now(UTC).astimezone().date())

    def resolve(
        self, name_or_path: str | Path, *, read_portrait: PortraitReader | None = None
    ) -> Persona:
        """The persona that the user means.

        Tried in this order: path of a .persona file, path of a portrait, name in the
        library, name in the cast.

        Args:
            name_or_path: what the user typed.
            read_portrait: makes a persona of a portrait; without it portraits are refused.

        Raises:
            PersonaError: when there is no such persona, its file is damaged, or its
                consent has run out.
            PhotoError: when a portrait cannot be used.
        """
        text = str(name_or_path).strip()
        if not text:
            raise PersonaError("no persona was named", self._list_hint())
        path = Path(text)
        if path.suffix.lower() == SUFFIX:
            return self._usable(read_persona_file(path).persona)
        if is_photo_path(path) or (_looks_like_path(text) and _is_file(path)):
            if read_portrait is None:
                raise PersonaError(
                    f"{path.name} is a portrait, and only personas are taken here",
                    "make a persona of it first: mien persona create NAME PHOTO --consent TEXT",
                )
            return read_portrait(path)
        return self._usable(self.find(text).persona)

    def find(self, name: str) -> PersonaFile:
        """The file of a persona in the library or the cast, whether or not its consent holds.

        Raises:
            PersonaError: when there is none of that name or its file is damaged.
        """
        own = self._find_own(name)
        if own is not None:
            return read_persona_file(own)
        cast = {known.lower(): known for known in cast_names()}
        if name.lower() in cast:
            return _read_cast(cast[name.lower()])
        raise self._unknown(name)

    def list(self) -> list[Entry]:
        """All personas, the library's first, each list sorted by name.

        Damaged files are listed with what is wrong; nothing is raised for them.
        """
        own = [(path.stem, "library", path) for path in self._own_files()]
        entries: list[Entry] = []
        for name, _, path in own:
            entries.append(self._entry(name, "library", path, partial(read_persona_file, path)))
        taken = {name.lower() for name, _, _ in own}
        for name in cast_names():
            if name.lower() not in taken:
                path = Path(str(files("mien.personas").joinpath("cast", name + SUFFIX)))
                entries.append(self._entry(name, "cast", path, partial(_read_cast, name)))
        return entries

    def check_new(self, name: str) -> None:
        """A persona of this name may be added; to be asked before one is made with much work.

        Raises:
            PersonaError: when it is no name, or the library has one of it.
        """
        check_name(name)
        taken = self._find_own(name)
        if taken is not None:
            raise PersonaError(
                f"there is already a persona {taken.stem!r} in the library",
                "choose another name, or remove it first: mien persona remove " + taken.stem,
            )

    def add(self, persona: Persona, *, overwrite: bool = False) -> Path:
        """Keep a persona in the library; tells where.

        Raises:
            PersonaError: when it is not sound, its consent ran out or the name is taken.
            OutputError: when the folder cannot be written to.
        """
        if not overwrite:
            self.check_new(persona.name)
        check_name(persona.name)
        self._usable(persona)
        taken = self._find_own(persona.name)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot make the folder {self.root}: {error.strerror or error}",
                "check its permissions, or choose another with MIEN_HOME",
            ) from error
        path = taken or self.root / (persona.name + SUFFIX)
        save_persona(persona, path, overwrite=overwrite)
        logger.info("persona %s kept in %s", persona.name, path)
        return path

    def add_file(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Copy a .persona file into the library, checked and under its own name.

        The bytes are kept, so a signature stays valid.

        Raises:
            PersonaError: when the file is not sound or the name is taken.
            OutputError: when the folder cannot be written to.
        """
        content = read_persona_file(path)
        target = self.add(content.persona, overwrite=overwrite)
        if content.signature.state != "unsigned":
            write_file(target, Path(path).read_bytes(), overwrite=True)
        return target

    def remove(self, name: str) -> Path:
        """Delete a persona from the library; tells which file is gone.

        Raises:
            PersonaError: when there is none of that name, or it belongs to the cast.
            OutputError: when the file cannot be deleted.
        """
        path = self._find_own(name)
        if path is None:
            if name.lower() in {known.lower() for known in cast_names()}:
                raise PersonaError(
                    f"{name!r} belongs to the cast, which ships with mien and stays",
                    "only personas of your own library can be removed",
                )
            raise self._unknown(name)
        try:
            path.unlink()
        except OSError as error:
            raise OutputError(
                f"cannot delete {path}: {error.strerror or error}", "check its permissions"
            ) from error
        return path

    def names(self) -> Sequence[str]:
        """Every name that :meth:`resolve` knows, sorted."""
        return sorted({path.stem for path in self._own_files()} | set(cast_names()))

    def _own_files(self) -> Sequence[Path]:
        try:
            found = [p for p in self.root.iterdir() if p.suffix == SUFFIX and p.is_file()]
        except OSError:
            return []
        return sorted(found, key=lambda path: path.stem.lower())

    def _find_own(self, name: str) -> Path | None:
        """The library's file of that name; case does not count, as on Windows and macOS."""
        return next((p for p in self._own_files() if p.stem.lower() == name.lower()), None)

    def _entry(
        self, name: str, origin: Origin, path: Path, read: Callable[[], PersonaFile]
    ) -> Entry:
        try:
            content = read()
            self._usable(content.persona)
        except PersonaError as error:
            return Entry(name=name, origin=origin, path=path, problem=error.what, file=None)
        return Entry(name=name, origin=origin, path=path, problem="", file=content)

    def _usable(self, persona: Persona) -> Persona:
        until = persona.consent.until
        if until is not None and self._today() > parse_until(until):
            raise PersonaError(
                f"the consent for {persona.name!r} ran out on {until}",
                f"ask {persona.consent.given_by} again and create the persona anew",
            )
        return persona

    def _unknown(self, name: str) -> PersonaError:
        close = difflib.get_close_matches(
            name.lower(), [known.lower() for known in self.names()], n=_SUGGESTIONS, cutoff=0.5
        )
        if close:
            return PersonaError(
                f"there is no persona {name[:60]!r}", "did you mean " + " or ".join(close) + "?"
            )
        return PersonaError(f"there is no persona {name[:60]!r}", self._list_hint())

    def _list_hint(self) -> str:
        return "these are known: " + ", ".join(self.names()) if self.names() else "none is known"


def _read_cast(name: str) -> PersonaFile:
    with as_file(files("mien.personas").joinpath("cast", name + SUFFIX)) as path:
        return read_persona_file(path)


def _looks_like_path(text: str) -> bool:
    return any(mark in text for mark in ("/", "\\", "."))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False
