"""Pictures that stay on the card from NVDEC to NVENC.

The decoder's surface is copied on the card. Stages look at pixels on the host, so that one copy
comes down; of what they paint, only the painted rectangles go up again, into the copy, and that
is what the encoder gets. Nothing else of the picture goes up, and none of it is converted back.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.codec.hwaccel import HWAccel

from mien import _kernels
from mien.errors import DeviceError
from mien.gpu import DeviceArray, DevicePool, Gpu
from mien.gpu.dlpack import Lent, borrow
from mien.planes import Box, even_box
from mien.types import Frame, U8Array
from mien.yuv import Matrix
from mien_streamer.colour import is_limited_sdr, matrix_of

logger = logging.getLogger(__name__)


def card_codec(index: int) -> HWAccel:
    """Makes FFmpeg decode and encode on a card, in the context that mien uses there."""
    return HWAccel("cuda", device=str(index), allow_software_fallback=True, is_hw_owned=True)


def stays_on_card(picture: av.VideoFrame, matrices: frozenset[Matrix]) -> bool:
    """Whether a decoded picture lies on a card, in a form that goes on as it is."""
    sw_format = picture.sw_format
    return (
        picture.format.name == "cuda"
        and sw_format is not None
        and sw_format.name == "nv12"
        and is_limited_sdr(picture)
        and picture.width % 2 == 0
        and picture.height % 2 == 0
        and matrix_of(picture) in matrices
    )


@dataclass(slots=True, kw_only=True)
class CardPlanes:
    """A picture on a card, and its pixels on the host; see :class:`mien.planes.Planes`.

    Attributes:
        y: (H, W) uint8 on the card, limited range.
        uv: (H / 2, W / 2, 2) uint8 on the card.
        matrix: the luma weights.
        bgr: the pixels that were made of them.
        painted: where these have changed since.
    """

    y: DeviceArray
    uv: DeviceArray
    matrix: Matrix
    bgr: U8Array
    painted: list[Box] = field(default_factory=list)

    def write_back(self, boxes: Sequence[Box]) -> None:
        """Remembers where pixels were painted; they go up when the picture is sent."""
        self.painted += boxes


def card_planes_for_sink(frame: Frame, matrix: Matrix) -> CardPlanes | None:
    """A picture on a card that agrees with the frame's pixels, if there is."""
    planes = frame.planes
    if not isinstance(planes, CardPlanes) or planes.bgr is not frame.bgr:
        return None
    return planes if planes.matrix == matrix else None


class CardReader:
    """Takes decoded pictures: a copy on the card, and the pixels. One thread; ``close`` it.

    Args:
        index: which card.

    Raises:
        DeviceError: it cannot be used.
    """

    def __init__(self, index: int = 0) -> None:
        self._gpu = Gpu(index)
        self._pool = DevicePool(self._gpu)
        self._pinned: npt.NDArray[np.uint8] = np.empty(0, np.uint8)

    def take(self, picture: av.VideoFrame) -> CardPlanes:
        """A picture for which :func:`stays_on_card` holds.

        FFmpeg fills surfaces on the card's default stream, which this one's waits for.

        Raises:
            DeviceError: the card failed.
        """
        surface = [borrow(plane) for plane in picture.planes]
        kept = [self._like(plane) for plane in surface]
        matrix = matrix_of(picture)
        sizes = [plane.pitch * plane.shape[0] for plane in surface]
        cuda, stream = self._gpu.cuda, self._gpu.stream
        with self._gpu.current("taking a decoded picture"):
            if self._pinned.nbytes < sum(sizes):
                self._pinned = cuda.pagelocked_empty(sum(sizes), np.uint8)
            at = 0
            for plane, copy, size in zip(surface, kept, sizes, strict=True):
                cuda.memcpy_dtod_async(copy.pointer, plane.pointer, size, stream)
                cuda.memcpy_dtoh_async(self._pinned[at : at + size], copy.pointer, stream)
                at += size
            stream.synchronize()
        y, uv = kept
        bgr = np.empty((*y.shape, 3), np.uint8)
        luma = _rows(self._pinned, 0, y)
        chroma = _rows(self._pinned, sizes[0], uv)
        _kernels.nv12_to_bgr(luma, chroma, bgr, matrix)
        return CardPlanes(y=y, uv=uv, matrix=matrix, bgr=bgr)

    def _like(self, plane: DeviceArray) -> DeviceArray:
        block = self._pool.take(plane.pitch * plane.shape[0])
        return DeviceArray(block.pointer, plane.shape, plane.dtype, plane.pitch, block)

    def close(self) -> None:
        """Frees what no picture holds, and lets go of the card."""
        _let_go(self)
        self._pool.close()
        self._gpu.close()


