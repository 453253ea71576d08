"""Pictures of decoders and encoders to and from the engine's BGR, with the right matrix.

Untagged video follows the rule of most players: BT.709 from 720p upwards, BT.601 below.
HDR (PQ, HLG) and wide gamut are brought to BT.709 through a 3D table, computed once.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.filter import Graph
from av.video.plane import VideoPlane
from av.video.reformatter import (
    ColorPrimaries,
    ColorRange,
    Colorspace,
    ColorTrc,
)

from mien import planes as own_planes
from mien.types import U8Array
from mien.yuv import Matrix, Planes, bgr_from_i420, i420_from_bgr

logger = logging.getLogger(__name__)

F64Array = npt.NDArray[np.float64]

LUT_SIZE = 65
"""Grid points per axis. Measured against the exact formula: 0.4 levels of 255 on average,
33 points 1.0."""
SDR_WHITE_NITS = 203.0
"""Diffuse white of HDR programmes (ITU-R BT.2408)."""
HDR_PEAK_NITS = 1000.0
"""Peak that the roll-off maps to full white; the usual mastering peak."""
ROLL_OFF_KNEE = 0.6
"""Linear light below this passes unchanged (chosen by eye on faces)."""
DISPLAY_GAMMA = 2.4
"""ITU-R BT.1886, how BT.709 pictures are shown."""
BT709_FROM_BT2020 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
)
"""Linear light, ITU-R BT.2087."""

_BT709_MATRICES = {1, 7}  # BT.709 and SMPTE 240M, which is very close to it
_BT601_MATRICES = {4, 5, 6}
_WIDE_MATRICES = {9, 10}
_HDR_CURVES = {int(ColorTrc.SMPTE2084): "PQ", int(ColorTrc.ARIB_STD_B67): "HLG"}


def matrix_of(frame: av.VideoFrame) -> Matrix:
    """YCbCr matrix of a decoded picture, guessed from its size when it is not tagged."""
    if frame.colorspace in _BT601_MATRICES:
        return "bt601"
    if frame.colorspace in _BT709_MATRICES:
        return "bt709"
    return "bt709" if frame.width >= 1280 or frame.height > 576 else "bt601"


def range_of(frame: av.VideoFrame) -> ColorRange:
    """Full (JPEG) or limited (MPEG) range of a decoded picture."""
    full = frame.color_range == int(ColorRange.JPEG) or frame.format.name.startswith("yuvj")
    return ColorRange.JPEG if full else ColorRange.MPEG


def planes_of(picture: av.VideoFrame) -> Planes:
    """Views of the planes of a yuv420p picture."""
    y, u, v = (_plane_view(plane) for plane in picture.planes)
    return y, u, v


def _plane_view(plane: VideoPlane) -> U8Array:
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width]


class BgrConverter:
    """Turns decoded pictures into BGR; one per stream, used by one thread."""

    def __init__(self) -> None:
        self._wide: _WideGamut | None = None

    def convert(self, frame: av.VideoFrame) -> U8Array:
        """(H, W, 3) uint8 BGR, BT.709, a fresh contiguous array."""
        if frame.format.is_rgb:
            return _bgr_array(frame.reformat(format="bgr24"))
        if frame.format.name.startswith("gray"):
            return _bgr_from_grey(frame)
        if frame.color_trc in _HDR_CURVES or frame.colorspace in _WIDE_MATRICES:
            if self._wide is None or self._wide.curve != frame.color_trc:
                self._wide = _WideGamut(frame.color_trc)
            return self._wide.convert(frame)
        return bgr_from_i420(planes_of(_limited_420(frame)), matrix_of(frame))


def is_plain(frame: av.VideoFrame) -> bool:
    """Whether a picture is 8-bit 4:2:0 of limited range, of a known matrix, with even sides: its
    planes are then what sinks take."""
    return (
        frame.format.name == "yuv420p"
        and is_limited_sdr(frame)
        and frame.width % 2 == 0
        and frame.height % 2 == 0
    )


def is_limited_sdr(frame: av.VideoFrame) -> bool:
    """Whether a picture is of limited range and neither HDR nor of wide gamut."""
    return (
        range_of(frame) is ColorRange.MPEG
        and frame.color_trc not in _HDR_CURVES
        and frame.colorspace not in _WIDE_MATRICES
    )


def kept_planes(frame: av.VideoFrame, bgr: U8Array, matrix: Matrix) -> own_planes.Planes:
    """A copy of a plain picture's planes, since a decoder may still look at its own. It lies in a
    picture for an encoder already.

    Args:
        frame: as decoded.
        bgr: the pixels that were made of it.
        matrix: with which they were made.
    """
    picture = av.VideoFrame(frame.width, frame.height, "yuv420p")
    y, u, v = planes_of(picture)
    for target, plane in zip((y, u, v), planes_of(frame), strict=True):
        np.copyto(target, plane)
    return own_planes.Planes(y=y, u=u, v=v, matrix=matrix, bgr=bgr, owner=picture)


def picture_of_planes(planes: own_planes.Planes, *, alone: bool = False) -> av.VideoFrame:
    """An encoder picture with these planes; untagged.

    Args:
        planes: what it shows.
        alone: no other encoder is given these planes: they need not be copied.
    """
    if alone and isinstance(planes.owner, av.VideoFrame):
        return planes.owner
    height, width = planes.y.shape
    picture = av.VideoFrame(width, height, "yuv420p")
    for target, plane in zip(planes_of(picture), (planes.y, planes.u, planes.v), strict=True):
        np.copyto(target, plane)
    return picture


def _limited_420(frame: av.VideoFrame) -> av.VideoFrame:
    """The picture as 8-bit 4:2:0 of limited range, same matrix; most video is that already.

    Finer chroma is given up here: the output has no more of it anyway.
    """
    full = range_of(frame) is ColorRange.JPEG
    if frame.format.name == "yuv420p" and not full:
        return frame
    return frame.reformat(
        format="yuv420p",
        src_colorspace=Colorspace.ITU709,
        dst_colorspace=Colorspace.ITU709,  # the same on both sides: no change of matrix
        src_color_range=range_of(frame),
        dst_color_range=ColorRange.MPEG,
        threads=1,
    )


def _bgr_from_grey(frame: av.VideoFrame) -> U8Array:
    grey = frame.reformat(
        format="gray", src_color_range=range_of(frame), dst_color_range=ColorRange.JPEG
    )
    return np.asarray(cv2.cvtColor(grey.to_ndarray(), cv2.COLOR_GRAY2BGR), np.uint8)


def _bgr_array(frame: av.VideoFrame) -> U8Array:
    return np.ascontiguousarray(frame.to_ndarray(), dtype=np.uint8)


class _WideGamut:
    """HDR or BT.2020 pictures to BT.709 through FFmpeg's tetrahedral 3D table."""

    def __init__(self, curve: int) -> None:
        self.curve = curve
        self._graph: Graph | None = None
        name = _HDR_CURVES.get(curve)
        if name is not None:
            logger.warning("HDR video (%s): tone-mapped to SDR BT.709", name)

    def convert(self, frame: av.VideoFrame) -> U8Array:
        rgb = frame.reformat(
            format="rgb48le",
            src_colorspace=Colorspace.BT2020,
            src_color_range=range_of(frame),
            dst_color_range=ColorRange.JPEG,
            threads=1,
        )
        rgb.pts = 0
        if self._graph is None:
            self._graph = self._build(rgb)
        self._graph.push(rgb)
        mapped = self._graph.pull()
        if not isinstance(mapped, av.VideoFrame):
            raise TypeError(f"expected a picture from the colour table, got {type(mapped)}")
        return _bgr_array(mapped.reformat(format="bgr24"))

    def _build(self, rgb: av.VideoFrame) -> Graph:
        graph = Graph()
        source = graph.add_buffer(
            width=rgb.width, height=rgb.height, format=rgb.format, time_base=rgb.time_base
        )
        with tempfile.TemporaryDirectory() as folder:
            table = Path(folder) / "table.cube"
            table.write_text(_cube_text(self.curve), encoding="ascii")
            # The filter syntax treats ':' and '\' as its own, hence the escapes (Windows paths).
            name = table.as_posix().replace(":", r"\:")
            lut = graph.add("lut3d", f"file='{name}':interp=tetrahedral")
        sink = graph.add("buffersink")
        source.link_to(lut)
        lut.link_to(sink)
        graph.configure()
        return graph


