"""The kernels of :mod:`mien._kernels` on a GPU, under the same names and with the same arguments.

Arrays are device arrays (anything with ``__cuda_array_interface__``); ``threads`` gives way to
``stream``. Nothing here waits for the GPU, and nothing asks the driver for memory once every
size was seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mien.gpu import packing
from mien.gpu.arguments import (
    check_inside,
    check_range,
    expect,
    expect_list,
    expect_picture,
    expect_planes,
)
from mien.gpu.driver import Gpu
from mien.gpu.images import KernelLibrary
from mien.gpu.memory import DeviceArray, DevicePool
from mien.gpu.packing import Affine, Face, FaceMesh, View, pack, view, yuv_matrix

_BLOCK = (32, 8, 1)
_TRIANGLES_A_BLOCK = 4
_FEATHER_RADIUS = 8
_SHARED_NODES = 1024  # 16 KB of gains a block
_YUV_ACROSS = 16


class GpuKernels:
    """Launches kernels on one GPU. One thread at a time; scratch memory is one stream's.

    Args:
        gpu: where.
        library: the compiled kernels; by default looked for in the usual places.
        pool: whose memory is used for scratch.

    Attributes:
        launches: how many kernels were launched.
    """

    def __init__(
        self, gpu: Gpu, library: KernelLibrary | None = None, pool: DevicePool | None = None
    ) -> None:
        self.gpu = gpu
        self.library = library or KernelLibrary(gpu)
        self.pool = pool or DevicePool(gpu)
        self.launches = 0
        self._scratch: dict[str, DeviceArray] = {}

    def raster_face(
        self,
        texture: Any,
        aux: Any,
        uv: Any,
        vertices: Any,
        source_xy: Any,
        gain: Any,
        offset: Any,
        triangles: Any,
        frame: Any,
        left: int,
        top: int,
        out_bgr: Any,
        out_matte: Any,
        depth: Any,
        stream: Any = None,
    ) -> None:
        """See :func:`mien._kernels.raster_face`; the triangles' vertices are not checked."""
        face = self._face(
            texture, aux, uv, vertices, source_xy, gain, offset, triangles, frame, left, top
        )
        out = expect_picture("out_bgr", out_bgr, 3)
        size = out.shape[:2]
        matte = expect("out_matte", out_matte, np.uint8, size)
        far = expect("depth", depth, np.float32, size)
        face.bgr, face.matte, face.depth = view(out), view(matte), view(far)
        if self._cover(face, stream):
            self._over("raster", "mien_raster_shade", size, pack(face), stream)

    def raster_blend(
        self,
        texture: Any,
        aux: Any,
        uv: Any,
        vertices: Any,
        source_xy: Any,
        gain: Any,
        offset: Any,
        triangles: Any,
        frame: Any,
        left: int,
        top: int,
        size: tuple[int, int],
        out: Any,
        stream: Any = None,
    ) -> None:
        """``raster_face`` and ``blend`` as one, without a patch in between.

        Args:
            size: (height, width) of the rectangle at (left, top) that is written.
            out: (H, W, 3) uint8, another frame of the same size; only the rectangle is written.
        """
        face = self._face(
            texture, aux, uv, vertices, source_xy, gain, offset, triangles, frame, left, top
        )
        to = expect("out", out, np.uint8, (face.frame.height, face.frame.width, 3))
        face.bgr = View(0, 0, *size)
        if self._cover(face, stream):
            buffer = pack(face, view(to))
            self._over("raster", "mien_raster_shade_blend", size, buffer, stream)

    def blend(
        self, frame: Any, left: int, top: int, bgr: Any, matte: Any, stream: Any = None
    ) -> None:
        """See :func:`mien._kernels.blend`."""
        arguments, size = _blend_arguments(frame, left, top, bgr, matte)
        height, width = size
        across = (height, -(-width // 4))
        self._over("patch", "mien_blend", across, pack(*arguments), stream)

    def feather_blend(
        self,
        frame: Any,
        left: int,
        top: int,
        bgr: Any,
        matte: Any,
        radius: int,
        stream: Any = None,
    ) -> None:
        """``blur_matte`` of one pass and ``blend`` as one; the matte stays as it is.

        Args:
            radius: 0..8.
        """
        arguments, size = _blend_arguments(frame, left, top, bgr, matte)
        check_range("radius", radius, 0, _FEATHER_RADIUS)
        self._over("patch", "mien_feather_blend", size, pack(*arguments, radius), stream)

    def blur_matte(self, matte: Any, radius: int, passes: int = 3, stream: Any = None) -> None:
        """See :func:`mien._kernels.blur_matte`."""
        array = expect("matte", matte, np.uint8, (None, None))
        check_range("radius", radius, 0, 64)
        check_range("passes", passes, 1, 8)
        if radius == 0 or 0 in array.shape:
            return
        sums = self._scratch_array("sums", array.shape, np.uint32)
        for _ in range(passes):
            buffer = pack(view(array), radius, view(sums))
            self._over("patch", "mien_blur_rows", array.shape, buffer, stream)
            buffer = pack(view(sums), radius, view(array))
            self._over("patch", "mien_blur_columns", array.shape, buffer, stream)

    def light_transfer(
        self,
        patch: Any,
        from_light: Any,
        to_light: Any,
        low: float = 0.25,
        high: float = 4.0,
        stream: Any = None,
    ) -> None:
        """See :func:`mien._kernels.light_transfer`."""
        pixels = expect("patch", patch, np.uint8, (None, None, 3))
        source = expect_picture("from_light", from_light, 3, np.float32)
        target = expect("to_light", to_light, np.float32, source.shape)
        if not 0.0 <= low <= high:
            raise ValueError(f"expected 0 <= low <= high, got low {low}, high {high}")
        nodes = source.shape[0] * source.shape[1]
        held = nodes if nodes <= _SHARED_NODES else 0
        buffer = pack(view(pixels), view(source), view(target), float(low), float(high), held)
        size = pixels.shape[:2]
        self._over("patch", "mien_light_transfer", size, buffer, stream, shared=16 * held)

    def sample_points(
        self, frame: Any, xy: Any, out: Any, radius: int = 0, stream: Any = None
    ) -> None:
        """See :func:`mien._kernels.sample_points`."""
        pixels = expect_picture("frame", frame, 3)
        points = expect_list("xy", xy, np.float32, (None, 2))
        colours = expect_list("out", out, np.float32, (points.shape[0], 3))
        check_range("radius", radius, 0, 64)
        count = points.shape[0]
        if count:
            buffer = pack(
                view(pixels), packing.address(points), count, radius, packing.address(colours)
            )
            grid = (-(-count // 128), 1)
            self._launch("patch", "mien_sample_points", grid, (128, 1, 1), buffer, stream)

    def warp_crop(
        self,
        frame: Any,
        frame_from_crop: Any,
        out: Any,
        scale: float = 1.0 / 255.0,
        stream: Any = None,
    ) -> None:
        """The upright crop that a landmark network looks at: bilinear, edges repeated.

        Args:
            frame: (H, W, 3) uint8, BGR.
            frame_from_crop: (2, 3), on the host; frame pixel from crop pixel.
            out: (3, h, w) or (h, w, 3) float32, written packed: R, G, B times ``scale``.
            scale: of code values.
        """
        pixels = expect_picture("frame", frame, 3)
        crop = expect_list("out", out, np.float32, (None, None, None))
        planar = crop.shape[0] == 3
        if not planar and crop.shape[2] != 3:
            raise ValueError(f"expected out (3, h, w) or (h, w, 3) float32, got {crop.shape}")
        height, width = crop.shape[1:] if planar else crop.shape[:2]
        steps = (height * width, 1) if planar else (1, 3)
        affine = Affine(*np.asarray(frame_from_crop, np.float32).reshape(6))
        buffer = pack(
            view(pixels), affine, width, height, float(scale), *steps, packing.address(crop)
        )
        self._over("patch", "mien_warp_crop", (height, width), buffer, stream)

    def bgr_to_i420(
        self, bgr: Any, y: Any, u: Any, v: Any, matrix: str = "bt709", stream: Any = None
    ) -> None:
        """See :func:`mien._kernels.bgr_to_i420`."""
        self._yuv("mien_bgr_to_yuv", bgr, y, (u, v), matrix, stream)

    def bgr_to_nv12(
        self, bgr: Any, y: Any, uv: Any, matrix: str = "bt709", stream: Any = None
    ) -> None:
        """See :func:`mien._kernels.bgr_to_nv12`."""
        self._yuv("mien_bgr_to_yuv", bgr, y, (uv,), matrix, stream)

    def i420_to_bgr(
        self, y: Any, u: Any, v: Any, bgr: Any, matrix: str = "bt709", stream: Any = None
    ) -> None:
        """See :func:`mien._kernels.i420_to_bgr`."""
        self._yuv("mien_yuv_to_bgr", bgr, y, (u, v), matrix, stream)

    def nv12_to_bgr(
        self, y: Any, uv: Any, bgr: Any, matrix: str = "bt709", stream: Any = None
    ) -> None:
        """See :func:`mien._kernels.nv12_to_bgr`."""
        self._yuv("mien_yuv_to_bgr", bgr, y, (uv,), matrix, stream)

    def close(self) -> None:
        """Frees scratch memory and unloads the kernels."""
        self._scratch.clear()
        self.pool.close()
        self.library.close()

    def _yuv(
        self, kernel: str, bgr: Any, y: Any, chroma: Sequence[Any], matrix: str, stream: Any
    ) -> None:
        picture, planes, step = expect_planes(bgr, y, chroma)
        height, width = picture.shape[:2]
        parts = (view(picture), *planes)
        if kernel == "mien_bgr_to_yuv":
            buffer = pack(*parts, step, yuv_matrix(matrix))
        else:
            buffer = pack(*planes, step, yuv_matrix(matrix), view(picture))
        size = (-(-height // 2), -(-width // _YUV_ACROSS))
        self._over("yuv", kernel, size, buffer, stream)

    def _face(
        self,
        texture: Any,
        aux: Any,
        uv: Any,
        vertices: Any,
        source_xy: Any,
        gain: Any,
        offset: Any,
        triangles: Any,
        frame: Any,
        left: int,
        top: int,
    ) -> Face:
        skin = expect_picture("texture", texture, 4)
        weights = expect("aux", aux, np.uint8, skin.shape[:2])
        corners = expect_list("vertices", vertices, np.float32, (None, 3))
        count = corners.shape[0]
        places = expect_list("uv", uv, np.float32, (count, 2))
        sources = expect_list("source_xy", source_xy, np.float32, (count, 2))
        gains = expect_list("gain", gain, np.float32, (count, 3))
        offsets = expect_list("offset", offset, np.float32, (count, 3))
        faces = expect_list("triangles", triangles, np.int32, (None, 3))
        pixels = expect_picture("frame", frame, 3)
        lists = (places, corners, sources, gains, offsets)
        mesh = FaceMesh(*(one.pointer for one in lists), left, top)
        face = Face(mesh, view(skin), view(weights), view(pixels))
        face.triangles, face.triangle_count = faces.pointer, faces.shape[0]
        return face

    def _cover(self, face: Face, stream: Any) -> bool:
        """The first pass; False where there is nothing to write."""
        height, width = face.bgr.height, face.bgr.width
        check_inside(
            face.mesh.left, face.mesh.top, (height, width), (face.frame.height, face.frame.width)
        )
        if height == 0 or width == 0:
            return False
        triangles = face.triangle_count
        set_up = self._scratch_array("set_up", (max(triangles, 1), packing.TRIANGLE_BYTES), "u1")
        face.set_up = set_up.pointer
        face.keys = self._keys(height * width, stream).pointer
        if triangles:
            grid = (-(-triangles // _TRIANGLES_A_BLOCK), 1)
            block = (32, _TRIANGLES_A_BLOCK, 1)
            self._launch("raster", "mien_raster_cover", grid, block, pack(face), stream)
        return True

    def _keys(self, count: int, stream: Any) -> DeviceArray:
        """All ones: set when the memory is taken, and left so by every shading pass."""
        keys = self._scratch.get("keys")
        if keys is None or keys.shape[0] < count:
            keys = self._scratch["keys"] = self.pool.packed((count + count // 4,), np.uint64)
            with self.gpu.current("clearing"):
                self.gpu.cuda.memset_d32_async(
                    keys.pointer, 0xFFFFFFFF, 2 * keys.shape[0], self._stream(stream)
                )
        return keys

    def _scratch_array(self, name: str, shape: tuple[int, ...], dtype: Any) -> DeviceArray:
        """Memory that is kept from call to call and grows, cut to the shape."""
        kind = np.dtype(dtype)
        count = int(np.prod(shape, dtype=np.int64))
        kept = self._scratch.get(name)
        if kept is None or kept.shape[0] < count:
            kept = self._scratch[name] = self.pool.packed((count + count // 4,), kind)
        row = int(np.prod(shape[1:], dtype=np.int64)) * kind.itemsize
        return DeviceArray(kept.pointer, shape, kind, row, kept)

    def _over(
        self,
        source: str,
        kernel: str,
        size: tuple[int, ...],
        buffer: bytes,
        stream: Any,
        shared: int = 0,
    ) -> None:
        """A launch over all pixels of a picture of this (height, width)."""
        height, width = size[:2]
        if height and width:
            grid = (-(-width // _BLOCK[0]), -(-height // _BLOCK[1]))
            self._launch(source, kernel, grid, _BLOCK, buffer, stream, shared)

    def _launch(
        self,
        source: str,
        kernel: str,
        grid: tuple[int, ...],
        block: tuple[int, int, int],
        buffer: bytes,
        stream: Any,
        shared: int = 0,
    ) -> None:
        function = self.library.function(source, kernel)
        with self.gpu.current(f"launching {kernel}"):
            launch(function, grid, block, self._stream(stream), buffer, shared)
        self.launches += 1

    def _stream(self, stream: Any) -> Any:
        return self.gpu.stream if stream is None else stream


def launch(
    function: Any,
    grid: tuple[int, ...],
    block: tuple[int, int, int],
    stream: Any,
    buffer: bytes,
    shared: int = 0,
) -> None:
    """One launch with a packed parameter buffer, which PyCUDA hands over as it is.

    PyCUDA checks the driver's status and raises.
    """
    packed = np.frombuffer(buffer, np.uint8)
    function(packed, grid=grid, block=block, stream=stream, shared=shared)


def _blend_arguments(
    frame: Any, left: int, top: int, bgr: Any, matte: Any
) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    under = expect("frame", frame, np.uint8, (None, None, 3))
    over = expect("bgr", bgr, np.uint8, (None, None, 3))
    size = over.shape[:2]
    weights = expect("matte", matte, np.uint8, size)
    check_inside(left, top, size, under.shape[:2])
    return (view(under), left, top, view(over), view(weights)), size
