"""Reads a show file and says, by line, what is wrong with it and how to mend it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path as FilePath
from typing import Any, get_args

from mien.errors import MienError, ShowError
from mien.look import EVERYONE, Side
from mien.shows._between import check_chains, check_names
from mien.shows._connections import check_sound, read_ports, read_sound
from mien.shows._fields import NAME, Fields, Problem, is_int, nearest, number
from mien.shows._lines import Lines, Path
from mien.shows.curves import CURVE_NAMES, Bezier, Curve, Named
from mien.shows.show import (
    BARE,
    SLATE,
    Cue,
    Drawing,
    Follow,
    Performer,
    Show,
    Span,
    TransitionKind,
    Trigger,
    TriggerKind,
)
from mien.shows.tempo import TempoMap
from mien.shows.timecode import Timecode, read_timecode
from mien.shows.values import read_span, read_time, read_trigger

__all__ = ["FORMAT", "Problem", "key_line", "load_show", "parse_show", "read_show"]

FORMAT = 1
MOST_CUES = 2000
LARGEST_BYTES = 2**20

_TOP = ("format", "show", "clock", "sound", "ports", "personas", "performers", "cue")
_SHOW = ("name", "start", "likeness", "eyes", "mouth", "audio")
_CLOCK = ("bpm", "tempo", "beats_per_bar", "offset", "follow", "zero")
_PERFORMER = ("recognise", "wears")
_PERSONA = ("persona", "swapper", "fine")
_TRIGGERS: tuple[TriggerKind, ...] = get_args(TriggerKind)
_CUE = (
    *("name", "to", "at", "after", "delay", *_TRIGGERS, "transition", "duration", "curve"),
    *("side", "layers", "likeness", "eyes", "mouth", "performer", "priority"),
)


def load_show(path: FilePath) -> Show:
    """The show in a file.

    Raises:
        ShowError: it cannot be played; names the first problem and counts the others.
    """
    show, problems = read_show(path)
    fatal = [problem for problem in problems if problem.fatal]
    if show is None or fatal:
        first = fatal[0]
        more = f" (and {len(fatal) - 1} more; see mien show check)" if len(fatal) > 1 else ""
        raise ShowError(f"{path.name}, line {first.line}: {first.what}{more}", first.fix)
    return show


def read_show(
    path: FilePath, resolve: Callable[[str], object] | None = None
) -> tuple[Show | None, list[Problem]]:
    """The show in a file, where it can be played, and everything that is wrong with it.

    Args:
        path: a TOML file.
        resolve: raises a MienError for a persona that does not exist; None skips that.

    Raises:
        ShowError: the file cannot be read at all.
    """
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise ShowError(f"{path.name} is larger than a show can be", "name a show file (.toml)")
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ShowError(f"{path.name} is no text", "name a show file (.toml) in UTF-8") from error
    except OSError as error:
        raise ShowError(
            f"{path} cannot be read: {error.strerror or error}", "check the path"
        ) from error
    return parse_show(text, path.parent, resolve)


def parse_show(
    text: str, folder: FilePath | None = None, resolve: Callable[[str], object] | None = None
) -> tuple[Show | None, list[Problem]]:
    """As :func:`read_show`, from a text; ``folder`` is where its paths start."""
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        return None, [_syntax_problem(error)]
    reader = _Reader(data, Lines(text), folder, resolve)
    show = reader.read()
    problems = sorted(reader.problems)
    fatal = any(problem.fatal for problem in problems)
    return (None if fatal else show), problems


def key_line(text: str, path: Path) -> int:
    """The line of a key in a show's text, or of the nearest table around it."""
    return Lines(text).of(path)


def _syntax_problem(error: Exception) -> Problem:
    match = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
    what = re.sub(r"\s*\(at .*\)$", "", str(error)) or "nested too deeply"
    return Problem(int(match[1]) if match else 1, f"no valid TOML: {what}", "see docs/shows.md")


