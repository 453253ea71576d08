"""The networks of perception on a GPU: each for as long as it works there, then on the CPU."""

from __future__ import annotations

import logging
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mien.errors import DeviceError, MienError, OutputError
from mien.inference import EngineCache, cache_folder
from mien.inference.half_onnx import write_half
from mien.inference.runner import Runner
from mien.inference.tensorrt_build import Progress
from mien.models.catalogue import model_bytes, model_path
from mien.perception._session import Network
from mien.types import F32Array

if TYPE_CHECKING:
    from mien.inference.tensorrt import TensorRTRunner

logger = logging.getLogger(__name__)

NETWORKS = (
    "face_landmark_with_attention",
    "face_detection_short_range",
    "face_detection_full_range",
    "dlib_face128",
)
"""What a tracker opens."""

# Of the largest output. Both compute in single precision; a wrong network, or one in ten bits, is
# ten times as far off.
_TOLERANCE = 1e-3
# In half precision: pixels of what the network looks at (and, of its beliefs, logits); numbers of a
# descriptor, of which two people's differ by 0.6 in all. A tenth of that was measured.
_HALF_TOLERANCE = {NETWORKS[0]: 0.3, NETWORKS[1]: 0.3, NETWORKS[2]: 0.3, NETWORKS[3]: 0.01}
_RACE_RUNS = 15
_SEED = 5


class PerceptionNetwork(Protocol):
    """A network that is run in place; see :class:`~mien.perception._session.Network`."""

    input: F32Array

    def run(self) -> tuple[F32Array, ...]: ...
    def close(self) -> None: ...


class OpenNetwork(Protocol):
    """Opens a network of the catalogue."""

    def __call__(self, name: str, threads: int) -> PerceptionNetwork: ...


class EngineNetwork:
    """A shipped model on a TensorRT runner. One thread at a time.

    A run that fails there is repeated on the CPU, so that no frame is lost, and so are all that
    follow.

    Args:
        runner: closed with this object.
        cpu: the same model on the CPU; closed with this object.
        name: for messages.

    Attributes:
        input: as :attr:`Network.input`.
        names: of the outputs.
        lost: why the GPU is no longer used; empty while it is.
    """

    def __init__(self, runner: Runner, cpu: Network, name: str) -> None:
        self._runner, self._cpu, self._name = runner, cpu, name
        self.names = cpu.names
        [self._source] = runner.inputs
        self.input: F32Array = np.zeros_like(cpu.input)
        self.lost = ""

    def run(self) -> tuple[F32Array, ...]:
        """See :meth:`Network.run`."""
        if not self.lost:
            try:
                outputs = self._runner.run({self._source: self.input})
                return tuple(outputs[name] for name in self._cpu.names)
            except Exception as error:  # PyCUDA's own have no base class that can be named here
                self.lose(str(getattr(error, "what", error)) or type(error).__name__)
        np.copyto(self._cpu.input, self.input)
        return self._cpu.run()

    @property
    def runner(self) -> Runner:
        """What runs on the GPU."""
        return self._runner

    def lose(self, reason: str) -> None:
        """The GPU is no longer used."""
        self.lost = reason
        logger.warning("%s; %s runs on the CPU from now on", reason, self._name)

    def close(self) -> None:
        """Frees both."""
        try:
            self._runner.close()
        except Exception as error:
            logger.debug("leaving a GPU that failed: %s", error)
        self._cpu.close()


