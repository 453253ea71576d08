"""``mien doctor``: what works on this machine, and what to do about what does not."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from mien_streamer.cli.app import app
from mien_streamer.cli.checks import examine
from mien_streamer.cli.console import say_json, stdout
from mien_streamer.cli.findings import Finding, State

EXIT_MISSING = 4

_SIGNS = {
    State.WORKS: Text("works", style="green"),
    State.OPTIONAL: Text("absent", style="yellow"),
    State.BROKEN: Text("broken", style="bold red"),
}


@app.command(rich_help_panel="This machine", epilog="Example: [bold]mien doctor --json[/bold]")
def doctor(
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> int:
    """Say what works here and what to do about what does not."""
    findings = examine()
    broken = any(finding.state is State.BROKEN for finding in findings)
    if json:
        say_json({"ok": not broken, "findings": [asdict(finding) for finding in findings]})
    else:
        stdout.print(_table(findings))
    return EXIT_MISSING if broken else 0


def _table(findings: list[Finding]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for finding in findings:
        says = Text(finding.says)
        if finding.hint:
            says.append(f"\n{finding.hint}", style="dim")
        table.add_row(_SIGNS[finding.state], Text(finding.subject, style="bold"), says)
    return table
