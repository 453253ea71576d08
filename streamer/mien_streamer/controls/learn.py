"""Learn mode: the pad that was pressed is written into the show file."""

from __future__ import annotations

import queue
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import DeviceError, ShowError
from mien.shows import parse_show
from mien.shows.show import TriggerKind

if TYPE_CHECKING:
    from mien_streamer.controls.midi import MidiControl
    from mien_streamer.controls.osc import OscControl


def with_trigger(text: str, cue: str, kind: TriggerKind, address: str) -> str:
    """The text of a show in which a cue has this trigger, in place of another of its kind.

    All else stays as it was written, comments too.

    Raises:
        ShowError: the show is not playable, or has no such cue.
    """
    show, problems = parse_show(text)
    found = show.find(cue) if show is not None else None
    if show is None:
        first = next(problem for problem in problems if problem.fatal)
        raise ShowError(f"line {first.line}: {first.what}", first.fix)
    if found is None:
        raise ShowError(
            f"the show has no cue {cue!r}", f"one of: {', '.join(c.name for c in show.cues)}"
        )
    lines = text.splitlines(keepends=True)
    written = f'{kind} = "{address}"\n'
    end = next(
        (n for n in range(found.line, len(lines)) if re.match(r"\s*\[", lines[n])), len(lines)
    )
    for place in range(found.line, end):
        if re.match(rf"\s*{kind}\s*=", lines[place]):
            lines[place] = written
            break
    else:
        lines.insert(found.line, written)
    learned = "".join(lines)
    again, problems = parse_show(learned)
    if again is None:
        raise ShowError(
            f"line {problems[0].line}: {problems[0].what}", f"write {written.strip()} by hand"
        )
    return learned


def learn_into(path: Path, cue: str, kind: TriggerKind, address: str) -> None:
    """Writes the trigger into a show file, all or nothing."""
    learned = with_trigger(path.read_text(encoding="utf-8"), cue, kind, address)
    part = path.with_name(f".{path.name}.part")
    part.write_text(learned, encoding="utf-8")
    part.replace(path)


def hear(*, osc: str | None, midi: str | None, wait_s: float) -> tuple[TriggerKind, str]:
    """Waits for the first OSC message or pad.

    Raises:
        DeviceError: nothing came in time, or the port cannot be opened.
    """
    heard: queue.SimpleQueue[tuple[TriggerKind, str]] = queue.SimpleQueue()
    if osc is not None:
        from mien_streamer.controls.osc import OscControl, parse_endpoint

        listening: OscControl | MidiControl = OscControl(
            None, parse_endpoint(osc), listener=lambda address, _: heard.put(("osc", address))
        )
    else:
        from mien_streamer.controls.midi import MidiControl, open_input

        listening = MidiControl(
            None, open_input(midi or ""), listener=lambda address: heard.put(("midi", address))
        )
    try:
        return heard.get(timeout=wait_s)
    except queue.Empty:
        raise DeviceError(
            f"nothing was heard in {wait_s:.0f} s", "check port and cable, then try again"
        ) from None
    finally:
        listening.close()
