"""``mien models``: what ships, under which licence, and whether it is whole."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from mien.errors import UsageError
from mien.models.catalogue import catalogue, model_bytes, model_path
from mien_streamer.cli.app import models_app
from mien_streamer.cli.console import say, say_json, stdout

JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]


@models_app.command("list")
def list_models(json: JsonOption = False) -> None:
    """Show the networks that ship."""
    models = catalogue().values()
    if json:
        say_json([asdict(model) for model in models])
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("name", "size", "licence", "purpose"):
        table.add_column(heading)
    for model in models:
        size_mb = model_path(model.name).stat().st_size / 1e6
        table.add_row(model.name, f"{size_mb:.1f} MB", model.licence, model.purpose)
    stdout.print(table)


@models_app.command()
def info(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name of mien models list.")],
    json: JsonOption = False,
) -> None:
    """Show where a network comes from."""
    models = catalogue()
    if name not in models:
        raise UsageError(f"no model is called {name!r}", f"one of: {', '.join(models)}")
    facts = {**asdict(models[name]), "path": str(model_path(name))}
    if json:
        say_json(facts)
        return
    for key, value in facts.items():
        say(f"{key:>8}  {value}")


@models_app.command()
def verify() -> None:
    """Check every file against the catalogue."""
    for name in catalogue():
        model_bytes(name)
        say(f"{name}: whole")
