"""Each kernel alone: milliseconds, bytes that it must move, and the share of a plain copy's rate.

Bytes are what an ideal kernel would read and write once. On a CPU small pictures stay in the
caches, so that shares above one are possible; a copy there is of memory far larger than those.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from time import perf_counter
from typing import Any

import cv2
import numpy as np
import psutil

from mien.gpu import Gpu, GpuKernels, Transfers
from mien_benchmarks.frame_path import open_gpu
from mien_benchmarks.kernel_cases import SEED, Case, make_cases
from mien_benchmarks.kernel_torch import torch_times
from mien_benchmarks.times import commit_of_checkout, spread
from mien_streamer.cli.report import device, versions

FORMAT = "mien-kernels-1"
COPY_BYTES = 128 << 20
WARM_UP = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelBenchSettings:
    """What to measure.

    Attributes:
        size: (width, height) of the frame.
        runs: timed runs of each kernel.
        threads: of the CPU's kernels; NumPy and OpenCV get the same.
        device: ``auto``, ``cpu``, or ``cuda:N``, which must work.
    """

    size: tuple[int, int] = (1920, 1080)
    runs: int = 50
    threads: int = 1
    device: str = "auto"


def measure_kernels(settings: KernelBenchSettings) -> dict[str, Any]:
    """All figures, ready for JSON.

    Raises:
        DeviceError: the GPU that was asked for cannot be used.
    """
    cases = list(make_cases(settings.size, settings.threads))
    threads_before = cv2.getNumThreads()
    cv2.setNumThreads(settings.threads)
    try:
        copies = {"cpu": _copy_rate()}
        rows = [
            _row(case, who, _host_times(work, settings.runs), copies["cpu"])
            for case in cases
            for who, work in case.on_host.items()
        ]
    finally:
        cv2.setNumThreads(threads_before)
    gpu, why_not = _on_gpu(cases, settings, copies, rows)
    return {
        "format": FORMAT,
        "commit": commit_of_checkout(),
        "device": device(),
        "load_average": [round(load, 2) for load in psutil.getloadavg()],
        "gpu": gpu,
        "no_gpu_because": why_not,
        "versions": {**versions(), "opencv": cv2.__version__},
        "settings": {**asdict(settings), "seed": SEED},
        "copy_gb_s": {where: round(rate, 2) for where, rate in copies.items()},
        "kernels": rows,
    }


def _host_times(work: Callable[[], object], runs: int) -> list[float]:
    times = []
    for number in range(WARM_UP + runs):
        before = perf_counter()
        work()
        if number >= WARM_UP:
            times.append((perf_counter() - before) * 1e3)
    return times


def _copy_rate() -> float:
    """GB/s read and written by the best of a few large copies."""
    source, target = np.ones(COPY_BYTES, np.uint8), np.empty(COPY_BYTES, np.uint8)
    times = _host_times(lambda: np.copyto(target, source), 7)
    return 2 * COPY_BYTES / min(times) / 1e6


def _row(case: Case, who: str, times: list[float], copy_gb_s: float) -> dict[str, Any]:
    ms = spread(times)
    rate = case.nbytes / max(float(np.median(times)), 1e-9) / 1e6
    return {
        "kernel": case.name,
        "by": who,
        "ms": ms,
        "bytes": case.nbytes,
        "gb_s": round(rate, 2),
        "share_of_copy": round(rate / copy_gb_s, 3),
    }


def _on_gpu(
    cases: list[Case],
    settings: KernelBenchSettings,
    copies: dict[str, float],
    rows: list[dict[str, Any]],
) -> tuple[dict[str, Any] | None, str]:
    """Adds the GPU's rows; what the GPU is, or why there is none."""
    gpu, why_not = open_gpu(settings.device)
    if gpu is None:
        return None, why_not
    with gpu:
        kernels = GpuKernels(gpu)
        transfers = Transfers(gpu, kernels.pool)
        copies["gpu"] = _gpu_copy_rate(gpu, kernels)
        for case in cases:
            bundle = transfers.upload(list(case.arrays), gpu.stream)
            times = _gpu_times(gpu, partial(case.on_gpu, kernels, bundle.arrays), settings.runs)
            rows.append(_row(case, gpu.name, times, copies["gpu"]))
        for case, times in torch_times(cases, gpu.index, WARM_UP, settings.runs):
            rows.append(_row(case, f"PyTorch, {gpu.name}", times, copies["gpu"]))
        about = {
            "name": gpu.name,
            "capability": ".".join(map(str, gpu.capability)),
            "driver_cuda": int(gpu.cuda.get_driver_version()),
            "kernels_from": dict(kernels.library.origins),
        }
        transfers.close()
        kernels.close()
    return about, ""


def _gpu_times(gpu: Gpu, work: Callable[[], None], runs: int) -> list[float]:
    """Times by the GPU's own clock, launch by launch."""
    with gpu.current("timing"):
        marks = [(gpu.cuda.Event(), gpu.cuda.Event()) for _ in range(runs)]
    for _ in range(WARM_UP):
        work()
    for start, end in marks:
        with gpu.current("timing"):
            start.record(gpu.stream)
        work()
        with gpu.current("timing"):
            end.record(gpu.stream)
    gpu.synchronize()
    with gpu.current("timing"):
        times = [float(start.time_till(end)) for start, end in marks]
        marks.clear()  # events go while the context is current
    return times


def _gpu_copy_rate(gpu: Gpu, kernels: GpuKernels) -> float:
    source, target = (kernels.pool.take(COPY_BYTES) for _ in range(2))

    def copy() -> None:
        with gpu.current("copying"):
            gpu.cuda.memcpy_dtod_async(target.pointer, source.pointer, COPY_BYTES, gpu.stream)

    return 2 * COPY_BYTES / max(min(_gpu_times(gpu, copy, 7)), 1e-9) / 1e6