class CardWriter:
    """Makes encoder pictures of card pictures. One thread; ``close`` it after the encoder.

    Args:
        index: which card.

    Raises:
        DeviceError: it cannot be used.
    """

    def __init__(self, index: int = 0) -> None:
        self._gpu = Gpu(index)
        self._context = av.video.frame.CudaContext(device_id=index, primary_ctx=True)
        self._pinned: npt.NDArray[np.uint8] = np.empty(0, np.uint8)

    def picture(self, planes: CardPlanes) -> av.VideoFrame:
        """The picture with what was painted in it; untagged, on the card.

        Raises:
            DeviceError: the card failed.
        """
        height, width = planes.y.shape
        grown = [even_box(box, (height, width)) for box in planes.painted]
        planes.painted.clear()
        self._send(planes, [box for box in grown if box is not None])
        index = self._gpu.index
        return av.VideoFrame.from_dlpack(
            (Lent(planes.y, index), Lent(planes.uv, index)),
            format="nv12",
            cuda_context=self._context,
        )

    def _send(self, planes: CardPlanes, boxes: list[Box]) -> None:
        if not boxes:
            return
        need = sum((right - left) * (bottom - top) * 3 // 2 for left, top, right, bottom in boxes)
        stream = self._gpu.stream
        with self._gpu.current("sending painted pixels"):
            if self._pinned.nbytes < need:
                self._pinned = self._gpu.cuda.pagelocked_empty(need + need // 4, np.uint8)
            at = 0
            for left, top, right, bottom in boxes:
                rows, columns = bottom - top, right - left
                y = self._pinned[at : at + rows * columns].reshape(rows, columns)
                at += y.size
                uv = self._pinned[at : at + y.size // 2].reshape(rows // 2, columns // 2, 2)
                at += uv.size
                pixels = planes.bgr[top:bottom, left:right]
                _kernels.bgr_to_nv12(pixels, y, uv, planes.matrix)
                self._copy(y, planes.y.part(left, top, columns, rows), columns)
                half = planes.uv.part(left // 2, top // 2, columns // 2, rows // 2)
                self._copy(uv, half, columns)
            stream.synchronize()

    def _copy(self, source: U8Array, target: DeviceArray, row_bytes: int) -> None:
        copy: Any = self._gpu.cuda.Memcpy2D()
        copy.set_src_host(source)
        copy.set_dst_device(target.pointer)
        copy.src_pitch = copy.width_in_bytes = row_bytes
        copy.dst_pitch = target.pitch
        copy.height = len(source)
        copy(self._gpu.stream)

    def close(self) -> None:
        """Frees memory and lets go of the card."""
        _let_go(self)
        self._gpu.close()


def _let_go(end: CardReader | CardWriter) -> None:
    """Frees pinned memory, on a card that may be gone."""
    try:
        with end._gpu.current("freeing pinned memory"):
            end._pinned = np.empty(0, np.uint8)
    except DeviceError as error:
        logger.debug("leaving a GPU that failed: %s", error)


def _rows(buffer: U8Array, at: int, plane: DeviceArray) -> U8Array:
    """A plane in the host's copy of it."""
    strides = plane.__cuda_array_interface__["strides"]
    return np.ndarray(plane.shape, np.uint8, buffer, offset=at, strides=strides)
