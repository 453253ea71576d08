"""Whether what a show file wants to be connected is there."""

from __future__ import annotations

from pathlib import Path

from mien.errors import DeviceError, MienError, MissingError, UsageError
from mien.shows import Show
from mien.shows.show_file import Problem, key_line


def port_problems(path: Path, show: Show) -> list[Problem]:
    """Notes about the ports under ``[ports]``; the show can be played without them.

    Args:
        path: the show file, for the lines.
        show: what it says.
    """
    ports = show.ports
    text = path.read_text(encoding="utf-8")
    found: list[Problem] = []

    def note(key: str, what: str, fix: str) -> None:
        found.append(Problem(key_line(text, ("ports", key)), what, fix, fatal=False))

    for key, endpoint in (("osc", ports.osc), ("osc_out", ports.osc_out)):
        problem = _osc_problem(endpoint)
        if problem is not None:
            note(key, *problem)
    for key, name in (("midi", ports.midi), ("midi_out", ports.midi_out)):
        problem = _midi_problem(name, is_input=key == "midi")
        if problem is not None:
            note(key, *problem)
    problem = _sound_problem(ports.audio_in)
    if problem is not None:
        note("audio_in", *problem)
    return found


def unheard(show: Show, *, osc: bool, midi: bool, sound: bool) -> list[str]:
    """What a show waits for and nothing is connected to, in sentences; empty when all is well.

    Args:
        show: what it says.
        osc, midi, sound: whether each is listened to.
    """
    kinds = {trigger.kind for cue in show.cues for trigger in cue.triggers}
    said: list[str] = []
    if not osc and (show.follow == "osc" or "osc" in kinds):
        said.append("the show takes orders by OSC, and nobody listens: add --osc 9000")
    if not midi and (show.follow in ("midi-clock", "mtc") or "midi" in kinds):
        said.append("the show takes orders by MIDI, and nobody listens: add --midi NAME")
    by_tape = show.follow == "ltc" or ("timecode" in kinds and not midi)
    if not sound and (by_tape or "onset" in kinds):
        said.append("the show listens for sound, and hears none: add --audio-in NAME")
    return said


def _osc_problem(endpoint: str | None) -> tuple[str, str] | None:
    from mien_streamer.controls.osc import parse_endpoint

    try:
        if endpoint is not None:
            parse_endpoint(endpoint)
    except UsageError as error:
        return error.what, error.hint
    return None


def _midi_problem(name: str | None, *, is_input: bool) -> tuple[str, str] | None:
    if name is None:
        return None
    try:
        from mien_streamer.controls import midi
    except MissingError as error:
        return f"{name!r} cannot be looked for: {error.what}", error.hint
    problem = midi.backend_problem()
    if problem:
        fix = "check the show on the machine that has the port"
        return f"{name!r} cannot be looked for, there is no MIDI here: {problem}", fix
    names = midi.input_names() if is_input else midi.output_names()
    if name.startswith("virtual:") or any(name.lower() in one.lower() for one in names):
        return None
    fix = f"choose from: {', '.join(names)}" if names else "plug it in; no port is there"
    return f"no MIDI {'input' if is_input else 'output'} is called {name!r}", fix


def _sound_problem(spec: str | None) -> tuple[str, str] | None:
    if spec is None or spec.startswith("alsa:"):
        return None
    from mien_streamer.controls.sound_input import find_device, input_devices

    if spec.startswith("file:"):
        there = Path(spec.removeprefix("file:")).is_file()
        return None if there else (f"no such file: {spec}", "check the path")
    try:
        find_device(spec, input_devices())
    except DeviceError as error:
        return error.what, error.hint
    except MienError as error:
        return f"{spec!r} cannot be looked for: {error.what}", error.hint
    return None
