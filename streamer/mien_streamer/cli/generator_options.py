"""Options that name a generator and how to run it, shared by ``build`` and ``bench generator``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mien.errors import UsageError
from mien.inference import GeneratorModel, ModelLibrary, OnnxModel
from mien.inference.model import Model
from mien.networks import PRESETS, random_generator

PrecisionName = Literal["fp32", "fp16", "bf16"]

ModelOption = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME|FILE", help="A name of mien models list, or a file."),
]
RandomOption = Annotated[
    str | None,
    typer.Option(
        "--random", metavar="PRESET", help=f"Random weights: {', '.join(PRESETS)}. For timing."
    ),
]
SEED = 0


def find_model(name: str | None, preset: str | None, *, folder: Path | None = None) -> Model:
    """The model that the options mean.

    Raises:
        UsageError: none or both are given, or there is no such preset.
        ModelError: there is no such model.
    """
    if (name is None) == (preset is None):
        raise UsageError("name one generator", "--model NAME, or --random PRESET for timing")
    onnx = folder / "onnx" if folder is not None else None
    if preset is not None:
        if preset not in PRESETS:
            raise UsageError(f"there is no preset {preset!r}", f"one of: {', '.join(PRESETS)}")
        checkpoint = random_generator(PRESETS[preset], SEED).checkpoint()
        return GeneratorModel(checkpoint, name=f"random-{preset}", folder=onnx)
    assert name is not None
    path = ModelLibrary().resolve(name)
    if path.suffix.lower() == ".onnx":
        return OnnxModel(path)
    return GeneratorModel(path, folder=onnx)
