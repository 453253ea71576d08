"""``mien persona``: make, list, show and remove identities."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from mien.errors import PersonaError
from mien.personas.create import Choice
from mien.personas.library import Entry, Library, cast_names
from mien.personas.persona import Consent, Persona
from mien.personas.validation import MAX_TEXT_CHARS
from mien_streamer.cli.app import persona_app
from mien_streamer.cli.console import say, say_json, say_warning, stderr, stdout
from mien_streamer.cli.options import finite
from mien_streamer.cli.setup import open_library
from mien_streamer.cli.values import parse_face

if TYPE_CHECKING:
    from mien_streamer.latents import Found

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
    latent: Annotated[
        bool,
        typer.Option(
            "--latent", help="Find a latent for the StyleGAN3 swapper too; takes a minute."
        ),
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace one of that name.")] = False,
) -> None:
    """Make a persona of photos and keep it in your library."""
    from mien.perception import FaceDescriptor, FaceTracker
    from mien.personas.create import create_persona

    library = open_library()
    if not replace:
        library.check_new(name)
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
    if latent:
        found = find_latent(made, photos, parse_face(face))
        library.add(found.persona, overwrite=True)
        tell_fit(found)
    say(f"{name}: made of {len(photos)} photo{'s' if len(photos) > 1 else ''}, kept in {path}")
    if name.lower() in cast_names():
        say_warning(f"it is worn in place of the cast's {name} until you remove it")
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
        "tunings": sorted(worn.tunings),
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


@persona_app.command(
    epilog="Example: [bold]mien persona latent mira front.jpg left.jpg[/bold], then "
    "[bold]mien live -p mira --swapper stylegan3[/bold]"
)
def latent(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A persona of your library.")],
    photos: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PHOTO]...", help="Photos of the same person; its preview without any."
        ),
    ] = None,
    face: Annotated[
        str | None,
        typer.Option(metavar="WHICH", help="Which face where a photo shows several."),
    ] = None,
) -> None:
    """Find how the StyleGAN3 generator draws a persona best, and keep it with the persona."""
    library = open_library()
    worn = own_persona(library, name)
    found = find_latent(worn, photos or [], parse_face(face))
    library.add(found.persona, overwrite=True)
    tell_fit(found)


@persona_app.command(epilog="Example: [bold]mien persona mix ada kai --as ada-kai[/bold]")
def mix(
    shape: Annotated[str, typer.Argument(metavar="SHAPE", help="Whose shape it has.")],
    skin: Annotated[str, typer.Argument(metavar="SKIN", help="Whose skin it has.")],
    called: Annotated[str, typer.Option("--as", metavar="NAME", help="Name of the new persona.")],
    replace: Annotated[bool, typer.Option("--replace", help="Replace one of that name.")] = False,
) -> None:
    """Style mixing for the StyleGAN3 swapper: the shape of one persona, the skin of another."""
    from mien_streamer.latents import LatentMaker

    library = open_library()
    one, other = library.resolve(shape), library.resolve(skin)
    with LatentMaker() as maker:
        made = maker.mixed(one, other, called)
    record = Consent(
        statement=f"{one.consent.statement} {other.consent.statement}"[:MAX_TEXT_CHARS],
        given_by=", ".join(dict.fromkeys([one.consent.given_by, other.consent.given_by])),
        until=min(filter(None, [one.consent.until, other.consent.until]), default=None),
    )
    path = library.add(dataclasses.replace(made, consent=record), overwrite=replace)
    say(f"{called}: the shape of {one.name} in the skin of {other.name}, kept in {path}")
    say(f"wear it: mien live -p {called} --swapper stylegan3")


@persona_app.command()
def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A persona of your library.")],
) -> None:
    """Delete a persona from your library, and all that was made of it."""
    from mien.swappers.stylegan3.tuned import forget_tuned

    library = open_library()
    with suppress(PersonaError):  # a damaged file has nothing that could be told
        forget_tuned(library.find(name).persona)
    path = library.remove(name)
    shutil.rmtree(library.root.parent / "training" / path.stem, ignore_errors=True)
    say(f"removed {path}")


def find_latent(worn: Persona, photos: list[Path], choose: Choice | None) -> Found:
    """The persona with a latent of its photos, under a progress bar."""
    from mien_streamer.latents import LatentMaker

    with LatentMaker() as maker, share_bar(f"drawing {worn.name}") as progress:
        return maker.from_photos(worn, photos, choose=choose, progress=progress)


def tell_fit(found: Found) -> None:
    """How well the generator draws a persona, in two lines."""
    fit, name = found.fit, found.persona.name
    say(
        f"{name}: a latent from {found.portraits} picture{'s' if found.portraits > 1 else ''}; "
        f"error {fit.after:.1f} code values ({fit.before:.1f} for the nearest of the cast), "
        f"descriptor distance {fit.distance_after:.2f} ({fit.distance_before:.2f})"
    )
    say(f"see it: mien swap CLIP -p {name} --swapper stylegan3 -o out.mp4")


@contextmanager
def share_bar(words: str) -> Iterator[Callable[[float], None]]:
    """A bar on stderr that shows a share of 0..1."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=stderr,
        transient=True,
    ) as bar:
        task = bar.add_task(words, total=1.0)
        yield lambda share: bar.update(task, completed=share)


@contextmanager
def step_bar(words: str) -> Iterator[Callable[[str, float], None]]:
    """The same, told what is done as well."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=stderr,
        transient=True,
    ) as bar:
        task = bar.add_task(words, total=1.0)
        yield lambda what, share: bar.update(task, description=what, completed=share)


def own_persona(library: Library, name: str) -> Persona:
    """A persona of the library whose consent holds; the cast's files are not the user's."""
    entry = next((one for one in library.list() if one.name.lower() == name.lower()), None)
    if entry is not None and entry.origin == "cast":
        raise PersonaError(
            f"{name} belongs to the cast, whose latents come with mien",
            f"wear it: mien live -p {name} --swapper stylegan3",
        )
    return library.resolve(name)


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
