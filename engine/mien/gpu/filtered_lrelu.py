"""filtered_lrelu on a GPU: one block computes one tile of the output in shared memory."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from mien.gpu.arguments import expect_list
from mien.gpu.kernels import GpuKernels, launch
from mien.gpu.memory import DeviceArray
from mien.gpu.packing import fields, pack

# Outputs of a tile, larger first: the first whose shared memory fits is taken. 48 KB need no
# leave; beyond that a block gets what the card allows.
_TILES = ((32, 32), (24, 24), (16, 16), (16, 8), (8, 8), (4, 4), (2, 2), (1, 1))
_FREE_SHARED = 48 * 1024
_THREADS = 256
_MOST_GRID_Z = 65535
_MODES = (0, 1, 2)
_KERNELS = {"float16": "f16", "float32": "f32", "float64": "f64"}


class _Shape(ctypes.Structure):
    _fields_ = fields(
        ctypes.c_int32,
        "batch channels in_height in_width out_height out_width up down pad_y pad_x "
        "up_taps down_taps up_is_2d down_is_2d",
    )


class _Strides(ctypes.Structure):
    _fields_ = fields(ctypes.c_int64, "n c h w")


class _Tile(ctypes.Structure):
    _fields_ = fields(ctypes.c_int32, "out_height out_width up_height up_width in_height in_width")


def _call_fields(real: Any) -> tuple[tuple[str, Any], ...]:
    return (
        ("shape", _Shape),
        ("activation", real * 3),
        ("mode", ctypes.c_int32),
        *fields(ctypes.c_uint64, "x bias up_taps down_taps y codes"),
        ("x_strides", _Strides),
        ("y_strides", _Strides),
        ("codes_strides", _Strides),
        *fields(ctypes.c_int32, "codes_height codes_width codes_y codes_x"),
    )


class _Call32(ctypes.Structure):
    _fields_ = _call_fields(ctypes.c_float)


class _Call64(ctypes.Structure):
    _fields_ = _call_fields(ctypes.c_double)


def filtered_lrelu(
    kernels: GpuKernels,
    x: Any,
    y: Any,
    bias: Any,
    up_taps: Any,
    down_taps: Any,
    up: int,
    down: int,
    pad_y: int,
    pad_x: int,
    gain: float,
    slope: float,
    clamp: float,
    mode: int = 0,
    codes: Any = None,
    codes_y: int = 0,
    codes_x: int = 0,
    stream: Any = None,
) -> None:
    """See :func:`mien._kernels.filtered_lrelu`; packed arrays, and float16 as well.

    Bias and taps are float32 (float64 with float64 pictures).

    Raises:
        TypeError, ValueError: arrays or settings that do not fit.
    """
    source = expect_list("x", x, _kind(x), (None, None, None, None))
    if source.dtype.name not in _KERNELS:
        raise TypeError(f"expected x of float16, float32 or float64, got {source.dtype}")
    batch, channels, in_height, in_width = source.shape
    target = expect_list("y", y, source.dtype, (batch, channels, None, None))
    real = np.dtype(np.float64 if source.dtype == np.float64 else np.float32)
    rise, fall = (_taps(name, t, real) for name, t in (("up", up_taps), ("down", down_taps)))
    offsets = None if bias is None else expect_list("bias", bias, real, (channels,))
    if up < 1 or down < 1 or mode not in _MODES:
        raise ValueError(f"expected up, down >= 1 and mode 0, 1 or 2, got {up}, {down}, {mode}")
    marks = None
    if mode != 0:
        marks = expect_list("codes", codes, np.uint8, (batch, channels, None, None))
    if 0 in target.shape:
        return
    shape = _Shape(
        *(batch, channels, in_height, in_width, *target.shape[2:], up, down, pad_y, pad_x),
        *(rise.shape[0], fall.shape[0], len(rise.shape) - 1, len(fall.shape) - 1),
    )
    call = (_Call64 if real == np.float64 else _Call32)()
    call.shape, call.mode = shape, mode
    call.activation[:] = (gain, slope, clamp)
    call.x, call.y = source.pointer, target.pointer
    call.bias = 0 if offsets is None else offsets.pointer
    call.up_taps, call.down_taps = rise.pointer, fall.pointer
    call.x_strides, call.y_strides = _strides(source), _strides(target)
    if marks is not None:
        call.codes, call.codes_strides = marks.pointer, _strides(marks)
        call.codes_height, call.codes_width = marks.shape[2:]
        call.codes_y, call.codes_x = codes_y, codes_x
    name = f"mien_filtered_lrelu_{_KERNELS[source.dtype.name]}"
    tile, shared = _tile(shape, real.itemsize)
    grid = (
        -(-shape.out_width // tile.out_width),
        -(-shape.out_height // tile.out_height),
        min(batch * channels, _MOST_GRID_Z),
    )
    function = kernels.library.function("filtered_lrelu", name)
    with kernels.gpu.current(f"launching {name}"):
        use = kernels.gpu.stream if stream is None else stream
        launch(function, grid, (_THREADS, 1, 1), use, pack(call, tile), shared)
    kernels.launches += 1


def _kind(x: Any) -> Any:
    return np.dtype(x.__cuda_array_interface__["typestr"])


def _taps(name: str, value: Any, real: np.dtype[Any]) -> DeviceArray:
    sizes = len(value.__cuda_array_interface__["shape"])
    array = expect_list(f"{name}_taps", value, real, (None,) * sizes)
    if sizes not in (1, 2) or array.shape[0] < 1 or len(set(array.shape)) != 1:
        raise ValueError(f"expected {name}_taps (T,) or (T, T), got {array.shape}")
    return array


def _strides(array: DeviceArray) -> _Strides:
    _, c, h, w = array.shape
    return _Strides(c * h * w, h * w, w, 1)


def _tile(s: _Shape, itemsize: int) -> tuple[_Tile, int]:
    """The largest tile whose shared memory fits, as ``mien::tile_of`` counts it.

    Raises:
        ValueError: not even one output fits.
    """
    for height, width in _TILES:
        rows = (height - 1) * s.down + s.down_taps
        columns = (width - 1) * s.down + s.down_taps
        in_rows = (rows + s.up_taps - 2) // s.up + 2
        in_columns = (columns + s.up_taps - 2) // s.up + 2
        before = in_rows * in_columns + (0 if s.up_is_2d else in_rows * columns)
        after = 0 if s.down_is_2d else rows * width
        nbytes = (rows * columns + max(before, after)) * itemsize
        if nbytes <= _FREE_SHARED:
            return _Tile(height, width, rows, columns, in_rows, in_columns), nbytes
    raise ValueError(f"filters of {s.up_taps} and {s.down_taps} taps do not fit a block's memory")
