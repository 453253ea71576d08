"""What the command line says, and where: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.text import Text

stdout = Console(highlight=False)
stderr = Console(stderr=True, highlight=False)


def say_error(what: str, hint: str) -> None:
    """One line that says what is wrong, one that says what to do."""
    stderr.print(Text.assemble(("error: ", "bold red"), what), soft_wrap=True)
    if hint:
        stderr.print(Text.assemble(("  try: ", "bold"), hint), soft_wrap=True)


def say_warning(what: str) -> None:
    """One line about something that did not stop the work."""
    stderr.print(Text.assemble(("note: ", "bold yellow"), what), soft_wrap=True)


def say(line: str) -> None:
    """One line of result."""
    stdout.print(Text(line), soft_wrap=True)


def count(number: int, noun: str) -> str:
    """A number with its noun: ``1 frame``, ``2 frames``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def say_json(value: Any) -> None:
    """A result for programs."""
    print(json.dumps(value, indent=2))
