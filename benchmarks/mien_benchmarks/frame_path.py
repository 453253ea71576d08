"""The whole way of a frame over a GPU: each step by the card's clock, and the host's part.

One face, two thirds of the frame high, drawn into a BGR frame and into a 4:2:0 one. As a graph
the way is timed from end to end; its steps are timed in other runs, without the graph.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

from mien.errors import DeviceError
from mien.gpu import DrawnFace, FramePath, Gpu
from mien.inference.cuda_driver import load_driver
from mien_benchmarks.kernel_cases import RADIUS, SEED, face_in_frame
from mien_benchmarks.times import spread

WARM_UP = 5


def open_gpu(device: str) -> tuple[Gpu | None, str]:
    """The GPU of ``auto`` or ``cuda:N``, or why there is none.

    Raises:
        DeviceError: it was asked for by number and cannot be used.
    """
    if device == "cpu":
        return None, "not asked for"
    index = 0 if device == "auto" else int(device.partition(":")[2] or 0)
    try:
        load_driver()  # the usual reason, in fewer words than PyCUDA's
        return Gpu(index), ""
    except DeviceError as error:
        if device != "auto":
            raise
        return None, error.what


def about_gpu(gpu: Gpu, path: FramePath | None = None) -> dict[str, Any]:
    """The card, for a result."""
    about: dict[str, Any] = {
        "name": gpu.name,
        "capability": ".".join(map(str, gpu.capability)),
        "processors": gpu.processors,
        "driver_cuda": int(gpu.cuda.get_driver_version()),
    }
    if path is not None:
        about["kernels_from"] = path.origins
        about["no_graph_because"] = path.graph_refused
    return about


def measure_frame_path(gpu: Gpu, size: tuple[int, int], runs: int) -> dict[str, Any]:
    """Figures of the way, for JSON.

    Args:
        gpu: where.
        size: (width, height) of the frame.
        runs: timed runs of each kind.

    Returns:
        ``gpu``, and by form (``bgr``, ``nv12``): ``bytes_up``, ``bytes_down``, ``gpu_ms`` of the
        graph from end to end, ``call_ms`` by the host's clock, ``host_gap_ms`` of a call in which
        the card did nothing, and ``steps_ms``.
    """
    width, height = size
    rng = np.random.default_rng(SEED)
    frame = rng.integers(0, 256, (height, width, 3), np.uint8)
    half = ((height + 1) // 2, (width + 1) // 2, 2)
    y, uv = rng.integers(16, 236, (height, width), np.uint8), np.full(half, 120, np.uint8)
    arrays, at, part = face_in_frame(frame, rng)
    for constant in (arrays[0], arrays[1], arrays[2], arrays[7]):
        constant.flags.writeable = False  # as a persona's are
    face = DrawnFace(*arrays)
    path = FramePath(gpu)
    try:
        forms: dict[str, Callable[[Any], object]] = {
            "bgr": lambda mark: path.paint(face, frame, at, part, RADIUS, mark),
            "nv12": lambda mark: path.paint_nv12(face, y, uv, at, part, RADIUS, mark=mark),
        }
        result: dict[str, Any] = {
            form: _measure(gpu, path, work, runs) for form, work in forms.items()
        }
        return {"part": list(part), **result, "gpu": about_gpu(gpu, path)}
    finally:
        path.close()


def _measure(gpu: Gpu, path: FramePath, work: Callable[[Any], object], runs: int) -> dict[str, Any]:
    on_gpu, calls = [], []
    for number in range(WARM_UP + runs):
        worked, before = path.gpu_ms, perf_counter()
        work(None)
        if number >= WARM_UP:
            calls.append((perf_counter() - before) * 1e3)
            on_gpu.append(path.gpu_ms - worked)
    up, down = path.bytes_moved
    return {
        "bytes_up": up,
        "bytes_down": down,
        "gpu_ms": spread(on_gpu),
        "call_ms": spread(calls),
        "host_gap_ms": spread([call - busy for call, busy in zip(calls, on_gpu, strict=True)]),
        "steps_ms": {name: spread(times) for name, times in _steps(gpu, work, runs).items()},
    }


def _steps(gpu: Gpu, work: Callable[[Any], object], runs: int) -> dict[str, list[float]]:
    """Milliseconds from each step's end to the next one's, by the card's clock."""
    times: dict[str, list[float]] = {}
    for number in range(WARM_UP + runs):
        marks: list[tuple[str, Any]] = []

        def mark(step: str, into: list[tuple[str, Any]] = marks) -> None:
            event = gpu.cuda.Event()
            event.record(gpu.stream)
            into.append((step, event))

        with gpu.current("timing"):
            start = gpu.cuda.Event()
            start.record(gpu.stream)
        work(mark)
        with gpu.current("timing"):
            if number >= WARM_UP:
                before = start
                for step, event in marks:
                    times.setdefault(step, []).append(float(before.time_till(event)))
                    before = event
            marks.clear()  # events go while the context is current
            del start
    return times
