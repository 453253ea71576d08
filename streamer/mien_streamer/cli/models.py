"""``mien models``: what ships and what was added, under which licence, and whether it is whole."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from mien.errors import InputError, ModelError, UsageError
from mien.models.catalogue import catalogue, model_bytes, model_path
from mien_streamer.cli.app import models_app
from mien_streamer.cli.console import say, say_error, say_json, stdout
from mien_streamer.cli.generator_options import model_library

JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A name of mien models list.")]

EXIT_MISSING = 4


@models_app.command("list")
def list_models(json: JsonOption = False) -> None:
    """Show the networks that ship and the generators that were added."""
    models = catalogue().values()
    library = model_library()
    own = [library.info(name) for name in library.names()]
    if json:
        say_json(
            [{**asdict(model), "origin": "bundled"} for model in models]
            + [{**asdict(model), "origin": "user"} for model in own]
        )
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("name", "size", "licence", "purpose"):
        table.add_column(heading)
    for model in models:
        table.add_row(model.name, _size(model_path(model.name)), model.licence, model.purpose)
    for added in own:
        purpose = f"{added.network} {added.resolution} px, {added.gmac:.1f} GMAC, added by you"
        size = _size(library.path(added.name))
        table.add_row(added.name, size, added.licence or "not stated", purpose)
    stdout.print(table)


def _size(path: Path) -> str:
    if not path.is_file():
        return "gone"
    size = path.stat().st_size
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"


@models_app.command(
    epilog="Example: [bold]mien models add ffhq stylegan3-t-ffhqu-256x256.pkl[/bold]"
)
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it.")],
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A StyleGAN3 .pkl, or .safetensors with its .json."),
    ],
    licence: Annotated[
        str, typer.Option(help="What the weights may be used for; kept beside them.")
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace a model of this name.")] = False,
    json: JsonOption = False,
) -> None:
    """Bring in a generator: read without running anything in it, kept as safetensors."""
    if name in catalogue():
        raise UsageError(f"{name!r} is a network that ships", "choose another name")
    try:
        model = model_library().add(name, file, licence=licence, replace=force)
    except ModelError as error:
        # What was handed in is at fault, not what this machine has.
        raise InputError(error.what, error.hint) from error
    if json:
        say_json(asdict(model))
        return
    say(f"{name}: {model.network} {model.resolution} px, {model.gmac:.1f} GMAC a picture")
    if not licence:
        say("its weights keep the licence of whoever trained them; note it with --licence")


@models_app.command()
def remove(name: NameArgument) -> None:
    """Delete a generator that was added."""
    if name in catalogue():
        raise UsageError(f"{name!r} ships with mien and cannot be removed")
    model_library().remove(name)
    say(f"{name}: removed")


@models_app.command()
def info(name: NameArgument, json: JsonOption = False) -> None:
    """Show where a network comes from."""
    models = catalogue()
    library = model_library()
    if name in models:
        facts = {**asdict(models[name]), "path": str(model_path(name))}
    elif name in library.names():
        facts = {**asdict(library.info(name)), "path": str(library.path(name))}
    else:
        known = ", ".join([*models, *library.names()])
        raise UsageError(f"no model is called {name!r}", f"one of: {known}")
    if json:
        say_json(facts)
        return
    width = max(len(key) for key in facts)
    for key, value in facts.items():
        say(f"{key:>{width}}  {value}")


@models_app.command()
def verify() -> int:
    """Check every file against the catalogue and the library's records."""
    for name in catalogue():
        model_bytes(name)
        say(f"{name}: whole")
    library = model_library()
    broken = 0
    for name in library.names():
        try:
            library.verify(name)
        except ModelError as error:
            broken += 1
            say_error(error.what, error.hint)
        else:
            say(f"{name}: whole")
    return EXIT_MISSING if broken else 0
