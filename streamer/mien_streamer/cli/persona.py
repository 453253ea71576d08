"""``mien persona``: make, list, show and remove identities."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from mien.personas.library import Entry
from mien.personas.persona import Consent
from mien_streamer.cli.app import persona_app
from mien_streamer.cli.console import say, say_json, stdout
from mien_streamer.cli.options import finite
from mien_streamer.cli.setup import open_library
from mien_streamer.cli.values import parse_face

JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]


@persona_app.command(
    epilog="Example: [bold]mien persona create mira front.jpg left.jpg "
    "--consent 'Mira Lind, for the spring show' --by 'Mira Lind'[/bold]"
)
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call the persona.")],
    photos: Annotated[
        list[Path], typer.Argument(metavar="PHOTO...", help="One or more photos of one person.")
    ],
    consent: Annotated[
        str, typer.Option(metavar="TEXT", help="What the person shown agreed to, in words.")
    ],
    by: Annotated[str, typer.Option(metavar="NAME", help="Who gave the consent.")] = "not named",
    until: Annotated[
        str | None, typer.Option(metavar="DATE", help="Last day it holds, like 2030-12-31.")
    ] = None,
    face: Annotated[
        str | None,
        typer.Option(
            metavar="WHICH",
            help="Which face where a photo shows several: a number from the left, largest, "
            "left, right.",
        ),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace one of that name.")] = False,
) -> None:
    """Make a persona of photos and keep it in your library."""
    from mien.perception import FaceDescriptor, FaceTracker
    from mien.personas.create import create_persona

    library = open_library()
    descriptor = FaceDescriptor()
    try:
        with FaceTracker() as finder:
            made = create_persona(
                name,
                photos,
                Consent(statement=consent, given_by=by, until=until),
                finder=finder,
                descriptor=descriptor,
                choose=parse_face(face),
            )
    finally:
        descriptor.close()
    path = library.add(made, overwrite=replace)
    say(f"{name}: made of {len(photos)} photo{'s' if len(photos) > 1 else ''}, kept in {path}")
    say(f"wear it: mien live -p {name}")


@persona_app.command("list")
def list_personas(json: JsonOption = False) -> None:
    """Show what can be worn."""
    entries = open_library().list()
    if json:
        say_json([_entry_facts(entry) for entry in entries])
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("name", "from", "consent", "until"):
        table.add_column(heading)
    for entry in entries:
        facts = _entry_facts(entry)
        note = facts["problem"] or facts["consent"]
        table.add_row(entry.name, entry.origin, note, facts["until"] or "")
    stdout.print(table)


@persona_app.command()
def info(
    name: Annotated[str, typer.Argument(metavar="PERSONA", help="A name or a .persona file.")],
    json: JsonOption = False,
) -> None:
    """Show what a persona says about itself."""
    from mien.personas.format import SUFFIX, read_persona_file

    is_file = Path(name).suffix.lower() == SUFFIX
    content = read_persona_file(name) if is_file else open_library().find(name)
    worn = content.persona
    facts: dict[str, Any] = {
        "name": worn.name,
        "created": worn.created,
        "consent": worn.consent.statement,
        "given_by": worn.consent.given_by,
        "until": worn.consent.until,
        "signature": content.signature.state,
        "texture": f"{worn.texture.shape[1]}x{worn.texture.shape[0]}",
        "seen": round(float((worn.coverage > 0).mean()), 3),
        "latents": sorted(worn.latents),
        "size_bytes": content.size_bytes,
    }
    if json:
        say_json(facts)
        return
    for key, value in facts.items():
        say(f"{key:>10}  {value if value not in (None, []) else '-'}")


@persona_app.command(
    epilog="Example: [bold]mien persona look ada fresco.jpg --as ada-fresco[/bold]"
)
def look(
    name: Annotated[str, typer.Argument(metavar="PERSONA", help="Who is to be redrawn.")],
    picture: Annotated[Path, typer.Argument(metavar="PICTURE", help="Whose look is taken.")],
    called: Annotated[str, typer.Option("--as", metavar="NAME", help="Name of the new persona.")],
    colour: Annotated[
        float, typer.Option(min=0.0, max=1.0, callback=finite, help="How far colours move.")
    ] = 0.8,
    touch: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, callback=finite, help="How far grain and contrast move."),
    ] = 0.6,
    replace: Annotated[bool, typer.Option("--replace", help="Replace one of that name.")] = False,
) -> None:
    """Redraw a persona in the colours and the touch of a picture; costs nothing when worn."""
    from mien.personas.looks import with_look
    from mien.personas.photos import read_photo

    library = open_library()
    worn = library.resolve(name)
    made = with_look(worn, read_photo(picture), colour=colour, touch=touch)
    path = library.add(dataclasses.replace(made, name=called), overwrite=replace)
    say(f"{called}: {worn.name} in the look of {picture.name}, kept in {path}")


@persona_app.command()
def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A persona of your library.")],
) -> None:
    """Delete a persona from your library."""
    say(f"removed {open_library().remove(name)}")


def _entry_facts(entry: Entry) -> dict[str, Any]:
    consent = entry.file.persona.consent if entry.file is not None else None
    return {
        "name": entry.name,
        "from": entry.origin,
        "path": str(entry.path),
        "consent": consent.statement if consent else "",
        "given_by": consent.given_by if consent else "",
        "until": consent.until if consent else None,
        "problem": entry.problem,
    }
