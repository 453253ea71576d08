"""What ``mien bench kernels`` runs: each kernel at work on a frame, on the host and on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from mien import _kernels
from mien.face_mesh import face_mesh
from mien.gpu import GpuKernels
from mien.gpu.filtered_lrelu import filtered_lrelu

SEED = 11
RADIUS = 2
CROP = 192
POINT_RADIUS = 6
# A layer in the middle of a 256-pixel StyleGAN3-T.
CHANNELS, SIDE, TAPS = 128, 84, 12
LRELU = (2, 2, 11, 11, 2.0**0.5, 0.2, 256.0)  # up, down, pads, gain, slope, clamp


@dataclass(frozen=True, slots=True)
class Case:
    """One kernel at work.

    Attributes:
        name: of the kernel.
        nbytes: that it must move.
        arrays: what it works on, on the host.
        on_host: who can do it there, by name.
        on_gpu: launches it on the same arrays on a GPU.
        settings: that another maker of it must know.
    """

    name: str
    nbytes: int
    arrays: tuple[Any, ...]
    on_host: dict[str, Callable[[], object]]
    on_gpu: Callable[[GpuKernels, Any], None]
    settings: tuple[Any, ...] = ()


def make_cases(size: tuple[int, int], threads: int) -> Iterator[Case]:
    """Every kernel on a frame of (width, height); the CPU's with so many threads."""
    width, height = size
    rng = np.random.default_rng(SEED)
    pixels = width * height
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
        {
            "mien": lambda: k.blend(frame, 0, 0, patch, matte, threads),
            "NumPy": lambda: _numpy_blend(frame, patch, matte),
        },
        lambda gpu, a: gpu.blend(a[0], 0, 0, a[1], a[2]),
    )
    yield Case(
        "blur_matte",
        2 * pixels,
        (matte,),
        {
            "mien": lambda: k.blur_matte(matte, RADIUS, 1, threads),
            "OpenCV": lambda: cv2.blur(matte, (2 * RADIUS + 1,) * 2),
        },
        lambda gpu, a: gpu.blur_matte(a[0], RADIUS, 1),
    )
    own, wanted = (rng.uniform(60, 200, (16, 12, 3)).astype(np.float32) for _ in range(2))
    yield Case(
        "light_transfer",
        6 * pixels,
        (patch, own, wanted),
        {"mien": lambda: k.light_transfer(patch, own, wanted, threads=threads)},
        lambda gpu, a: gpu.light_transfer(*a),
    )
    yield Case(
        "bgr_to_nv12",
        3 * pixels + pixels * 3 // 2,
        (frame, luma, chroma),
        {
            "mien": lambda: k.bgr_to_nv12(frame, luma, chroma, "bt709", threads),
            **_even("OpenCV", frame, lambda: cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420)),
        },
        lambda gpu, a: gpu.bgr_to_nv12(*a),
    )
    stacked = np.concatenate([luma, chroma.reshape(half[0], -1)])[:, :width]
    yield Case(
        "nv12_to_bgr",
        3 * pixels + pixels * 3 // 2,
        (luma, chroma, patch),
        {
            "mien": lambda: k.nv12_to_bgr(luma, chroma, patch, "bt709", threads),
            **_even("OpenCV", frame, lambda: cv2.cvtColor(stacked, cv2.COLOR_YUV2BGR_NV12)),
        },
        lambda gpu, a: gpu.nv12_to_bgr(*a),
    )
    yield _raster_case(frame, rng, threads)
    yield _crop_case(frame)
    yield _points_case(frame, rng, threads)
    yield _lrelu_case(rng, threads)


def _raster_case(frame: Any, rng: np.random.Generator, threads: int) -> Case:
    lists, (left, top), (rows, columns) = face_in_frame(frame, rng)
    out = (
        np.empty((rows, columns, 3), np.uint8),
        np.empty((rows, columns), np.uint8),
        np.empty((rows, columns), np.float32),
    )
    texture, aux = lists[:2]
    draw: Any = _kernels.raster_face

    def on_gpu(gpu: Any, a: Any) -> None:
        gpu.raster_face(*a[:9], left, top, *a[9:])

    return Case(
        "raster_face",
        11 * rows * columns + texture.nbytes + aux.nbytes,
        (*lists, frame, *out),
        {"mien": lambda: draw(*lists, frame, left, top, *out, threads)},
        on_gpu,
    )


def _crop_case(frame: Any) -> Case:
    """The upright crop of the landmark network, of a face two thirds of the frame high."""
    height, width = frame.shape[:2]
    k = height / CROP
    turn = np.array([[k, 0.1 * k, width / 2 - k * CROP / 2], [-0.1 * k, k, 0.0]])
    out = np.empty((3, CROP, CROP), np.float32)
    bgr, planes = np.empty((CROP, CROP, 3), np.uint8), np.empty((3, CROP, CROP), np.uint8)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP

    def with_opencv() -> None:
        cv2.warpAffine(
            frame, turn, (CROP, CROP), dst=bgr, flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        for channel in range(3):
            cv2.extractChannel(bgr, 2 - channel, planes[channel])
        np.multiply(planes, np.float32(1 / 255), out=out)

    return Case(
        "warp_crop",
        CROP * CROP * (3 + 12),
        (frame, out),
        {"OpenCV": with_opencv},
        lambda gpu, a: gpu.warp_crop(a[0], turn, a[1]),
        (turn,),
    )


def _points_case(frame: Any, rng: np.random.Generator, threads: int) -> Case:
    del threads  # the CPU's is quicker with one
    count = len(face_mesh().vertices)
    height, width = frame.shape[:2]
    points = (rng.random((count, 2)) * (width - 1, height - 1)).astype(np.float32)
    colours = np.empty((count, 3), np.float32)
    side = 2 * POINT_RADIUS + 1
    return Case(
        "sample_points",
        count * (3 * side * side + 20),
        (frame, points, colours),
        {"mien": lambda: _kernels.sample_points(frame, points, colours, POINT_RADIUS)},
        lambda gpu, a: gpu.sample_points(a[0], a[1], a[2], POINT_RADIUS),
    )


def _lrelu_case(rng: np.random.Generator, threads: int) -> Case:
    x = rng.normal(size=(1, CHANNELS, SIDE, SIDE)).astype(np.float32)
    bias = rng.normal(size=CHANNELS).astype(np.float32)
    taps = np.hanning(TAPS + 2)[1:-1].astype(np.float32)
    rise, fall = 2 * taps / taps.sum(), taps / taps.sum()
    y = np.empty_like(x)
    return Case(
        "filtered_lrelu",
        x.nbytes + y.nbytes,
        (x, y, bias, rise, fall),
        {"mien": lambda: _kernels.filtered_lrelu(x, y, bias, rise, fall, *LRELU, threads=threads)},
        lambda gpu, a: filtered_lrelu(gpu, a[0], a[1], a[2], a[3], a[4], *LRELU),
        LRELU,
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
