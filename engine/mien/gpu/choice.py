"""Where the work of a run goes, and why."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from mien import _kernels
from mien.errors import DeviceError, UsageError
from mien.face_mesh import face_mesh
from mien.gpu.driver import Gpu
from mien.gpu.frame_path import FramePath
from mien.gpu.rasteriser import FallingBack, Painter, Rasteriser
from mien.gpu.shared_frame import SharedFrame
from mien.inference.cuda_driver import load_driver
from mien.types import U8Array

logger = logging.getLogger(__name__)

_RACE_RUNS = 15
_RACE_SIZE = (420, 400)  # a face in front of a 720p camera
_RACE_RADIUS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """What runs where.

    Attributes:
        draw: draws faces; has ``close`` where it holds a GPU.
        paint: draws a face and blends it with its frame, or returns None; None on the CPU, where
            these are two steps.
        device: ``cpu`` or ``cuda:0 (NAME)``.
        reason: why there.
    """

    draw: Rasteriser
    device: str
    reason: str
    paint: Painter | None = None

    def lines(self) -> list[str]:
        """For people: what runs where."""
        if self.device == "cpu":
            return [f"everything runs on the CPU; {self.reason}"]
        return [
            f"faces are drawn and blended on {self.device}; {self.reason}",
            "marks are drawn on the CPU",
        ]

    @property
    def gpu_ms(self) -> float:
        """What the GPU has worked so far, by its own clock; 0 on the CPU."""
        return self.draw.gpu_ms if isinstance(self.draw, FallingBack) else 0.0

    def lend(self, frame: SharedFrame) -> None:
        """Draws from pixels that are on a GPU already, if faces are drawn on that one."""
        if isinstance(self.draw, FallingBack):
            self.draw.lend(frame)

    def close(self) -> None:
        """Lets go of the GPU, if there is one."""
        close: Callable[[], None] | None = getattr(self.draw, "close", None)
        if close is not None:
            close()


def parse_device(text: str) -> str:
    """``auto``, ``cpu`` or ``cuda:N``; ``cuda`` is ``cuda:0``, ``auto:N`` looks at that GPU alone.

    Raises:
        UsageError: anything else.
    """
    if text in ("auto", "cpu"):
        return text
    match = re.fullmatch(r"(cuda|auto:(?=\d))(?::?(\d{1,3}))?", text)
    if match is None or (match[2] and ":" not in text):
        raise UsageError(f"there is no device {text!r}", "use auto, cpu or cuda:0")
    return f"{match[1].rstrip(':')}:{int(match[2] or 0)}"


def parse_devices(text: str) -> list[str]:
    """The devices that streams may be given to: one of :func:`parse_device`, ``cuda:all``, or the
    cards of ``cuda:0,1``, each once.

    Raises:
        UsageError: anything else.
    """
    if text == "cuda:all":
        return [text]
    first, *more = text.split(",")
    devices = [parse_device(first)]
    for number in more:
        if not re.fullmatch(r"cuda:\d{1,3}", devices[0]) or not re.fullmatch(r"\d{1,3}", number):
            raise UsageError(f"there is no device {text!r}", "use cuda:0,1 or cuda:all")
        devices.append(f"cuda:{int(number)}")
    return list(dict.fromkeys(devices))


def place(device: str, open_gpu: Callable[[int], Gpu] = Gpu) -> Placement:
    """Decides what runs where.

    ``auto`` takes the first GPU (``auto:N`` that one) if it draws the very same picture as the CPU,
    and does so sooner, copies included: both draw and blend a face. ``cuda:N`` must only draw the
    same picture.

    Raises:
        UsageError: no such device is known.
        DeviceError: the GPU that was asked for cannot be used.
    """
    wanted = parse_device(device)
    if wanted == "cpu":
        return Placement(draw=_kernels.raster_face, device="cpu", reason="asked for")
    kind, _, number = wanted.partition(":")
    index = int(number or 0)
    try:
        load_driver()  # the usual reason, in fewer words than PyCUDA's
        gpu = open_gpu(index)
    except DeviceError as error:
        if kind != "auto":
            raise
        return Placement(draw=_kernels.raster_face, device="cpu", reason=error.what)
    drawn = FallingBack(gpu, FramePath(gpu), _kernels.raster_face)
    try:
        gpu_ms, cpu_ms = _race(drawn)
    except DeviceError as error:
        drawn.close()
        if kind != "auto":
            raise
        return Placement(draw=_kernels.raster_face, device="cpu", reason=error.what)
    except BaseException:
        drawn.close()
        raise
    race = f"a face took {gpu_ms:.2f} ms there and {cpu_ms:.2f} ms on the CPU"
    if kind == "auto" and gpu_ms >= cpu_ms:
        name = gpu.label
        drawn.close()
        return Placement(
            draw=_kernels.raster_face, device="cpu", reason=f"quicker than {name}: {race}"
        )
    reason = f"quicker than the CPU: {race}" if kind == "auto" else f"asked for; {race}"
    return Placement(draw=drawn, paint=drawn.paint, device=gpu.label, reason=reason)


def _race(drawn: FallingBack) -> tuple[float, float]:
    """Milliseconds for a face in its frame by the GPU and by the CPU.

    Raises:
        DeviceError: the pictures differ.
    """
    scene = _scene()
    face: Any = scene[:8]
    frame: U8Array = scene[8]
    bgr = np.empty((*_RACE_SIZE, 3), np.uint8)
    matte, depth = np.empty(_RACE_SIZE, np.uint8), np.empty(_RACE_SIZE, np.float32)
    cpu = frame.copy()

    def on_gpu() -> None:
        painted = drawn.paint(face, frame, (0, 0), _RACE_SIZE, _RACE_RADIUS)
        assert painted is not None
        np.copyto(bgr, painted[0])

    draw: Any = _kernels.raster_face

    def on_cpu() -> None:
        draw(*scene, bgr, matte, depth)
        _kernels.blur_matte(matte, _RACE_RADIUS, 1)
        _kernels.blend(cpu, 0, 0, bgr, matte)

    gpu_ms = _median_ms(on_gpu)
    painted = bgr.copy()
    cpu_ms = _median_ms(on_cpu)
    np.copyto(cpu, frame)
    on_cpu()
    if not np.array_equal(painted, cpu):
        raise DeviceError(
            "the GPU does not draw the same face as the CPU", "report this with mien doctor"
        )
    return gpu_ms, cpu_ms


def _median_ms(work: Callable[[], None]) -> float:
    spent = []
    for _ in range(_RACE_RUNS + 2):
        before = perf_counter()
        work()
        spent.append((perf_counter() - before) * 1e3)
    return median(spent[2:])


def _scene() -> tuple[Any, ...]:
    """The canonical face, turned a little, in a picture without meaning."""
    mesh = face_mesh()
    height, width = _RACE_SIZE
    random = np.random.default_rng(0)
    cos, sin = np.cos(0.3), np.sin(0.3)
    turned = mesh.vertices @ np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])
    scale = height / 22.0
    place = np.stack(
        [turned[:, 0] * scale + width / 2, height / 2 - turned[:, 1] * scale, -turned[:, 2]], 1
    ).astype(np.float32)
    texture = random.integers(0, 256, (256, 256, 4), np.uint8)
    aux = random.integers(0, 256, (256, 256), np.uint8)
    count = len(place)
    lists = [
        np.ascontiguousarray(place[:, :2]),
        random.uniform(0.8, 1.2, (count, 3)).astype(np.float32),
        random.uniform(-9, 9, (count, 3)).astype(np.float32),
    ]
    for constant in (texture, aux):
        constant.flags.writeable = False
    frame = random.integers(0, 256, (height, width, 3), np.uint8)
    return (texture, aux, mesh.uv, place, *lists, mesh.triangles, frame, 0, 0)