class DeviceNetworks:
    """Opens networks on one GPU where TensorRT can, and on the CPU where not.

    ``auto`` takes an engine only if it is there already and quicker than the CPU; ``cuda:N``
    builds it, which takes minutes, once. An engine that gives other numbers is never taken.

    Args:
        device: ``auto``, ``auto:N`` or ``cuda:N``.
        make_runner: a runner of a model by name, for other GPUs than TensorRT's.
        make_half: the same in half precision; None where there is no such thing.

    Attributes:
        device_index: which GPU.
    """

    def __init__(
        self,
        device: str,
        make_runner: Callable[[str], Runner] | None = None,
        make_half: Callable[[str], Runner] | None = None,
    ) -> None:
        index = device.partition(":")[2]
        self.device_index = int(index) if index.isdecimal() else 0
        self._is_auto = device.startswith("auto")
        self._make_runner = make_runner or self._tensorrt
        self._make_half = make_half or (None if make_runner is not None else self._half)
        self._halves: set[str] = set()
        self._on_gpu: dict[str, str] = {}
        self._on_cpu: dict[str, str] = {}

    def __call__(self, name: str, threads: int) -> PerceptionNetwork:
        """See :class:`OpenNetwork`."""
        cpu = Network(name, threads)
        if self._make_half is not None:
            half, refusal = self._opened(self._make_half, name, cpu, _HALF_TOLERANCE[name], 0.0)
            if half is not None:
                self._halves.add(name)
                return half
            logger.info("%s is not run in half precision: %s", name, refusal)
        network, refusal = self._opened(self._make_runner, name, cpu, _TOLERANCE, _TOLERANCE)
        if network is None:
            self._on_cpu[name] = refusal
            return cpu
        return network

    def _opened(
        self,
        make: Callable[[str], Runner],
        name: str,
        cpu: Network,
        absolute: float,
        relative: float,
    ) -> tuple[EngineNetwork | None, str]:
        """The network on the GPU, or why it is not taken."""
        try:
            runner = make(name)
        except MienError as error:
            return None, error.what
        network = EngineNetwork(runner, cpu, name)
        refusal = self._refusal(network, cpu, absolute, relative)
        if refusal:
            runner.close()
            return None, refusal
        self._on_gpu[name] = runner.device
        return network, ""

    @property
    def where(self) -> list[str]:
        """What runs where, and why, in lines for people."""
        lines = []
        if self._on_gpu:
            device = next(iter(self._on_gpu.values()))
            lines.append(f"{_listed(self._on_gpu)} run on {device} with TensorRT")
        if self._halves:
            lines.append(f"{_listed(self._halves)} run in half precision")
        for reason in dict.fromkeys(self._on_cpu.values()):
            names = [name for name, why in self._on_cpu.items() if why == reason]
            lines.append(f"{_listed(names)} run on the CPU: {reason}")
        return lines

    def _tensorrt(self, name: str) -> Runner:
        # The landmark network becomes a part of a larger graph; the others have their own.
        graph = name != NETWORKS[0]
        return engine_runner(name, self.device_index, build=not self._is_auto, graph=graph)

    def _half(self, name: str) -> Runner:
        return engine_runner(
            name,
            self.device_index,
            build=not self._is_auto,
            graph=name != NETWORKS[0],
            half=True,
        )

    def _refusal(
        self, network: EngineNetwork, cpu: Network, absolute: float, relative: float
    ) -> str:
        """Why the engine is not taken; empty if it is."""
        network.input[:] = _probe(network.input.shape)
        cpu.input[:] = network.input
        expected = [output.copy() for output in cpu.run()]
        gpu_ms, got = _timed(network.run)
        if network.lost:
            return network.lost
        for one, other in zip(got, expected, strict=True):
            bound = max(absolute, relative * float(np.abs(other).max()))
            if not np.abs(one - other).max() <= bound:
                return "TensorRT gives other numbers than the CPU"
        cpu_ms, _ = _timed(cpu.run)
        if self._is_auto and gpu_ms >= cpu_ms:
            return f"quicker there, {cpu_ms:.2f} ms a run and {gpu_ms:.2f} ms on the GPU"
        return ""


def engine_runner(
    name: str,
    device_index: int = 0,
    *,
    build: bool = True,
    graph: bool = True,
    half: bool = False,
    progress: Progress | None = None,
) -> TensorRTRunner:
    """A TensorRT runner of a model of the catalogue; engines are kept in the user's cache.

    Args:
        name: one of :data:`NETWORKS`.
        device_index: which GPU.
        build: False raises instead of building.
        graph: record the pass as a CUDA graph of its own.
        half: convolutions in half precision, which needs the package onnx once; else all of it
            in whole single precision.
        progress: told about the steps of a build.

    Raises:
        MienError: something is missing, or TensorRT refuses.
    """
    from mien.inference.tensorrt import TensorRTRunner

    model_bytes(name)  # checks the file
    return TensorRTRunner(
        _half_path(name) if half else model_path(name),
        precision="fp16" if half else "fp32",
        cache=EngineCache(cache_folder() / "engines"),
        build=build,
        graph=graph,
        tf32=False,
        device_index=device_index,
        progress=progress,
    )


def _half_path(name: str) -> Path:
    """The network's file in half precision, made on first use."""
    folder = cache_folder() / "onnx"
    path = folder / f"{name}-{sha256(model_bytes(name)).hexdigest()[:16]}-half.onnx"
    if not path.is_file():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make {folder}: {error}", "check its permissions") from error
        write_half(model_path(name), path)
    return path


def networks_for(device: str) -> OpenNetwork:
    """What opens networks for ``cpu``, ``auto`` or ``cuda:N``."""
    if device == "cpu":
        return Network
    from mien.inference.cuda_driver import load_driver

    try:
        load_driver()
    except DeviceError:  # whoever draws has said so
        return Network
    return DeviceNetworks(device)


def _probe(shape: tuple[int, ...]) -> F32Array:
    """A picture without meaning but smooth, so that no output hangs on a rounding."""
    rng = np.random.default_rng(_SEED)
    y, x = np.mgrid[: shape[2], : shape[3]].astype(np.float32) / shape[3]
    waves = [np.sin(rng.uniform(2, 9) * x + rng.uniform(2, 9) * y) for _ in range(shape[1])]
    probe: F32Array = (np.stack(waves)[None] * 0.3 + 0.5).astype(np.float32)
    return probe


def _timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Median milliseconds, and what came last."""
    spent, got = [], None
    for _ in range(_RACE_RUNS + 2):
        before = perf_counter()
        got = run()
        spent.append((perf_counter() - before) * 1e3)
    return median(spent[2:]), got


def _listed(names: Any) -> str:
    return ", ".join(sorted(names))
