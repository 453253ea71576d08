"""A face in a frame: one copy up, one copy down, all between as one CUDA graph.

The upload holds the pixels and everything else that differs from frame to frame, the kernels'
arguments among it: the graph is recorded once and launched as it is. It takes other arguments
over, in place, only when a copy's length has to change, which :class:`~mien.gpu.lanes.Lane`
keeps rare.
"""

from __future__ import annotations

import ctypes
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.gpu.arguments import check_inside, check_range
from mien.gpu.drawn_face import DrawnFace
from mien.gpu.driver import Gpu
from mien.gpu.kernels import GpuKernels, launch
from mien.gpu.lanes import Lane, Layout, Placed
from mien.gpu.memory import DeviceArray
from mien.gpu.packing import TRIANGLE_BYTES, Face, FaceMesh, FramePart, pack, view, yuv_matrix
from mien.gpu.queueing import FrameWork, Mark
from mien.gpu.shared_frame import MOST_MENDS, FramePixels, SharedFrame
from mien.gpu.transfers import Transfers
from mien.types import F32Array, U8Array

MOST_RADIUS = 8
"""Pixels that the softening of :meth:`FramePath.paint` may reach."""

_KERNELS = ("mien_frame_mend", "mien_frame_cover", "mien_frame_composite", "mien_frame_to_yuv")
_MOST_CONSTANTS = 16
_TEAM = 4  # triangles of a block
_BLOCKS_A_PROCESSOR = 4
_FIRST_NUMBER = 0xFFFE  # memory that no frame has written is all ones
_RAW = -1


