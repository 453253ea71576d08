"""PyCUDA itself over a played libcuda: run by test_pycuda.py in a process of its own.

Draws a face, then the same through a graph whose arguments change, and compares with the CPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mien import _kernels
from mien.gpu import (
    DrawnFace,
    FrameGraph,
    FramePath,
    Gpu,
    GpuKernels,
    KernelLibrary,
    Places,
    Transfers,
)
from mien.gpu.choice import _scene


def main(folder: Path) -> None:
    """Fails where PyCUDA or the driver's interface is not what the engine takes them for."""
    for name in ("raster", "frame", "patch", "yuv"):
        (folder / f"{name}.fatbin").write_bytes(b"a fatbin")
    places = Places(fatbins=[folder], sources=[], cache=None)
    with Gpu() as gpu:
        print(gpu.label, gpu.capability)
        kernels = GpuKernels(gpu, KernelLibrary(gpu, places))
        draw = FramePath(gpu, kernels)
        size = (420, 400)
        scene = _scene()
        bgr, matte = np.zeros((*size, 3), np.uint8), np.zeros(size, np.uint8)
        depth = np.zeros(size, np.float32)
        cpu = bgr.copy(), matte.copy(), depth.copy()
        for _ in range(5):
            draw(*scene, out_bgr=bgr, out_matte=matte, depth=depth)
        _kernels.raster_face(*scene, *cpu)
        assert np.array_equal(bgr, cpu[0])
        assert np.array_equal(matte, cpu[1])
        _painted(draw, scene, size)
        _graph(gpu, kernels)
        draw.close()
    print("same pictures")


def _painted(path: FramePath, scene: Any, size: tuple[int, int]) -> None:
    """Drawn and blended at once, in a BGR frame and in a 4:2:0 one."""
    face, frame = DrawnFace(*scene[:8]), scene[8]
    bgr, matte = np.empty((*size, 3), np.uint8), np.empty(size, np.uint8)
    _kernels.raster_face(*scene[:11], bgr, matte, np.empty(size, np.float32))
    _kernels.blur_matte(matte, 2, 1)
    expected = frame.copy()
    _kernels.blend(expected, 0, 0, bgr, matte)
    for _ in range(3):
        assert np.array_equal(path.paint(face, frame, (0, 0), size, 2)[0], expected)
    assert path.graph_refused == ""

    y, uv = np.full(size, 90, np.uint8), np.full((size[0] // 2, size[1] // 2, 2), 120, np.uint8)
    grey = np.empty((*size, 3), np.uint8)
    _kernels.nv12_to_bgr(y, uv, grey)
    _kernels.raster_face(*scene[:8], grey, 0, 0, bgr, matte, np.empty(size, np.float32))
    _kernels.blur_matte(matte, 2, 1)
    _kernels.blend(grey, 0, 0, bgr, matte)
    expected_y, expected_uv = np.empty_like(y), np.empty_like(uv)
    _kernels.bgr_to_nv12(grey, expected_y, expected_uv)
    path.paint_nv12(face, y, uv, (0, 0), size, 2)
    assert np.array_equal(y, expected_y)
    assert np.array_equal(uv, expected_uv)


def _graph(gpu: Gpu, kernels: GpuKernels) -> None:
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (60, 90, 3), np.uint8)
    patch, matte = rng.integers(0, 256, (20, 30, 3), np.uint8), np.full((20, 30), 99, np.uint8)
    transfers = Transfers(gpu, kernels.pool)
    bundle = transfers.upload([frame, patch, matte], gpu.stream)
    on_gpu = bundle.arrays
    kernels.feather_blend(on_gpu[0], 0, 0, on_gpu[1], on_gpu[2], 2)
    expected, soft = frame.copy(), matte.copy()
    _kernels.blur_matte(soft, 2, 1)
    _kernels.blend(expected, 0, 0, patch, soft)
    graph = FrameGraph(gpu)
    for left in (3, 3, 40, 17):

        def work(stream: Any, left: int = left) -> None:
            kernels.feather_blend(on_gpu[0], left, 9, on_gpu[1], on_gpu[2], 2, stream=stream)

        graph.run(left, work)
        _kernels.blend(expected, left, 9, patch, soft)
    assert np.array_equal(transfers.download(bundle, gpu.stream)[0], expected)
    assert (graph.recordings, graph.updates, graph.instantiations) == (3, 2, 1)
    graph.close()
    transfers.close()


if __name__ == "__main__":
    import sys

    main(Path(sys.argv[1]))
