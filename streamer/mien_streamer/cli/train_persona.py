"""``mien train persona``: latent and layers of a persona from footage of the person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.errors import PersonaError
from mien.personas.library import Library
from mien.personas.persona import Persona
from mien_streamer.cli.console import say
from mien_streamer.cli.persona import own_persona, share_bar, step_bar, tell_fit
from mien_streamer.cli.setup import open_library
from mien_streamer.cli.stopping import stop_on_interrupt
from mien_streamer.cli.train import _untrained, train_app


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
    minutes: Annotated[
        float,
        typer.Option(
            min=0.1, help="Train so long at most, all sittings together; then take what there is."
        ),
    ] = 30.0,
    anew: Annotated[
        bool, typer.Option("--anew", help="Leave a run that was begun, and begin again.")
    ] = False,
    latent_only: Annotated[
        bool,
        typer.Option(
            "--latent-only",
            help="Find the latent alone: a minute, no PyTorch, and a relative at best.",
        ),
    ] = False,
) -> None:
    """Tune the StyleGAN3 generator to one person, on a film of them. Ctrl-C saves and leaves.

    Latent first, then small changes of the layers; the same command goes on where it was
    stopped. Moments that were held out say whether it helped; only then is it kept.
    """
    library = open_library()
    worn = own_persona(library, name)
    if not consented:
        raise PersonaError(
            f"nothing says that {worn.consent.given_by} agreed to the use of {video.name}",
            f"ask first, then add --consented; on record is: {worn.consent.statement}",
        )
    if latent_only:
        _find_latent(library, worn, video)
        return
    try:
        from mien_streamer.persona_tuning import PersonaTuning, begin_anew
    except ImportError as error:
        raise _untrained(error) from error

    folder = library.root.parent / "training" / worn.name
    if anew:
        begin_anew(folder)
    with share_bar(f"watching {video.name}") as watched:
        tuning = PersonaTuning(worn, video, folder, minutes=minutes, progress=watched)
    try:
        first = tuning.steps[0]
        if first:
            say(f"going on from step {first}")
        with stop_on_interrupt() as stop, step_bar("tuning") as progress:
            tuned = tuning.train(stop.is_set, progress)
        if not tuned.finished:
            say(f"step {tuning.steps[0]} of {tuning.steps[1]}; the same command goes on")
            return
        say(
            f"{worn.name}: moments never learnt from, of {tuned.moments}: error "
            f"{tuned.after['held_error']:.1f} code values ({tuned.before['held_error']:.1f} "
            f"before), descriptor distance {tuned.after['held_distance']:.2f} "
            f"({tuned.before['held_distance']:.2f})"
        )
        if tuned.better:
            tuning.fold(tuned.persona)
            library.add(tuned.persona, overwrite=True)
            say(f"see it: mien swap CLIP -p {worn.name} --swapper stylegan3 -o out.mp4")
        else:
            say(f"that is no better than before, so {worn.name} stays as it was")
        say(f"figures: {tuned.report}; the footage's pictures were removed")
        tuning.clear()
    finally:
        tuning.close()


def _find_latent(library: Library, worn: Persona, video: Path) -> None:
    from mien_streamer.latents import LatentMaker

    with LatentMaker() as maker, share_bar(f"drawing {worn.name}") as progress:
        found = maker.from_footage(worn, video, progress=progress)
    library.add(found.persona, overwrite=True)
    tell_fit(found)
