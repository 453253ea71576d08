"""Which runner: the one asked for, or the quickest that works here, and always why."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mien.errors import MienError, MissingError, OutputError, UsageError
from mien.inference.engine_cache import EngineCache
from mien.inference.model import Device, Model, as_model, cache_folder
from mien.inference.runner import PRECISIONS, Precision, Runner
from mien.inference.tensorrt_build import Progress

logger = logging.getLogger(__name__)

RunnerName = Literal["auto", "onnxruntime", "tensorrt", "torch"]
RUNNERS: tuple[RunnerName, ...] = ("auto", "onnxruntime", "tensorrt", "torch")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerOptions:
    """How a runner is made.

    Attributes:
        precision: of the features. ``None`` takes fp16 on CUDA and fp32 on the CPU.
        threads: on the CPU; 0 leaves it to the library.
        compile: have torch.compile work on the module.
        fused: on the CPU, PyTorch uses the fused nonlinearity; False is its plain form.
        level: TensorRT's optimisation level, 0..5.
        build: let TensorRT build an engine that is not cached; takes minutes.
        progress: told about the steps of a build.
        folder: where exports and engines are kept; the user's cache by default.
        device_index: which CUDA device, for TensorRT.
        graph: TensorRT records the pass as a CUDA graph of its own at once; False leaves that
            to whoever records more than the network.
    """

    precision: Precision | None = None
    threads: int = 0
    compile: bool = False
    fused: bool = True
    level: int = 3
    build: bool = True
    progress: Progress | None = None
    folder: Path | None = None
    device_index: int = 0
    graph: bool = True

    def __post_init__(self) -> None:
        if self.precision is not None and self.precision not in PRECISIONS:
            raise ValueError(
                f"precision must be one of {', '.join(PRECISIONS)}, got {self.precision!r}"
            )
        if self.threads < 0:
            raise ValueError(f"threads must not be negative, got {self.threads}")
        if not 0 <= self.level <= 5:
            raise ValueError(f"the optimisation level must lie in 0..5, got {self.level}")


@dataclass(frozen=True, slots=True)
class _Way:
    runner: RunnerName
    device: Device

    def __str__(self) -> str:
        return f"{self.runner} on {'CUDA' if self.device == 'cuda' else 'the CPU'}"


# Quickest first. On the CPU the polyphase export in ONNX Runtime and PyTorch with the fused
# nonlinearity are close (see docs/inference.md); ONNX Runtime starts sooner and is smaller.
_WAYS = (
    _Way("tensorrt", "cuda"),
    _Way("torch", "cuda"),
    _Way("onnxruntime", "cuda"),
    _Way("onnxruntime", "cpu"),
    _Way("torch", "cpu"),
)


def make_runner(
    model: Model | str | Path | Any,
    runner: RunnerName = "auto",
    *,
    device: Device | Literal["auto"] = "auto",
    options: RunnerOptions | None = None,
) -> Runner:
    """A runner of a model.

    Args:
        model: a model, a checkpoint, or the path of an ``.onnx`` or weight file.
        runner: ``auto`` takes the first that works of TensorRT, PyTorch and ONNX Runtime on
            CUDA, then ONNX Runtime and PyTorch on the CPU.
        device: ``cpu`` or ``cuda`` to allow nothing else.
        options: see :class:`RunnerOptions`.

    Returns:
        A runner whose ``reason`` says why it was chosen and why each better one was not.

    Raises:
        UsageError: the runner or device is unknown, or they exclude each other.
        MissingError: nothing works; the message gives every one's own reason.
        ModelError: the model cannot be read.
    """
    if runner not in RUNNERS:
        raise UsageError(f"there is no runner {runner!r}", f"one of: {', '.join(RUNNERS)}")
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"there is no device {device!r}", "one of: auto, cpu, cuda")
    ways = [
        way for way in _WAYS if runner in ("auto", way.runner) and device in ("auto", way.device)
    ]
    if not ways:
        raise UsageError(f"{runner} does not run on {device}", "leave one of them to auto")
    options = options or RunnerOptions()
    folder = options.folder or cache_folder()
    known = as_model(model, folder=folder / "onnx")
    passed: list[str] = []
    for way in ways:
        try:
            made = _MAKERS[way.runner](known, way.device, options, folder)
        except (UsageError, OutputError):
            raise
        except MienError as error:
            if len(ways) == 1:
                raise
            passed.append(f"{way}: {error.what}")
            logger.debug("passed over %s: %s", way, error)
            continue
        made.reason = _reason(way, runner, passed)
        logger.info("%s runs with %s; %s", known.name, way, made.reason)
        return made
    raise MissingError(
        f"nothing here can run {known.name}. " + "; ".join(passed),
        "mien doctor says what is missing",
    )


def _reason(way: _Way, asked: str, passed: list[str]) -> str:
    first = f"{way} was asked for" if asked != "auto" else f"{way} is the first that works here"
    if not passed:
        return first
    return f"{first}; passed over " + "; ".join(passed)


def _precision(options: RunnerOptions, device: Device) -> Precision:
    return options.precision or ("fp16" if device == "cuda" else "fp32")


def _make_onnxruntime(model: Model, device: Device, options: RunnerOptions, folder: Path) -> Runner:
    from mien.inference.onnxruntime import OnnxRuntimeRunner, require_provider

    require_provider(device)
    path = model.onnx_path(_precision(options, device), device)
    return OnnxRuntimeRunner(path, device=device, threads=options.threads)


def _make_tensorrt(model: Model, device: Device, options: RunnerOptions, folder: Path) -> Runner:
    from mien.inference.tensorrt import TensorRTRunner, require_pycuda
    from mien.inference.tensorrt_build import require_tensorrt

    require_tensorrt()  # before the export, which takes seconds
    require_pycuda()
    precision = _precision(options, device)
    return TensorRTRunner(
        model.onnx_path(precision, device),
        precision=precision,
        cache=EngineCache(folder / "engines"),
        level=options.level,
        progress=options.progress,
        build=options.build,
        graph=options.graph,
        device_index=options.device_index,
    )


def _make_torch(model: Model, device: Device, options: RunnerOptions, folder: Path) -> Runner:
    from mien.inference.torch import TorchRunner, require_torch_device

    require_torch_device(device)
    return TorchRunner(
        model.generator(),
        device=device,
        precision=_precision(options, device),
        mode="compile" if options.compile else "eager",
        fused=options.fused,
        threads=options.threads,
    )


_MAKERS: dict[str, Callable[[Model, Device, RunnerOptions, Path], Runner]] = {
    "onnxruntime": _make_onnxruntime,
    "tensorrt": _make_tensorrt,
    "torch": _make_torch,
}
