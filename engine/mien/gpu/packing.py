"""Arguments of kernels as bytes, laid out as the CUDA compiler lays them out.

Every structure here has a twin in ``kernels/``; ``tests/gpu`` compares sizes with the compiled
kernels.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from mien.gpu.memory import DeviceArray

TRIANGLE_BYTES = 248
"""sizeof(mien::Triangle) on the device."""


def fields(kind: Any, names: str) -> tuple[tuple[str, Any], ...]:
    """Fields of one type, their names apart by spaces."""
    return tuple((name, kind) for name in names.split())


class View(ctypes.Structure):
    """``mien::View<T>``."""

    _fields_ = (
        ("data", ctypes.c_uint64),
        ("row_stride", ctypes.c_int64),
        ("height", ctypes.c_int32),
        ("width", ctypes.c_int32),
    )


class FaceMesh(ctypes.Structure):
    """``mien::FaceMesh``."""

    _fields_ = (
        ("uv", ctypes.c_uint64),
        ("vertices", ctypes.c_uint64),
        ("source_xy", ctypes.c_uint64),
        ("gain", ctypes.c_uint64),
        ("offset", ctypes.c_uint64),
        ("left", ctypes.c_int32),
        ("top", ctypes.c_int32),
    )


class Face(ctypes.Structure):
    """``MienFace``."""

    _fields_ = (
        ("mesh", FaceMesh),
        ("texture", View),
        ("aux", View),
        ("frame", View),
        ("triangles", ctypes.c_uint64),
        ("triangle_count", ctypes.c_int32),
        ("bgr", View),
        ("matte", View),
        ("depth", View),
        ("set_up", ctypes.c_uint64),
        ("keys", ctypes.c_uint64),
    )


class FramePart(ctypes.Structure):
    """``MienFramePart``."""

    _fields_ = (
        ("face", Face),
        ("window", ctypes.c_int32 * 4),
        ("radius", ctypes.c_int32),
        ("frame_number", ctypes.c_uint32),
    )


class Mend(ctypes.Structure):
    """``MienMend``."""

    _fields_ = (("source", View), ("target", ctypes.c_uint64), ("row_stride", ctypes.c_int64))


class HeadPart(ctypes.Structure):
    """``MienHeadPart``."""

    _fields_ = (
        ("frame", View),
        ("bgr", View),
        ("matte", View),
        ("points", ctypes.c_uint64),
        ("weights", ctypes.c_uint64),
        ("map", ctypes.c_double * 6),
        *fields(ctypes.c_int32, "count reach"),
        ("own", ctypes.c_float * 3),
        ("ratio", ctypes.c_float * 3),
        ("has_ratio", ctypes.c_int32),
        *fields(ctypes.c_float, "newest most share"),
        *fields(ctypes.c_int32, "side radius"),
        ("opacity", ctypes.c_float),
        ("unused", ctypes.c_int32),
    )


class HeadTone(ctypes.Structure):
    """``mien::HeadTone``."""

    _fields_ = (
        ("ratio", ctypes.c_float * 3),
        ("gain", ctypes.c_float * 3),
        *fields(ctypes.c_uint32, "broken unused"),
    )


class CropPart(ctypes.Structure):
    """``mien::CropPart``."""

    _fields_ = (
        ("part", View),
        ("map", ctypes.c_double * 6),
        ("shrink", ctypes.c_int32),
        ("scale", ctypes.c_float),
    )


class Affine(ctypes.Structure):
    """``mien::Affine``."""

    _fields_ = fields(ctypes.c_float, "xx xy x0 yx yy y0")


class YuvMatrix(ctypes.Structure):
    """``mien::YuvMatrix``."""

    _fields_ = (
        *fields(ctypes.c_uint16, "y_b y_g y_r u_b u_g u_r v_r v_g v_b"),
        *fields(ctypes.c_int16, "luma r_v g_u g_v b_u"),
    )


def yuv_matrix(name: str) -> YuvMatrix:
    """``mien::make_yuv_matrix`` for ``bt709`` or ``bt601``."""
    weights = {"bt709": (0.2126, 0.0722), "bt601": (0.299, 0.114)}
    if name not in weights:
        raise ValueError(f"expected matrix 'bt709' or 'bt601', got {name!r}")
    kr, kb = weights[name]
    kg = 1.0 - kr - kb
    luma, chroma = 219.0 / 255.0, 224.0 / 255.0
    u, v = chroma * 0.5 / (1.0 - kb), chroma * 0.5 / (1.0 - kr)
    m = YuvMatrix()
    m.y_b, m.y_r = _fixed(luma * kb), _fixed(luma * kr)
    m.y_g = _fixed(luma) - m.y_b - m.y_r
    m.u_b, m.u_r = _fixed(u * (1.0 - kb)), _fixed(u * kr)
    m.u_g = m.u_b - m.u_r
    m.v_r, m.v_b = _fixed(v * (1.0 - kr)), _fixed(v * kb)
    m.v_g = m.v_r - m.v_b
    m.luma, m.r_v, m.b_u = _back(1.0 / luma), _back(1.0 / v), _back(1.0 / u)
    m.g_u, m.g_v = _back(-kb / (kg * u)), _back(-kr / (kg * v))
    return m


def _fixed(value: float) -> int:
    return int(value * 65536.0 + 0.5)


def _back(value: float) -> int:
    return int(value * 8192.0 + (-0.5 if value < 0.0 else 0.5))


def view(array: DeviceArray, offset: int = 0) -> View:
    """The view of a picture, ``offset`` elements further on."""
    item = array.dtype.itemsize
    return View(array.pointer + offset * item, array.pitch // item, *array.shape[:2])


def pack(*values: Any) -> bytes:
    """The parameter buffer of a launch.

    Args:
        values: ctypes numbers and structures, NumPy arrays of bytes, plain ints (int32) and
            floats (float32).
    """
    out = bytearray()
    for value in values:
        if isinstance(value, bool | int | np.integer):
            value = ctypes.c_int32(int(value))
        elif isinstance(value, float | np.floating):
            value = ctypes.c_float(float(value))
        out += b"\0" * (-len(out) % ctypes.alignment(value))
        out += bytes(value)
    return bytes(out)


def address(array: DeviceArray) -> ctypes.c_uint64:
    """A pointer parameter."""
    return ctypes.c_uint64(array.pointer)