def _cube_text(curve: int) -> str:
    axis = np.linspace(0.0, 1.0, LUT_SIZE)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")  # red runs fastest
    table = bt709_from_wide(np.stack([red, green, blue], -1).reshape(-1, 3), curve)
    # One formatting call for all rows: a quarter of a second instead of one and a half.
    digits = np.minimum(table * 1e5, 99_999).astype(int).ravel().tolist()
    rows = ("0.%05d 0.%05d 0.%05d\n" * len(table)) % tuple(digits)
    return f"LUT_3D_SIZE {LUT_SIZE}\n{rows}"


def bt709_from_wide(rgb: F64Array, curve: int) -> F64Array:
    """BT.709 code values 0..1 of BT.2020 code values 0..1.

    Args:
        rgb: (N, 3), encoded with the transfer curve ``curve``.
        curve: FFmpeg's number of the transfer curve; anything but PQ and HLG counts
            as standard range.

    Returns:
        (N, 3) in 0..1.
    """
    if curve == int(ColorTrc.SMPTE2084):
        light = _roll_off(_pq_nits(rgb) / SDR_WHITE_NITS)
    elif curve == int(ColorTrc.ARIB_STD_B67):
        light = _roll_off(_hlg_nits(rgb) / SDR_WHITE_NITS)
    else:
        light = rgb**DISPLAY_GAMMA
    return np.asarray(np.clip(light @ BT709_FROM_BT2020.T, 0.0, 1.0) ** (1.0 / DISPLAY_GAMMA))


