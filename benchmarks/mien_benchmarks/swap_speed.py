"""The whole loop, frame by frame, beside MediaPipe's FaceMesh on the same frames.

Decoding and encoding are left out: their cost is that of the codec. The yardstick runs
between the measured frames of one process, so that a noisy machine is noisy for both.
"""

from __future__ import annotations

import gc
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter, process_time, sleep
from typing import Any

import cv2
import numpy as np
import psutil

from mien.config import GuardConfig, PipelineConfig, TrackerConfig
from mien.errors import MediaError
from mien.personas.persona import Persona
from mien.pipeline import Outcome, Pipeline
from mien.types import Frame, U8Array
from mien_benchmarks.frame_path import measure_frame_path, open_gpu
from mien_benchmarks.times import commit_of_checkout, spread
from mien_streamer.cli.report import device, versions
from mien_streamer.geometry import Geometry, with_geometry
from mien_streamer.sources import open_source

FORMAT = "mien-swap-1"
"""Another number for every change that breaks readers; see docs/benchmarks.md."""
WARM_UP = 15
MEMORY_FRAMES = 60
SEED = 7
RSS_EVERY = 50
SETTLE_S = 0.003
PATH_RUNS = 300
LOOP = "whole loop"

Yardstick = Callable[[U8Array], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSettings:
    """What to measure.

    Attributes:
        frames: how many frames, after the warm-up.
        size: (width, height).
        clip: what to run on, over and over; the bundled clip if None.
        swapper: which swapper.
        threads: threads of each network.
        yardstick: run MediaPipe beside it, where it is installed.
        device: as ``--device``; with a GPU its own times are measured too.
    """

    frames: int = 300
    size: tuple[int, int] = (1280, 720)
    clip: Path | None = None
    swapper: str = "mesh"
    threads: int = 1
    yardstick: bool = True
    device: str = "cpu"


def measure_swap(persona: Persona, settings: BenchSettings) -> dict[str, Any]:
    """All figures of the loop, ready for JSON.

    Raises:
        MediaError: the clip cannot be used.
        DeviceError: the GPU that was asked for cannot be used.
    """
    commit = commit_of_checkout()
    path, no_gpu = _frame_path(settings)
    config = PipelineConfig(
        device=settings.device,
        tracker=TrackerConfig(threads=settings.threads),
        guard=GuardConfig(mode="hold"),
    )
    with Pipeline.create(config, settings.swapper) as pipeline:
        pipeline.set_persona(persona, wait=True)
        # Before the yardstick is loaded, which is as large as mien itself.
        peak_rss_mb = _peak_memory(pipeline, settings)
        with ExitStack() as stack:
            yardsticks = _open_yardsticks(stack) if settings.yardstick else {}
            samples = _sample(pipeline, settings, yardsticks)
        where = pipeline.where
    result = _result(commit, persona, settings, samples, peak_rss_mb)
    return {**result, "where": where, "no_gpu_because": no_gpu, "gpu_frame_path": path}


def _frame_path(settings: BenchSettings) -> tuple[dict[str, Any] | None, str]:
    """The GPU's part of a frame alone, or why there is none."""
    gpu, why_not = open_gpu(settings.device)
    if gpu is None:
        return None, why_not
    with gpu:
        runs = min(max(settings.frames, 30), PATH_RUNS)
        return measure_frame_path(gpu, settings.size, runs), ""


def _result(
    commit: str | None,
    persona: Persona,
    settings: BenchSettings,
    samples: _Samples,
    peak_rss_mb: float,
) -> dict[str, Any]:
    names = [name for name in samples.times if name != LOOP]
    total = samples.wall(LOOP)
    cpu = {name: samples.cpu(name) for name in (LOOP, *names)}
    return {
        "format": FORMAT,
        "commit": commit,
        "device": device(),
        "load_average": [round(load, 2) for load in psutil.getloadavg()],
        "versions": versions(),
        "settings": {
            **asdict(settings),
            "clip": settings.clip and str(settings.clip),
            "seed": SEED,
        },
        "persona": persona.name,
        "size": f"{settings.size[0]}x{settings.size[1]}",
        "frames": len(samples.times[LOOP]),
        "swapped": samples.swapped,
        "face_px": round(float(np.median(samples.faces)), 1) if samples.faces else 0.0,
        "stages_ms": {name: spread(times) for name, times in samples.stages.items()},
        "total_ms": total,
        "jitter": _jitter(samples.series(LOOP)),
        "gpu_ms": samples.gpu(),
        "series_ms": {
            "total": [round(ms, 3) for ms in samples.series(LOOP)],
            **{name: [round(ms, 3) for ms in times] for name, times in samples.stages.items()},
        },
        "fps": round(1000.0 / float(np.mean([t.wall_ms for t in samples.times[LOOP]])), 2),
        "cpu_ms": cpu,
        "peak_rss_mb": round(peak_rss_mb, 1),
        "rss_during_run_mb": {
            "first": round(samples.rss_mb[0], 1),
            "last": round(samples.rss_mb[-1], 1),
            "most": round(max(samples.rss_mb), 1),
            "every_1000_frames": [round(mb, 1) for mb in samples.rss_mb[:: 1000 // RSS_EVERY]],
            "yardstick_included": bool(names),
        },
        "yardstick_ms": {name: samples.wall(name) for name in names},
        "ratio_to_yardstick": {
            name: {
                "wall": round(total["p50"] / samples.wall(name)["p50"], 3),
                "cpu": round(cpu[LOOP]["p50"] / cpu[name]["p50"], 3),
                "cpu_p10": round(cpu[LOOP]["p10"] / cpu[name]["p10"], 3),
            }
            for name in names
        },
    }


@dataclass(frozen=True, slots=True)
class _Times:
    """One run on one frame: by the clock, and in processor time of all threads.

    The clock is what a user feels; processor time stays the same when the machine is busy
    with something else.
    """

    wall_ms: float
    cpu_ms: float


class _Samples:
    def __init__(self) -> None:
        self.times: dict[str, list[_Times]] = {}
        self.stages: dict[str, list[float]] = {}
        self.faces: list[float] = []
        self.rss_mb: list[float] = []
        self.gpu_ms: list[float] = []
        self.swapped = 0

    def series(self, name: str) -> list[float]:
        return [times.wall_ms for times in self.times[name]]

    def gpu(self) -> dict[str, float] | None:
        """What the GPU worked on a frame by its own clock, and its share of the loop's time."""
        if not any(self.gpu_ms):
            return None
        gaps = [ms - gpu for ms, gpu in zip(self.stages["swap"], self.gpu_ms, strict=False)]
        return {
            **spread(self.gpu_ms),
            "busy_share": round(sum(self.gpu_ms) / max(sum(self.series(LOOP)), 1e-9), 4),
            "host_gap_in_swap_p50": round(float(np.median(gaps)), 3),
        }

    def wall(self, name: str) -> dict[str, float]:
        return spread([times.wall_ms for times in self.times[name]])

    def cpu(self, name: str) -> dict[str, float]:
        return spread([times.cpu_ms for times in self.times[name]])


def _sample(
    pipeline: Pipeline, settings: BenchSettings, yardsticks: dict[str, Yardstick]
) -> _Samples:
    samples = _Samples()
    order = np.random.default_rng(SEED)
    process = psutil.Process()
    wanted = settings.frames + WARM_UP
    for number, frame in enumerate(itertools.islice(_endless(settings), wanted)):
        rgb = np.asarray(cv2.cvtColor(frame.bgr, cv2.COLOR_BGR2RGB), np.uint8)
        worked = pipeline.gpu_ms
        outcome, times = _race(pipeline, frame, rgb, yardsticks, order)
        if number < WARM_UP:
            continue
        if number % RSS_EVERY == WARM_UP:
            samples.rss_mb.append(process.memory_info().rss / 1e6)
        samples.gpu_ms.append(pipeline.gpu_ms - worked)
        samples.swapped += outcome.swapped > 0
        for name, time in times.items():
            samples.times.setdefault(name, []).append(time)
        for name, time_ms in outcome.stage_ms.items():
            samples.stages.setdefault(name, []).append(time_ms)
        samples.faces += [t.box[3] - t.box[1] for t in outcome.tracks if t.is_performer]
    return samples


def _jitter(times_ms: list[float]) -> dict[str, float]:
    """How unevenly frames come: between neighbours, and the slow ones against the usual."""
    values = np.asarray(times_ms)
    p50, p99 = np.percentile(values, (50, 99))
    steps = np.abs(np.diff(values)) if len(values) > 1 else np.zeros(1)
    return {
        "mean_step_ms": round(float(steps.mean()), 3),
        "deviation_ms": round(float(values.std()), 3),
        "p99_over_p50": round(float(p99 / max(p50, 1e-9)), 3),
    }


def _race(
    pipeline: Pipeline,
    frame: Frame,
    rgb: U8Array,
    yardsticks: dict[str, Yardstick],
    order: np.random.Generator,
) -> tuple[Outcome, dict[str, _Times]]:
    """Times everybody on one frame, in an order drawn anew for each: whoever runs after
    another finds its caches cold and its threads still spinning."""
    names = [LOOP, *yardsticks]
    times: dict[str, _Times] = {}
    outcome: Outcome | None = None
    for place in order.permutation(len(names)):
        name = names[place]
        if yardsticks:
            # MediaPipe's threads go on for half a millisecond after it has answered, which
            # counted as the processor time of whoever came next.
            sleep(SETTLE_S)
        before, cpu_before = perf_counter(), process_time()
        if name == LOOP:
            outcome = pipeline.process(frame)
        else:
            yardsticks[name](rgb)
        wall, cpu = perf_counter() - before, process_time() - cpu_before
        times[name] = _Times(wall * 1e3, cpu * 1e3)
    assert outcome is not None
    return outcome, times


def _peak_memory(pipeline: Pipeline, settings: BenchSettings) -> float:
    process = psutil.Process()
    peak = 0
    for frame in itertools.islice(_endless(settings), MEMORY_FRAMES):
        pipeline.process(frame)
        peak = max(peak, process.memory_info().rss)
    return peak / 1e6


def _endless(settings: BenchSettings) -> Iterator[Frame]:
    """The clip forwards, again and again; indices and times go on."""
    with as_file(files("mien_streamer").joinpath("demo", "driver.mp4")) as bundled:
        clip = settings.clip or bundled
        index, offset_ns, last_ns = 0, 0, -1
        while True:
            source = with_geometry(open_source(str(clip)), Geometry(size=settings.size))
            before = index
            try:
                for frame in source.frames():
                    last_ns = frame.pts_ns + offset_ns
                    yield replace(frame, index=index, pts_ns=last_ns)
                    index += 1
            finally:
                source.close()
            # A decoded picture that was asked for its rotation refers to itself; Python,
            # blind to its size, would let a dozen lie. Nobody else opens a file so often.
            gc.collect()
            if index == before:
                raise MediaError(f"{clip} holds no frame", "choose another clip")
            offset_ns = last_ns + 33_333_333


def _open_yardsticks(stack: ExitStack) -> dict[str, Yardstick]:
    """MediaPipe's FaceMesh with and without irises; nothing where it is not installed."""
    if find_spec("mediapipe") is None:
        return {}
    # Its C++ logs go to stderr, over the table.
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import mediapipe

    face_mesh = mediapipe.solutions.face_mesh.FaceMesh
    opened = {}
    for name, refine in (("FaceMesh 468", False), ("FaceMesh 478", True)):
        mesh = stack.enter_context(
            face_mesh(static_image_mode=False, max_num_faces=1, refine_landmarks=refine)
        )
        opened[name] = mesh.process
    return opened
