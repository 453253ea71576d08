"""Options that name a generator and how to run it, shared by ``build`` and ``bench generator``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from mien.errors import UsageError
from mien.inference import GeneratorModel, ModelLibrary, OnnxModel, cache_folder
from mien.inference.model import Model
from mien.networks import PRESETS, random_generator
from mien_streamer.cli.setup import HOME_VARIABLE

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


def model_library() -> ModelLibrary:
    """The user's generators: under MIEN_HOME if that is set, else where the system keeps data."""
    home = os.environ.get(HOME_VARIABLE)
    return ModelLibrary(Path(home).expanduser() / "models" if home else None)


def work_folder(asked: Path | None) -> Path:
    """Where exports and engines are kept: as asked, under MIEN_HOME, or the system's cache."""
    home = os.environ.get(HOME_VARIABLE)
    return asked or (Path(home).expanduser() / "cache" if home else cache_folder())


def find_model(name: str | None, preset: str | None, *, folder: Path) -> Model:
    """The model that the options mean.

    Raises:
        UsageError: none or both are given, or there is no such preset.
        ModelError: there is no such model.
    """
    if name is not None and preset is not None:
        raise UsageError("--model and --random exclude each other", "give one of them")
    onnx = folder / "onnx"
    if preset is not None:
        if preset not in PRESETS:
            raise UsageError(f"there is no preset {preset!r}", f"one of: {', '.join(PRESETS)}")
        checkpoint = random_generator(PRESETS[preset], SEED).checkpoint()
        return GeneratorModel(checkpoint, name=f"random-{preset}", folder=onnx)
    if name is None:
        raise UsageError("name one generator", "--model NAME, or --random PRESET for timing")
    path = model_library().resolve(name)
    if path.suffix.lower() == ".onnx":
        return OnnxModel(path)
    return GeneratorModel(path, folder=onnx)