class FramePath:
    """Draws faces into frames that lie on the host. One thread at a time.

    Every call is one upload, one launch of a graph, one download and one wait. Memory is taken
    in the first frames only. ``close`` frees it, but not the GPU.

    Args:
        gpu: where.
        kernels: of that GPU; closed with this object.

    Attributes:
        shared: pixels that somebody has sent up already; None where nobody does.
    """

    def __init__(self, gpu: Gpu, kernels: GpuKernels | None = None) -> None:
        self._gpu = gpu
        self._kernels = kernels or GpuKernels(gpu)
        pool = self._kernels.pool
        self.transfers = Transfers(gpu, pool)
        self._work = FrameWork(gpu, "bgr", "mended", "nv12")
        self._constants: dict[tuple[Any, ...], tuple[Any, DeviceArray]] = {}
        self._up, self._down = Lane(gpu, pool), Lane(gpu, pool)
        self.shared: SharedFrame | None = None
        self._scratch: dict[str, DeviceArray] = {}
        self._number = _FIRST_NUMBER
        self._grid = (_BLOCKS_A_PROCESSOR * gpu.processors, 1)

    @property
    def allocations(self) -> int:
        """How often memory was taken, on either side; stands still in the steady state."""
        lanes = self._up.allocations + self._down.allocations
        return self._kernels.pool.allocations + self.transfers.allocations + lanes

    @property
    def recordings(self) -> int:
        """How often a graph was recorded; seldom grows in the steady state."""
        return sum(graph.recordings for graph in self._work.graphs.values())

    @property
    def bytes_moved(self) -> tuple[int, int]:
        """Of the last call's copy up and its copy down."""
        return self._up.nbytes, self._down.nbytes

    @property
    def origins(self) -> dict[str, str]:
        """Where the kernels came from, in words."""
        return dict(self._kernels.library.origins)

    @property
    def gpu_ms(self) -> float:
        """Milliseconds of all calls together by the GPU's own clock, copies included."""
        return self._work.gpu_ms

    @property
    def graph_refused(self) -> str:
        """Why work is queued piece by piece, without a graph; empty where there is one."""
        return self._work.graph_refused

    def __call__(
        self,
        texture: U8Array,
        aux: U8Array,
        uv: F32Array,
        vertices: F32Array,
        source_xy: F32Array,
        gain: F32Array,
        offset: F32Array,
        triangles: npt.NDArray[np.int32],
        frame: U8Array,
        left: int,
        top: int,
        out_bgr: U8Array,
        out_matte: U8Array,
        depth: F32Array,
        threads: int = 1,
    ) -> None:
        """See :func:`mien._kernels.raster_face`; ``depth`` is left as it is.

        Raises:
            DeviceError: the GPU failed; see :class:`mien.errors.GpuLostError`.
            TypeError, ValueError: arrays that do not fit.
        """
        face = DrawnFace(texture, aux, uv, vertices, source_xy, gain, offset, triangles)
        size = out_matte.shape[0], out_matte.shape[1]
        if 0 in size:
            return
        bgr, matte = self._in_bgr(face, frame, (left, top), size, _RAW, None)
        np.copyto(out_bgr, bgr)
        np.copyto(out_matte, matte)

    def paint(
        self,
        face: DrawnFace,
        frame: U8Array,
        at: tuple[int, int],
        size: tuple[int, int],
        radius: int,
        mark: Mark | None = None,
    ) -> tuple[U8Array, U8Array]:
        """The part of the frame under the face, with the face in it; the frame stays as it is.

        What ``raster_face``, one pass of ``blur_matte`` and ``blend`` give on the CPU, bit for
        bit.

        Args:
            face: what to draw.
            frame: (H, W, 3) uint8 BGR.
            at: (left, top) of the part.
            size: (height, width) of the part, not empty.
            radius: of the softening, 0..8.
            mark: told about each step; they are then queued one by one, without the graph.

        Returns:
            (height, width, 3) BGR and the softened (height, width) matte, valid until the next
            call.

        Raises:
            DeviceError: the GPU failed.
            ValueError: arrays that do not fit.
        """
        check_range("radius", radius, 0, MOST_RADIUS)
        return self._in_bgr(face, frame, at, size, radius, mark)

    def paint_nv12(
        self,
        face: DrawnFace,
        y: U8Array,
        uv: U8Array,
        at: tuple[int, int],
        size: tuple[int, int],
        radius: int,
        matrix: str = "bt709",
        mark: Mark | None = None,
    ) -> None:
        """Draws the face into a 4:2:0 frame, in place; the GPU converts the colours.

        Only the part, widened to even pixels, changes. See :meth:`paint` for the rest.

        Args:
            y: (H, W) uint8.
            uv: (ceil(H / 2), ceil(W / 2), 2) uint8.
            matrix: ``bt709`` or ``bt601``.
        """
        check_range("radius", radius, 0, MOST_RADIUS)
        height, width = y.shape
        half = ((height + 1) // 2, (width + 1) // 2, 2)
        if uv.shape != half or y.dtype != np.uint8 or uv.dtype != np.uint8:
            raise ValueError(f"expected uv {half} uint8, got {uv.shape} {uv.dtype}")
        check_inside(*at, size, (height, width))
        left, top = at[0] & ~1, at[1] & ~1
        right, bottom = at[0] + size[1], at[1] + size[0]
        right, bottom = min(right + right % 2, width), min(bottom + bottom % 2, height)
        whole = (left, top), (bottom - top, right - left)
        self._in_nv12(face, (y, uv), whole, radius, matrix, mark)

    def _in_bgr(
        self,
        face: DrawnFace,
        frame: U8Array,
        at: tuple[int, int],
        size: tuple[int, int],
        radius: int,
        mark: Mark | None,
    ) -> tuple[U8Array, U8Array]:
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or 0 in frame.shape:
            raise ValueError(f"expected frame (H, W, 3) uint8, got {frame.shape} {frame.dtype}")
        check_inside(*at, size, frame.shape[:2])
        window = left, top, right, bottom = face.window(at, size, frame.shape[:2])
        layout = Layout()
        part_at = layout.place((ctypes.sizeof(FramePart),), np.uint8)
        pixels = FramePixels.place(layout, self.shared, frame, window)
        changing = self._place(layout, face)
        up, down = self._up, self._down
        up.fit(layout.nbytes + pixels.slack)
        out = Layout()
        bgr_at, matte_at = out.place((*size, 3), np.uint8), out.place(size, np.uint8)
        down.fit(out.nbytes)
        part = self._part(face, changing, at, radius)
        part.face.frame = pixels.send(up)  # nothing outside the window is looked at
        part.window[:] = (left, top, right - 1, bottom - 1)
        part.face.bgr = view(bgr_at.on_device(down.pointer))
        part.face.matte = view(matte_at.on_device(down.pointer))
        self._keys_for(part, size)
        up.fill(part_at, np.frombuffer(bytes(part), np.uint8))

        def queue(stream: Any, mark: Mark) -> None:
            up.send(stream)
            mark("upload")
            if pixels.mends is not None:
                self._mend(pixels.mends, stream)
                mark("mend")
            self._draw(part, part_at, stream, mark)
            down.receive(stream)
            mark("download")

        self._ready()
        form = "bgr" if pixels.mends is None else "mended"
        self._work.run(form, (up.key, down.key, part.face.triangle_count), queue, mark)
        return down.host(bgr_at), down.host(matte_at)

    def _in_nv12(
        self,
        face: DrawnFace,
        planes: tuple[U8Array, U8Array],
        where: tuple[tuple[int, int], tuple[int, int]],
        radius: int,
        matrix: str,
        mark: Mark | None,
    ) -> None:
        (y, uv), (at, size) = planes, where
        weights = yuv_matrix(matrix)
        picture, patch = (
            self._kept_array(name, (*y.shape, 3), np.uint8) for name in ("picture", "patch")
        )
        mattes = self._kept_array("matte", y.shape, np.uint8)
        # The planes first: they come down from where they went up.
        layout = Layout()
        y_at, uv_at = layout.place(y.shape, np.uint8), layout.place(uv.shape, np.uint8)
        up, down = self._up, self._down
        down.fit(layout.nbytes)
        part_at = layout.place((ctypes.sizeof(FramePart),), np.uint8)
        changing = self._place(layout, face)
        up.fit(max(layout.nbytes, down.nbytes))
        part = self._part(face, changing, at, radius)
        part.face.frame = view(picture)
        part.window[:] = (0, 0, y.shape[1] - 1, y.shape[0] - 1)
        part.face.bgr = view(patch.part(0, 0, size[1], size[0]))
        part.face.matte = view(mattes.part(0, 0, size[1], size[0]))
        self._keys_for(part, size)
        up.fill(part_at, np.frombuffer(bytes(part), np.uint8))
        up.fill(y_at, y)
        up.fill(uv_at, uv)
        luma, chroma = y_at.on_device(up.pointer), uv_at.on_device(up.pointer)
        after = pack(
            ctypes.c_uint64(up.pointer + part_at.offset),
            *(view(luma), view(chroma), view(chroma, offset=1), 2, weights),
        )

        def queue(stream: Any, mark: Mark) -> None:
            up.send(stream)
            mark("upload")
            self._kernels.nv12_to_bgr(luma, chroma, picture, matrix, stream)
            mark("to BGR")
            self._draw(part, part_at, stream, mark)
            self._launch("mien_frame_to_yuv", self._grid, (64, 1, 1), after, stream)
            mark("to NV12")
            down.receive(stream, up.pointer)
            mark("download")

        key = (up.key, down.key, part.face.triangle_count, y.shape, matrix, picture.pointer)
        self._ready("yuv", "mien_yuv_to_bgr")
        self._work.run("nv12", (*key, part_at.offset), queue, mark)
        np.copyto(y, down.host(y_at))
        np.copyto(uv, down.host(uv_at))

    def _place(self, layout: Layout, face: DrawnFace) -> dict[str, Placed | DeviceArray]:
        """Every array of the face: on the GPU from before, where it cannot have changed since,
        else in the upload."""
        placed: dict[str, Placed | DeviceArray] = {}
        for one in fields(face):
            value = getattr(face, one.name)
            if value.flags.writeable:
                placed[one.name] = layout.place(value.shape, value.dtype)
            else:
                placed[one.name] = self._constant(value)
        return placed

    def _constant(self, value: npt.NDArray[Any]) -> DeviceArray:
        key = (value.ctypes.data, value.shape, value.strides, value.dtype.str)
        found = self._constants.get(key)
        if found is None:
            while len(self._constants) >= _MOST_CONSTANTS:
                self._constants.pop(next(iter(self._constants)))
            # The reference keeps the address from being given to another array.
            sent = self.transfers.upload([value], self._gpu.stream).arrays[0]
            found = self._constants[key] = value, sent
        return found[1]

    def _part(
        self,
        face: DrawnFace,
        placed: dict[str, Placed | DeviceArray],
        at: tuple[int, int],
        radius: int,
    ) -> FramePart:
        """What the kernels are told of this frame, but for pictures; fills the upload's lists."""
        on_gpu: dict[str, DeviceArray] = {}
        for name, one in placed.items():
            if isinstance(one, Placed):
                self._up.fill(one, getattr(face, name))
                one = one.on_device(self._up.pointer)
            on_gpu[name] = one
        lists = ("uv", "vertices", "source_xy", "gain", "offset")
        mesh = FaceMesh(*(on_gpu[name].pointer for name in lists), *at)
        count = len(face.triangles)
        drawn = Face(mesh=mesh, texture=view(on_gpu["texture"]), aux=view(on_gpu["aux"]))
        drawn.triangles, drawn.triangle_count = on_gpu["triangles"].pointer, count
        drawn.set_up = self._kept_array("set_up", (max(count, 1), TRIANGLE_BYTES), "u1").pointer
        return FramePart(face=drawn, radius=radius)

    def _keys_for(self, part: FramePart, size: tuple[int, int]) -> None:
        """Room for the patch's keys, and the number that this frame's carry."""
        count = size[0] * size[1]
        kept = self._scratch.get("keys")
        grows = kept is None or kept.shape[0] < count
        if grows:
            self._scratch.pop("keys", None)
            kept = self._kernels.pool.packed((count + count // 4,), np.uint64)
            self._scratch["keys"] = kept
        assert kept is not None
        self._number -= 1
        if grows or self._number < 0:
            self._number = _FIRST_NUMBER
            with self._gpu.current("clearing"):
                self._gpu.cuda.memset_d32_async(
                    kept.pointer, 0xFFFFFFFF, 2 * kept.shape[0], self._gpu.stream
                )
        part.face.keys, part.frame_number = kept.pointer, self._number

    def _kept_array(self, name: str, shape: tuple[int, ...], dtype: Any) -> DeviceArray:
        kept = self._scratch.get(name)
        if kept is None or kept.shape != shape:
            self._scratch.pop(name, None)  # back to the pool before more is taken
            kept = self._scratch[name] = self._kernels.pool.array(shape, dtype)
        return kept

    def _ready(self, *other: str) -> None:
        """Loads every kernel: that cannot be done while a graph is recorded."""
        for name in _KERNELS:
            self._kernels.library.function("frame", name)
        if other:
            self._kernels.library.function(*other)

    def _mend(self, mends: Placed, stream: Any) -> None:
        """What the host has painted since the frame was sent, into its pixels on the GPU."""
        where = pack(ctypes.c_uint64(self._up.pointer + mends.offset))
        self._launch("mien_frame_mend", (MOST_MENDS, 1), (256, 1, 1), where, stream)

    def _draw(self, part: FramePart, part_at: Placed, stream: Any, mark: Mark) -> None:
        where = pack(ctypes.c_uint64(self._up.pointer + part_at.offset))
        blocks = max(-(-int(part.face.triangle_count) // _TEAM), 1)
        self._launch("mien_frame_cover", (blocks, 1), (32, _TEAM, 1), where, stream)
        mark("cover")
        self._launch("mien_frame_composite", self._grid, (32, 8, 1), where, stream)
        mark("composite")

    def _launch(self, name: str, grid: Any, block: Any, buffer: bytes, stream: Any) -> None:
        function = self._kernels.library.function("frame", name)
        launch(function, grid, block, stream, buffer)

    def close(self) -> None:
        """Frees all memory and unloads the kernels."""
        self._constants.clear()
        self._scratch.clear()
        self._work.close()
        self._up.close()
        self._down.close()
        self.transfers.close()
        self._kernels.close()