def _pq_nits(code: F64Array) -> F64Array:
    """SMPTE ST 2084 EOTF."""
    m1, m2 = 2610 / 16384, 2523 / 32
    c1, c2, c3 = 3424 / 4096, 2413 / 128, 2392 / 128
    root = code ** (1 / m2)
    return np.asarray(10_000.0 * (np.maximum(root - c1, 0.0) / (c2 - c3 * root)) ** (1 / m1))


def _hlg_nits(code: F64Array) -> F64Array:
    """ITU-R BT.2100 HLG: inverse OETF, then the OOTF of a 1000-nit display (gamma 1.2)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(code <= 0.5, code**2 / 3.0, (np.exp((code - c) / a) + b) / 12.0)
    luma = scene @ np.array([0.2627, 0.6780, 0.0593])
    return np.asarray(1000.0 * scene * np.maximum(luma, 1e-9)[:, None] ** 0.2)


def _roll_off(light: F64Array) -> F64Array:
    """Extended Reinhard above a knee, on the largest channel, so that hues stay."""
    peak = (HDR_PEAK_NITS / SDR_WHITE_NITS - ROLL_OFF_KNEE) / (1.0 - ROLL_OFF_KNEE)
    largest = np.maximum(light.max(axis=1, keepdims=True), 1e-9)
    over = np.maximum(largest - ROLL_OFF_KNEE, 0.0) / (1.0 - ROLL_OFF_KNEE)
    bent = ROLL_OFF_KNEE + (1.0 - ROLL_OFF_KNEE) * over * (1.0 + over / peak**2) / (1.0 + over)
    target = np.where(largest > ROLL_OFF_KNEE, np.minimum(bent, 1.0), largest)
    return np.asarray(light * (target / largest))


def yuv420_bt709_from_bgr(frame_bgr: U8Array) -> av.VideoFrame:
    """An encoder picture: yuv420p, BT.709, limited range. Width and height must be even."""
    height, width = frame_bgr.shape[:2]
    picture = av.VideoFrame(width, height, "yuv420p")
    i420_from_bgr(frame_bgr, planes_of(picture), "bt709")
    tag_bt709(picture)
    return picture


def tag_bt709(picture: av.VideoFrame) -> None:
    """Mark a picture as BT.709, limited range."""
    picture.colorspace = int(Colorspace.ITU709)
    picture.color_range = int(ColorRange.MPEG)
    picture.color_primaries = int(ColorPrimaries.BT709)
    picture.color_trc = int(ColorTrc.BT709)