class _Reader(Fields):
    """Turns parsed TOML into a show and collects problems on the way."""

    def __init__(
        self,
        data: dict[str, Any],
        lines: Lines,
        folder: FilePath | None,
        resolve: Callable[[str], object] | None,
    ) -> None:
        super().__init__(lines)
        self._data = data
        self._folder = folder or FilePath()
        self._resolve = resolve
        self._personas: dict[str, str] = {}
        self._direct: dict[str, str] = {}
        self._drawings: dict[str, Drawing] = {}
        self._performers: dict[str, Performer] = {}

    def read(self) -> Show:
        self.known(self._data, _TOP, ())
        if self._data.get("format", FORMAT) != FORMAT:
            self.say(("format",), "an unknown format of show", f"write format = {FORMAT}")
        head = self.table(self._data, "show", ())
        self.known(head, _SHOW, ("show",))
        clock = self.table(self._data, "clock", ())
        self.known(clock, _CLOCK, ("clock",))
        self.tempo = self._read_tempo(clock)
        self._read_personas()
        start = self._target(head.get("start"), ("show", "start"), slate=False)
        self._read_performers()
        cues = tuple(self._read_cues())
        check_names(self, cues)
        check_chains(self, cues)
        show = Show(
            name=self.text(head, "name", ("show",), "untitled"),
            start=start,
            personas=self._personas or self._direct,
            drawings=self._drawings,
            performers=self._performers,
            cues=cues,
            tempo=self.tempo,
            follow=self.choice(clock, "follow", ("clock",), get_args(Follow), "own"),
            zero=self.value(
                clock, "zero", ("clock",), lambda label: read_timecode(str(label)), None
            ),
            likeness=self.unit(head, ("show",)) or (0.0 if head.get("likeness") == 0 else 1.0),
            iris=self.part(head, "eyes", ("show",), 1.0) or 0.0,
            lips=self.part(head, "mouth", ("show",), 1.0) or 0.0,
            audio=self._audio(head),
            sound=read_sound(self, self.table(self._data, "sound", ())),
            ports=read_ports(self, self.table(self._data, "ports", ())),
        )
        check_sound(self, show)
        return show

    # The pieces.

    def _read_tempo(self, clock: dict[str, Any]) -> TempoMap:
        per_bar = clock.get("beats_per_bar", 4)
        if not is_int(per_bar) or not 1 <= per_bar <= 32:
            self.say(("clock", "beats_per_bar"), "no usable bar", "write 1 to 32 beats, like 4")
            per_bar = 4
        offset = self.value(
            clock, "offset", ("clock",), lambda value: read_span(value, TempoMap()), Span(0.0)
        )
        if offset.unit != "s":
            self.say(("clock", "offset"), "the offset is a time in seconds", 'like "0.35s"')
        changes: Any = clock.get("tempo", [[1, clock.get("bpm", 120)]])
        key = "tempo" if "tempo" in clock else "bpm"
        if "tempo" in clock and "bpm" in clock:
            self.say(("clock", "bpm"), "both bpm and tempo are given", "keep one of them")
        try:
            pairs = [(float(number(beat)) - 1.0, float(number(bpm))) for beat, bpm in changes]
            return TempoMap(pairs, beats_per_bar=per_bar, offset_s=offset.amount)
        except (TypeError, ValueError) as error:
            self.say(
                ("clock", key),
                f"no usable tempo: {error}",
                "write bpm = 92, or tempo = [[1, 92], [33, 96]] as [beat, bpm]",
            )
            return TempoMap(beats_per_bar=per_bar)

    def _read_personas(self) -> None:
        for name, value in self.table(self._data, "personas", ()).items():
            path: Path = ("personas", name)
            who = value.get("persona", name) if isinstance(value, dict) else value
            if name in (BARE, SLATE):
                self.say(path, f"{name!r} is a word of its own", "give the persona another name")
            elif not isinstance(who, str) or not who:
                self.say(path, "no persona", f'write {name} = "name or path of a persona"')
            else:
                self._personas[name] = self._beside(who)
                self._try_persona(self._personas[name], path)
                if isinstance(value, dict):
                    self._drawings[name] = self._read_drawing(value, path)

    def _read_drawing(self, table: dict[str, Any], path: Path) -> Drawing:
        self.known(table, _PERSONA, path)
        fine = self.text(table, "fine", path, "")
        if fine:
            self._try_persona(self._beside(fine), (*path, "fine"))
        swapper = self.text(table, "swapper", path, "")
        return Drawing(swapper=swapper, fine=self._beside(fine) if fine else None)

    def _beside(self, who: str) -> str:
        """A path that starts at the show's folder, or the name as it is."""
        beside = self._folder / FilePath(who).expanduser()
        return str(beside) if beside.suffix and beside.is_file() else who

    def _try_persona(self, which: str, path: Path) -> None:
        if self._resolve is None:
            return
        try:
            self._resolve(which)
        except MienError as error:
            self.say(path, error.what, error.hint or "see mien persona list")

    def _read_performers(self) -> None:
        for role, table in self.table(self._data, "performers", ()).items():
            path: Path = ("performers", role)
            if not isinstance(table, dict) or role == "all" or not NAME.fullmatch(role):
                self.say(path, "no performer", f"write [performers.alice] with {_PERFORMER[0]}")
                continue
            self.known(table, _PERFORMER, path)
            who = self.text(table, "recognise", path, "")
            if not who:
                self.say(
                    path, f"nothing says who {role} is", 'recognise = "photo.jpg" or a persona'
                )
            beside = self._folder / FilePath(who).expanduser()
            known = str(beside) if beside.suffix and beside.is_file() else who
            wears = self._target(table.get("wears"), (*path, "wears"), slate=False)
            self._performers[role] = Performer(recognise=known, wears=wears)

    def _read_cues(self) -> Iterable[Cue]:
        cues = self._data.get("cue", [])
        if not isinstance(cues, list) or not all(isinstance(cue, dict) for cue in cues):
            self.say(("cue",), "cues are not written like this", "begin each with [[cue]]")
            return
        if len(cues) > MOST_CUES:
            self.say(("cue", MOST_CUES), f"more than {MOST_CUES} cues", "split the show")
            return
        for place, table in enumerate(cues):
            yield self._read_cue(table, ("cue", place))

    def _read_cue(self, table: dict[str, Any], path: Path) -> Cue:
        self.known(table, _CUE, path)
        to = table.get("to")
        if to is None:
            self.say(
                path, "the cue changes to nobody", f'add to = "persona", "{BARE}" or "{SLATE}"'
            )
        name = self.text(table, "name", path, "") or (to if isinstance(to, str) else "?")
        at = self.value(table, "at", path, lambda value: read_time(value, self.tempo), None)
        after = self.text(table, "after", path, "") or None
        if at is not None and after is not None:
            self.say((*path, "after"), "both at and after are given", "keep one of them")
        if "delay" in table and after is None:
            self.say((*path, "delay"), "a delay without after", 'add after = "name of a cue"')
        persona = self._target(to, (*path, "to"), slate=True)
        kinds: tuple[TransitionKind, ...] = get_args(TransitionKind)
        return Cue(
            name=name,
            to=persona,
            target="slate" if to == SLATE else "bare" if persona is None else "persona",
            at_s=at,
            after=after,
            delay=self.span(table, "delay", path, Span(0.0)),
            triggers=tuple(self._read_triggers(table, path)),
            transition=self.choice(table, "transition", path, kinds, "morph"),
            duration=self.span(table, "duration", path, Span(0.5)),
            curve=self._curve(table, path),
            side=self.choice(table, "side", path, get_args(Side), "right"),
            layers=self.layers(table, path),
            likeness=self.unit(table, path),
            iris=self.part(table, "eyes", path, None),
            lips=self.part(table, "mouth", path, None),
            performer=self._role(table, path),
            priority=self.integer(table, "priority", path),
            line=self.lines.of(path),
        )

    def _read_triggers(self, table: dict[str, Any], path: Path) -> Iterable[Trigger]:
        for kind in _TRIGGERS:
            values = table.get(kind, [])
            for value in values if isinstance(values, list) else [values]:
                try:
                    yield read_trigger(kind, value, self.tempo)
                except ValueError as error:
                    self.say((*path, kind), f"no usable {kind} trigger: {value!r}", str(error))

    def _curve(self, table: dict[str, Any], path: Path) -> Curve:
        value = table.get("curve", "ease")
        if isinstance(value, list):
            try:
                return Bezier(*(float(number(part)) for part in value))
            except (TypeError, ValueError):
                pass
        elif value in CURVE_NAMES:
            return Named(value)
        names = ", ".join(CURVE_NAMES)
        self.say((*path, "curve"), f"no such curve: {value!r}", f"{names}, or [0.3, 0.0, 0.2, 1.0]")
        return Named("linear")

    def _role(self, table: dict[str, Any], path: Path) -> str:
        role = table.get("performer", "all")
        if role == "all":
            return EVERYONE
        if not isinstance(role, str) or role not in self._performers:
            fix = nearest(str(role), [*self._performers, "all"])
            self.say((*path, "performer"), f"no performer is called {role!r}", fix)
        return str(role)

    def _target(self, value: object, path: Path, *, slate: bool) -> str | None:
        """The persona that is meant; None for pass-through, the slate and nothing at all."""
        if value is None or value == BARE or (slate and value == SLATE):
            return None
        if not isinstance(value, str) or not value:
            self.say(path, f"no persona: {value!r}", "write the name of a persona in quotes")
            return None
        if value not in self._personas:
            if self._personas:
                words = [*self._personas, BARE, *([SLATE] if slate else [])]
                self.say(
                    path, f"no persona of this show is called {value!r}", nearest(value, words)
                )
                return None
            # A show without [personas] names the cast and the library directly.
            self._try_persona(value, path)
            self._direct[value] = value
        return value

    def _audio(self, head: dict[str, Any]) -> str | None:
        name = self.text(head, "audio", ("show",), "")
        if not name:
            return None
        path = self._folder / FilePath(name).expanduser()
        if not path.is_file():
            self.say(("show", "audio"), f"no such audio file: {name}", "check the path")
        return str(path)


def _label(value: object) -> Timecode:
    return read_timecode(value if isinstance(value, str) else "")
