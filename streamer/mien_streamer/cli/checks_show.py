"""The examinations of what shows listen to: MIDI and sound."""

from __future__ import annotations

from mien.errors import MissingError
from mien_streamer.cli.findings import Finding, State


def look_at_midi() -> Finding:
    """Pads and machines that shows may listen to."""
    try:
        from mien_streamer.controls import midi
    except MissingError as error:
        return Finding(
            subject="MIDI",
            state=State.OPTIONAL,
            says=f"{error.what}; shows do without",
            hint=error.hint,
        )
    problem = midi.backend_problem()
    if problem:
        return Finding(
            subject="MIDI",
            state=State.OPTIONAL,
            says=f"no ports here: {problem}",
            hint="shows also take orders by key, OSC and the studio",
        )
    names = ", ".join(midi.input_names()) or "ready, nothing is plugged in"
    return Finding(subject="MIDI", state=State.WORKS, says=names)


def look_at_audio_input() -> Finding:
    """Sound for timecode and onsets."""
    from mien_streamer.controls.sound_input import input_devices

    try:
        devices = input_devices()
    except MissingError as error:
        says = f"{error.what}; shows hear files without"
        return Finding(subject="audio input", state=State.OPTIONAL, says=says, hint=error.hint)
    if not devices:
        return Finding(
            subject="audio input",
            state=State.OPTIONAL,
            says="no device to record from",
            hint="only shows that wait for timecode or onsets need one",
        )
    names = ", ".join(f"{one['index']} {one['name']}" for one in devices[:6])
    return Finding(subject="audio input", state=State.WORKS, says=names)
