"""What the documents tell people to type exists, option by option; and every command is told of."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import typer

from mien_streamer.cli.app import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_EVERYWHERE = {"--help", "--debug"}


def command_lines(text: str) -> Iterator[list[str]]:
    """The words after ``mien`` of every command in a page, in blocks and in the prose."""
    blocks = re.findall(r"```(?:sh|console)?\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    lines += [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose)]
    for line in lines:
        for part in re.split(r"&&|;|\|", line):
            bare = re.sub(r"^(?:\w+=\S+ )+", "", part.split(" #")[0].strip())
            if re.match(r"(?:\.venv/bin/)?mien(?: |$)", bare):
                yield shlex.split(bare)[1:]


@lru_cache(maxsize=1)
def whole() -> Any:
    """All commands of ``mien``."""
    return typer.main.get_command(app)


def found(words: list[str]) -> tuple[str, Any, list[str]]:
    """Name of the command that the words call, the command, and what is left of them."""
    name, command = "mien", whole()
    while words and words[0] in getattr(command, "commands", {}):
        name, command, words = f"{name} {words[0]}", command.commands[words[0]], words[1:]
    return name, command, words


def all_commands(command: Any, name: str = "mien") -> Iterator[str]:
    inside = getattr(command, "commands", None)
    if inside is None:
        yield name
        return
    for word, one in inside.items():
        if not one.hidden:
            yield from all_commands(one, f"{name} {word}")


def test_the_documents_name_commands_and_options_that_exist() -> None:
    wrong, seen = [], set()
    for page in PAGES:
        for words in command_lines(page.read_text(encoding="utf-8")):
            name, command, left = found(words)
            seen.add(name)
            if hasattr(command, "commands") and left and re.match(r"[a-z]", left[0]):
                wrong.append(f"{page.name}: no command {name} {left[0]}")
            known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
            options = {word.split("=")[0] for word in left if re.match(r"--?[a-z]", word)}
            wrong += [
                f"{page.name}: {name} has no {option}" for option in options - known - _EVERYWHERE
            ]
    assert not wrong
    untold = set(all_commands(whole())) - seen
    assert not untold, "no document shows how to use these"
