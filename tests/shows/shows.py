"""Shows for tests, as their authors would write them."""

from __future__ import annotations

from mien.shows import Show, parse_show

HEAD = """\
format = 1
[show]
name = "test"
start = "ada"
[clock]
bpm = 120
[personas]
ada = "ada"
kai = "kai"
mei = "mei"
"""


def cue(name: str, **keys: object) -> str:
    """One cue of a file; texts get their quotes."""
    lines = ["[[cue]]", f'name = "{name}"']
    keys = {"to": keys.pop("to", "kai"), **keys}
    for key, value in keys.items():
        lines.append(f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}")
    return "\n".join(lines) + "\n"


def show_of(*cues: str, head: str = HEAD) -> Show:
    """The show; it must be playable."""
    show, problems = parse_show(head + "".join(cues))
    assert show is not None, problems
    return show
