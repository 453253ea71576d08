"""``mien train persona``: a persona's latent from footage of the person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.errors import PersonaError
from mien_streamer.cli.persona import own_persona, share_bar, tell_fit
from mien_streamer.cli.setup import open_library
from mien_streamer.cli.train import train_app


@train_app.command(
    epilog="Example: [bold]mien train persona mira --video mira-talks.mp4 --consented[/bold]"
)
def persona(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A persona of your library.")],
    video: Annotated[
        Path, typer.Option(metavar="FILE", help="Footage of this person, and nobody else's.")
    ],
    consented: Annotated[
        bool,
        typer.Option(
            "--consented",
            help="The person shown knows this footage and agreed to this use; the persona's "
            "consent record stands for it.",
        ),
    ] = False,
) -> None:
    """Fit a persona's latent to many moments of a film, for the StyleGAN3 swapper."""
    from mien_streamer.latents import LatentMaker

    library = open_library()
    worn = own_persona(library, name)
    if not consented:
        raise PersonaError(
            f"nothing says that {worn.consent.given_by} agreed to the use of {video.name}",
            f"ask first, then add --consented; on record is: {worn.consent.statement}",
        )
    with LatentMaker() as maker, share_bar(f"drawing {worn.name}") as progress:
        found = maker.from_footage(worn, video, progress=progress)
    library.add(found.persona, overwrite=True)
    tell_fit(found)
