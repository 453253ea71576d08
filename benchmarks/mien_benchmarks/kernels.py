"""Each kernel alone: milliseconds, bytes that it must move, and the share of a plain copy's rate.

Bytes are what an ideal kernel would read and write once. On a CPU small pictures stay in the
caches, so that shares above one are possible; a copy there is of memory far larger than those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

import cv2
import numpy as np
import psutil

from mien import _kernels
from mien.errors import DeviceError
from mien.face_mesh import face_mesh
from mien.gpu import Gpu, GpuKernels, Transfers
from mien_benchmarks.times import commit_of_checkout, spread
from mien_streamer.cli.report import device, versions

FORMAT = "mien-kernels-1"
COPY_BYTES = 128 << 20
WARM_UP = 3
SEED = 11
RADIUS = 2


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


@dataclass(frozen=True, slots=True)
class Case:
    """One kernel at work: who can do it, by name, and the bytes it must move."""

    name: str
    nbytes: int
    arrays: tuple[Any, ...]
    settings: tuple[Any, ...]
    on_host: dict[str, Callable[[], object]]


def measure_kernels(settings: KernelBenchSettings) -> dict[str, Any]:
    """All figures, ready for JSON.

    Raises:
        DeviceError: the GPU that was asked for cannot be used.
    """
    cases = list(make_cases(settings))
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


def make_cases(settings: KernelBenchSettings) -> Iterator[Case]:
    """Every kernel on a frame of the asked size."""
    width, height = settings.size
    rng = np.random.default_rng(SEED)
    pixels = width * height
    threads = settings.threads
    frame = rng.integers(0, 256, (height, width, 3), np.uint8)
    patch = rng.integers(0, 256, (height, width, 3), np.uint8)
    # Nowhere clear: the CPU's blend skips what is.
    matte = rng.integers(1, 256, (height, width), np.uint8)
    k = _kernels
    half = ((height + 1) // 2, (width + 1) // 2)
    luma, chroma = np.empty((height, width), np.uint8), np.empty((*half, 2), np.uint8)

    yield Case(
        "blend",
        10 * pixels,
        (frame, patch, matte),
        (),
        {
            "mien": lambda: k.blend(frame, 0, 0, patch, matte, threads),
            "NumPy": lambda: _numpy_blend(frame, patch, matte),
        },
    )
    yield Case(
        "blur_matte",
        2 * pixels,
        (matte,),
        (RADIUS, 1),
        {
            "mien": lambda: k.blur_matte(matte, RADIUS, 1, threads),
            "OpenCV": lambda: cv2.blur(matte, (2 * RADIUS + 1,) * 2),
        },
    )
    own, wanted = (rng.uniform(60, 200, (16, 12, 3)).astype(np.float32) for _ in range(2))
    yield Case(
        "light_transfer",
        6 * pixels,
        (patch, own, wanted),
        (),
        {"mien": lambda: k.light_transfer(patch, own, wanted, threads=threads)},
    )
    yield Case(
        "bgr_to_nv12",
        3 * pixels + pixels * 3 // 2,
        (frame, luma, chroma),
        (),
        {
            "mien": lambda: k.bgr_to_nv12(frame, luma, chroma, "bt709", threads),
            **_even("OpenCV", frame, lambda: cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420)),
        },
    )
    stacked = np.concatenate([luma, chroma.reshape(half[0], -1)])[:, :width]
    yield Case(
        "nv12_to_bgr",
        3 * pixels + pixels * 3 // 2,
        (luma, chroma, patch),
        (),
        {
            "mien": lambda: k.nv12_to_bgr(luma, chroma, patch, "bt709", threads),
            **_even("OpenCV", frame, lambda: cv2.cvtColor(stacked, cv2.COLOR_YUV2BGR_NV12)),
        },
    )
    yield _raster_case(frame, rng, threads)


def _raster_case(frame: Any, rng: np.random.Generator, threads: int) -> Case:
    lists, (left, top), (rows, columns) = face_in_frame(frame, rng)
    out = (
        np.empty((rows, columns, 3), np.uint8),
        np.empty((rows, columns), np.uint8),
        np.empty((rows, columns), np.float32),
    )
    texture, aux = lists[:2]
    return Case(
        "raster_face",
        11 * rows * columns + texture.nbytes + aux.nbytes,
        (*lists, frame, *out),
        (left, top),
        {"mien": lambda: _kernels.raster_face(*lists, frame, left, top, *out, threads)},
    )


def face_in_frame(
    frame: Any, rng: np.random.Generator
) -> tuple[tuple[Any, ...], tuple[int, int], tuple[int, int]]:
    """A face that fills two thirds of the frame's height.

    Returns:
        The first eight arrays of ``raster_face``, and (left, top) and (height, width) of the part
        that the face covers.
    """
    mesh = face_mesh()
    height, width = frame.shape[:2]
    scale = height / 27.0
    place = np.stack(
        [
            mesh.vertices[:, 0] * scale + width / 2,
            height / 2 - mesh.vertices[:, 1] * scale,
            -mesh.vertices[:, 2] * scale,
        ],
        axis=1,
    ).astype(np.float32)
    low = np.floor(place[:, :2].min(axis=0)).astype(int)
    high = np.ceil(place[:, :2].max(axis=0)).astype(int) + 1
    columns, rows = (int(size) for size in high - low)
    texture = rng.integers(0, 256, (512, 512, 4), np.uint8)
    aux = np.full((512, 512), 255, np.uint8)
    count = len(place)
    source = np.ascontiguousarray(place[:, :2])
    gain, offset = np.ones((count, 3), np.float32), np.zeros((count, 3), np.float32)
    arrays = (texture, aux, mesh.uv.copy(), place, source, gain, offset, mesh.triangles.copy())
    return arrays, (int(low[0]), int(low[1])), (rows, columns)


def _even(name: str, frame: Any, work: Callable[[], object]) -> dict[str, Callable[[], object]]:
    """The work, where both sizes are even: OpenCV takes no other 4:2:0."""
    return {name: work} if frame.shape[0] % 2 == frame.shape[1] % 2 == 0 else {}


def _numpy_blend(frame: Any, patch: Any, matte: Any) -> Any:
    weight = matte[..., None].astype(np.uint16)
    mixed = frame * (255 - weight) + patch * weight + 128
    return ((mixed + (mixed >> 8)) >> 8).astype(np.uint8)


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
    if settings.device == "cpu":
        return None, "not asked for"
    index = 0 if settings.device == "auto" else int(settings.device.partition(":")[2] or 0)
    try:
        gpu = Gpu(index)
    except DeviceError as error:
        if settings.device != "auto":
            raise
        return None, error.what
    with gpu:
        kernels = GpuKernels(gpu)
        transfers = Transfers(gpu, kernels.pool)
        copies["gpu"] = _gpu_copy_rate(gpu, kernels)
        for case in cases:
            bundle = transfers.upload(list(case.arrays), gpu.stream)
            work = _gpu_work(case, kernels, bundle.arrays)
            times = _gpu_times(gpu, work, settings.runs)
            rows.append(_row(case, gpu.name, times, copies["gpu"]))
        about = {
            "name": gpu.name,
            "capability": ".".join(map(str, gpu.capability)),
            "driver_cuda": int(gpu.cuda.get_driver_version()),
            "kernels_from": dict(kernels.library.origins),
        }
        transfers.close()
        kernels.close()
    return about, ""


def _gpu_work(case: Case, kernels: GpuKernels, arrays: list[Any]) -> Callable[[], None]:
    if case.name == "blend":
        return lambda: kernels.blend(arrays[0], 0, 0, arrays[1], arrays[2])
    if case.name == "raster_face":
        return lambda: kernels.raster_face(*arrays[:9], *case.settings, *arrays[9:])
    function = getattr(kernels, case.name)
    return lambda: function(*arrays, *case.settings)


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
