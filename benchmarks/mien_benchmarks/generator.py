"""Speed of a generator: time of a picture, and how near that is to what the machine can do.

The yardstick is a large matrix product with the same library, threads and element type,
measured in the same process just before and after the pictures; a share of it says how well
the work is laid out, whatever the machine and its other tenants do.
"""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter, process_time, sleep
from typing import Any, Literal

import numpy as np
import psutil

from mien.errors import MienError
from mien.inference import (
    GeneratorModel,
    Model,
    Precision,
    Runner,
    RunnerName,
    RunnerOptions,
    make_runner,
    synthesis_cost,
)
from mien_benchmarks.times import commit_of_checkout, spread
from mien_streamer.cli.report import device as machine
from mien_streamer.cli.report import versions

PEAK_SIZE = 2048
PEAK_RUNS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorBenchSettings:
    """What to measure.

    Attributes:
        runner: which runner.
        device: ``cpu``, ``cuda`` or whichever the runner takes first.
        precision: None for what suits the device.
        threads: on the CPU.
        compile: have torch.compile work on the module.
        fused: on the CPU, PyTorch uses the fused nonlinearity.
        warm_up: pictures before the first that counts.
        runs: most pictures that count.
        budget_s: stop sooner when this much time has passed and three were measured.
        seed: of latents and transforms.
        folder: where exports and engines are kept.
    """

    runner: RunnerName = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Precision | None = None
    threads: int = 1
    compile: bool = False
    fused: bool = True
    warm_up: int = 2
    runs: int = 100
    budget_s: float = 20.0
    seed: int = 0
    folder: Path | None = None


def measure_generator(model: Model, settings: GeneratorBenchSettings) -> dict[str, Any]:
    """All figures of one model on one runner, ready for JSON.

    Raises:
        MissingError: the runner cannot be had.
    """
    options = RunnerOptions(
        precision=settings.precision,
        threads=settings.threads,
        compile=settings.compile,
        fused=settings.fused,
        folder=settings.folder,
    )
    process = psutil.Process()
    model_rss = process.memory_info().rss
    started = perf_counter()
    with make_runner(model, settings.runner, device=settings.device, options=options) as runner:
        load_s = perf_counter() - started
        on_cuda = runner.device.startswith("cuda")
        precision = settings.precision or ("fp16" if on_cuda else "fp32")
        before = _peak(runner, precision, settings.threads)
        with _MemoryWatch(process) as memory:
            wall_ms, cpu_ms = _sample(runner, settings)
        after = _peak(runner, precision, settings.threads)
    peaks = [value for value in (before, after) if value is not None]
    times = spread(wall_ms)
    result: dict[str, Any] = {
        "commit": commit_of_checkout(),
        "machine": machine(),
        "versions": versions(),
        "settings": {**asdict(settings), "folder": settings.folder and str(settings.folder)},
        "model": model.name,
        "runner": runner.name,
        "device": runner.device,
        "precision": precision,
        "reason": runner.reason,
        "pictures": len(wall_ms),
        "ms": times,
        "cpu_ms": spread(cpu_ms),
        "fps": round(1000.0 / times["p50"], 3),
        "load_s": round(load_s, 3),
        "peak_rss_mb": round(memory.peak / 1e6, 1),
        "runner_rss_mb": round((memory.peak - model_rss) / 1e6, 1),
        "gpu_memory_mb": _gpu_memory_mb(runner),
        "peak_gmac_per_s": round(max(peaks), 1) if peaks else None,
        "cost": None,
        "gmac_per_s": None,
        "share_of_peak": None,
    }
    if isinstance(model, GeneratorModel):
        cost = synthesis_cost(model.checkpoint.config)
        rate = cost.gmac / times["p50"] * 1e3
        result["cost"] = {**asdict(cost), "gmac": cost.gmac}
        result["gmac_per_s"] = round(rate, 2)
        result["share_of_peak"] = round(rate / max(peaks), 4) if peaks else None
    return result


def _sample(runner: Runner, settings: GeneratorBenchSettings) -> tuple[list[float], list[float]]:
    random = np.random.default_rng(settings.seed)
    wall: list[float] = []
    cpu: list[float] = []
    started = perf_counter()
    for number in range(settings.warm_up + settings.runs):
        inputs = {
            name: random.standard_normal(spec.shape).astype(spec.dtype)
            for name, spec in runner.inputs.items()
        }
        if "transform" in inputs:
            inputs["transform"][...] = np.eye(3)
        cpu_before, before = process_time(), perf_counter()
        runner.run(inputs)  # copies the picture to the host: that waits for the device
        spent, cpu_spent = perf_counter() - before, process_time() - cpu_before
        if number == settings.warm_up:
            started = before
        if number >= settings.warm_up:
            wall.append(spent * 1e3)
            cpu.append(cpu_spent * 1e3)
        if len(wall) >= 3 and perf_counter() - started > settings.budget_s:
            break
    return wall, cpu


def _peak(runner: Runner, precision: str, threads: int) -> float | None:
    """Multiply-adds a second of a matrix product, in 10^9; None where nothing can measure it."""
    try:
        if runner.name == "onnxruntime" and runner.device == "cpu" and precision == "fp32":
            return _peak_onnxruntime(threads)
        return _peak_torch(runner, precision, threads)
    except (ImportError, MienError):
        return None


def _peak_onnxruntime(threads: int) -> float:
    import onnxruntime as ort
    from onnx import TensorProto, helper

    shape = [PEAK_SIZE, PEAK_SIZE]
    kind = TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["a", "b"], ["c"])],
        "peak",
        [helper.make_tensor_value_info(name, kind, shape) for name in "ab"],
        [helper.make_tensor_value_info("c", kind, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    random = np.random.default_rng(0)
    inputs = {name: random.standard_normal(shape).astype(np.float32) for name in "ab"}
    return _best_rate(lambda: session.run(None, inputs))


def _peak_torch(runner: Runner, precision: str, threads: int) -> float:
    import torch

    dtypes = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
    place = "cuda" if runner.device.startswith("cuda") else "cpu"
    generator = torch.Generator(device=place).manual_seed(0)
    # Random values: a card clocks higher on zeros.
    left, right = (
        torch.randn(PEAK_SIZE, PEAK_SIZE, device=place, generator=generator).to(dtypes[precision])
        for _ in range(2)
    )
    threads_before = torch.get_num_threads()
    if threads > 0:
        torch.set_num_threads(threads)
    try:

        def product() -> None:
            for _ in range(20 if place == "cuda" else 1):
                left @ right
            if place == "cuda":
                torch.cuda.synchronize()

        return _best_rate(product) * (20 if place == "cuda" else 1)
    finally:
        torch.set_num_threads(threads_before)


def _best_rate(product: Any) -> float:
    product()
    best = float("inf")
    for _ in range(PEAK_RUNS):
        before = perf_counter()
        product()
        best = min(best, perf_counter() - before)
    return PEAK_SIZE**3 / best / 1e9


def _gpu_memory_mb(runner: Runner) -> float | None:
    if not runner.device.startswith("cuda"):
        return None
    try:
        import torch

        free, total = torch.cuda.mem_get_info()
    except (ImportError, RuntimeError):
        return None
    return round(float(total - free) / 1e6, 1)


class _MemoryWatch:
    """The largest resident size of the process, looked at every 20 ms."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak = process.memory_info().rss

    def _watch(self) -> None:
        while not self._stop.is_set():
            self.peak = max(self.peak, self._process.memory_info().rss)
            sleep(0.02)

    def __enter__(self) -> _MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
