"""``mien build``: compile TensorRT engines ahead of the show."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mien.errors import MissingError, ModelError, UsageError
from mien.inference import EngineCache, GeneratorModel, synthesis_cost
from mien.inference.model import Model, OnnxModel
from mien_streamer.cli.app import app
from mien_streamer.cli.console import say, stderr
from mien_streamer.cli.generator_options import (
    ModelOption,
    PrecisionName,
    RandomOption,
    find_model,
    model_library,
    work_folder,
)
from mien_streamer.cli.setup import open_library

_SWAPPERS = ("stylegan3",)


@app.command(
    rich_help_panel="This machine",
    epilog="Examples: [bold]mien build --model ffhq --precision fp16[/bold], "
    "[bold]mien build --perception[/bold]",
)
def build(
    swapper: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Build all generators of a swapper, those of your personas too: stylegan3.",
        ),
    ] = None,
    model: ModelOption = None,
    random: RandomOption = None,
    precision: Annotated[PrecisionName, typer.Option(help="bf16 where fp16 overflows.")] = "fp16",
    level: Annotated[
        int, typer.Option(min=0, max=5, help="How long TensorRT searches for quicker kernels.")
    ] = 3,
    perception: Annotated[
        bool, typer.Option("--perception", help="Build what finds and follows faces instead.")
    ] = False,
    folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where engines are kept.")
    ] = None,
) -> None:
    """Compile TensorRT engines for this GPU and keep them. Takes minutes, once."""
    from mien.inference.tensorrt import TensorRTRunner, require_pycuda
    from mien.inference.tensorrt_build import require_tensorrt

    if perception:
        if folder is not None:
            raise UsageError("the tracker looks only in the user's cache", "leave out --folder")
        _build_perception()
        return
    root = work_folder(folder)
    models = _models(swapper, model, random, root)
    require_tensorrt()
    require_pycuda()
    for number, wanted in enumerate(models, start=1):
        path = wanted.onnx_path(precision, "cuda")
        say(f"{number}/{len(models)} {wanted.name}: {_cost(wanted, path, level)}")
        with _Bars() as bars:
            runner = TensorRTRunner(
                path,
                precision=precision,
                cache=EngineCache(root / "engines"),
                level=level,
                progress=bars.update,
            )
        with runner:
            runner.warm_up()
            done = runner.built or "an engine for this GPU was there already"
            say(f"{wanted.name}: {done}; {runner.engine_path} on {runner.device}")
    if swapper is not None and folder is None:
        _build_encoder()


def _build_perception() -> None:
    """Takes the precisions and level that the tracker asks for: others it would not find."""
    from mien.perception import NETWORKS, engine_runner

    wanted = [(name, half) for name in NETWORKS for half in (True, False)]
    for number, (name, half) in enumerate(wanted, start=1):
        title = f"{name} in half precision" if half else name
        say(f"{number}/{len(wanted)} {title}: a first build takes minutes")
        try:
            with _Bars() as bars:
                runner = engine_runner(name, half=half, progress=bars.update)
        except MissingError as error:
            if not half or find_spec("onnx") is not None:
                raise
            say(f"{title}: left out; {error.what}")
            continue
        with runner:
            done = runner.built or "an engine for this GPU was there already"
            say(f"{title}: {done}; {runner.engine_path} on {runner.device}")


def _build_encoder() -> None:
    """The small network before the StyleGAN3 swapper's generator: it runs beside that."""
    from mien.swappers.stylegan3 import LiveFiles
    from mien.swappers.stylegan3.networks import shipped_folder
    from mien.swappers.stylegan3.on_gpu import encoder_runner

    with _Bars() as bars:
        runner = encoder_runner(LiveFiles(folder=shipped_folder()), progress=bars.update)
    with runner:
        done = runner.built or "an engine for this GPU was there already"
        say(f"encoder: {done}; {runner.engine_path} on {runner.device}")


def _models(swapper: str | None, name: str | None, preset: str | None, root: Path) -> list[Model]:
    if swapper is not None and swapper not in _SWAPPERS:
        raise UsageError(
            f"the swapper {swapper!r} has nothing to build", f"one of: {', '.join(_SWAPPERS)}"
        )
    if name is not None or preset is not None:
        return [find_model(name, preset, folder=root)]
    models = [find_model(own, None, folder=root) for own in model_library().names()]
    if swapper is not None:
        models[:0] = [_shipped(), *_of_personas()]
    if not models:
        raise ModelError(
            "there is no generator to build", "mien models add NAME FILE, or name one with --model"
        )
    return models


def _shipped() -> Model:
    """The generator of the StyleGAN3 swapper."""
    from mien.swappers.stylegan3 import LiveFiles
    from mien.swappers.stylegan3.networks import shipped_folder

    return OnnxModel(LiveFiles(folder=shipped_folder()).generator)


def _of_personas() -> list[Model]:
    """The generators of the library's personas with layers of their own."""
    from mien.swappers.stylegan3 import LiveFiles
    from mien.swappers.stylegan3.networks import shipped_folder
    from mien.swappers.stylegan3.tuned import tuned_generator

    live = LiveFiles(folder=shipped_folder())
    models: list[Model] = []
    for entry in open_library().list():
        worn = entry.file.persona if entry.file is not None else None
        tuning = worn.tunings.get(live.key()) if worn is not None else None
        if worn is not None and tuning is not None:
            model = OnnxModel(tuned_generator(live, worn, tuning))
            model.name = f"the generator of {worn.name}"
            models.append(model)
    return models


def _cost(model: Model, path: Path, level: int) -> str:
    size = f"{path.stat().st_size / 1e6:.0f} MB of ONNX"
    if isinstance(model, GeneratorModel):
        cost = synthesis_cost(model.checkpoint.config)
        size = f"{cost.gmac:.1f} GMAC a picture, {size}"
    longer = " and high levels much longer" if level > 3 else ""
    return f"{size}; a first build takes minutes{longer}, with the GPU fully used"


class _Bars:
    """TensorRT's phases as progress bars; phases nest and come from several threads."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=stderr,
            transient=True,
        )
        self._tasks: dict[str, object] = {}

    def update(self, phase: str, done: int, total: int) -> None:
        """Shows how far a phase is."""
        if phase not in self._tasks:
            self._tasks[phase] = self._progress.add_task(phase, total=total)
        task = self._tasks[phase]
        self._progress.update(task, completed=done, total=total)  # type: ignore[arg-type]

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
