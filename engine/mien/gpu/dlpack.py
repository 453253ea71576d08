"""Arrays passed by DLPack, in and out, without a copy: surfaces of PyAV, arrays of PyTorch or CuPy.

The structures are those of version 0 of the protocol, which every library still takes:
https://dmlc.github.io/dlpack/latest/c_api.html
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from mien.gpu.memory import DeviceArray

CPU, CUDA = 1, 2
"""Kinds of device."""

_NAME, _USED = b"dltensor", b"used_dltensor"
_KINDS = {0: "i", 1: "u", 2: "f"}


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class _Managed(ctypes.Structure):
    pass


_Deleter = ctypes.CFUNCTYPE(None, ctypes.POINTER(_Managed))
_Managed._fields_ = (
    ("tensor", _Tensor),
    ("manager", ctypes.c_void_p),
    ("deleter", _Deleter),
)
_Destructor = ctypes.CFUNCTYPE(None, ctypes.c_void_p)

_new = ctypes.pythonapi.PyCapsule_New
_new.restype, _new.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, _Destructor)
_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
_rename = ctypes.pythonapi.PyCapsule_SetName
_rename.restype, _rename.argtypes = ctypes.c_int, (ctypes.py_object, ctypes.c_char_p)
# The same of a capsule that is dying, which must not become an object again.
_valid = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_IsValid", ctypes.pythonapi)
)
_address = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)

_lent: dict[int, Any] = {}
"""What others still hold, by the address of its description."""


class Borrowed:
    """Keeps somebody's array until nobody needs it any more."""

    def __init__(self, managed: Any) -> None:
        self._managed = managed

    def __del__(self) -> None:
        deleter = self._managed.contents.deleter
        if deleter:
            deleter(self._managed)


def borrow(value: Any) -> DeviceArray:
    """Somebody's array in CUDA memory, without a copy.

    The work that fills it must be done, or lie on a stream that this one waits for.

    Args:
        value: has ``__dlpack__``.

    Raises:
        TypeError: it has not, or is of a kind that mien does not know.
        ValueError: elements of a row do not touch, or it lies elsewhere.
    """
    if not hasattr(value, "__dlpack__"):
        raise TypeError(f"expected an array with __dlpack__, got {type(value).__name__}")
    kind, _ = value.__dlpack_device__()
    if kind != CUDA:
        raise ValueError(f"expected an array in CUDA memory, got one on a device of kind {kind}")
    return _borrow(value.__dlpack__())


def _borrow(capsule: Any) -> DeviceArray:
    managed = ctypes.cast(_pointer(capsule, _NAME), ctypes.POINTER(_Managed))
    _rename(capsule, _USED)  # from here on it is ours to give back
    owner = Borrowed(managed)
    tensor = managed.contents.tensor
    if tensor.code not in _KINDS or tensor.lanes != 1:
        raise TypeError(f"expected whole or real numbers, got DLPack's type {tensor.code}")
    dtype = np.dtype(f"{_KINDS[tensor.code]}{tensor.bits // 8}")
    shape = tuple(int(tensor.shape[axis]) for axis in range(tensor.ndim))
    packed = [1]
    for size in reversed(shape[1:]):
        packed.append(packed[-1] * size)
    packed.reverse()
    strides = packed if not tensor.strides else [tensor.strides[i] for i in range(tensor.ndim)]
    if any(
        step != wanted
        for size, step, wanted in zip(shape[1:], strides[1:], packed[1:], strict=True)
        if size > 1
    ):
        raise ValueError(f"the array {shape} has gaps inside its rows; make it contiguous")
    pitch = int(strides[0] if shape and shape[0] > 1 else packed[0]) * dtype.itemsize
    if pitch < packed[0] * dtype.itemsize:
        raise ValueError(f"the array {shape} has rows that overlap or run backwards")
    return DeviceArray(int(tensor.data) + int(tensor.byte_offset), shape, dtype, pitch, owner)


class Lent:
    """An array for others; has ``__dlpack__``. Its memory lives until they have given it back.

    Args:
        array: rows may lie apart.
        device_id: number of the card.
        device_type: where its memory is.
    """

    def __init__(self, array: DeviceArray, device_id: int = 0, device_type: int = CUDA) -> None:
        self._array, self._device = array, (device_type, device_id)

    def __dlpack_device__(self) -> tuple[int, int]:
        """Kind and number of the device."""
        return self._device

    def __dlpack__(self, *, stream: int | None = None) -> Any:
        """A capsule; the work that fills the array must be done."""
        array = self._array
        kinds = {letter: code for code, letter in _KINDS.items()}
        count = len(array.shape)
        strides = [1]
        for size in reversed(array.shape[2:]):
            strides.append(strides[-1] * size)
        rows = array.pitch // array.dtype.itemsize
        strides = [rows, *reversed(strides)] if count > 1 else [1]
        shape = (ctypes.c_int64 * count)(*array.shape)
        steps = (ctypes.c_int64 * count)(*strides)
        managed = _Managed()
        tensor = managed.tensor
        tensor.data = array.pointer
        tensor.device_type, tensor.device_id = self._device
        tensor.ndim = count
        tensor.code, tensor.bits = kinds[array.dtype.kind], 8 * array.dtype.itemsize
        tensor.lanes = 1
        tensor.shape = ctypes.cast(shape, ctypes.POINTER(ctypes.c_int64))
        tensor.strides = ctypes.cast(steps, ctypes.POINTER(ctypes.c_int64))
        managed.deleter = _GIVE_BACK
        address = ctypes.addressof(managed)
        _lent[address] = managed, shape, steps, array
        return _new(address, _NAME, _FORGET)


def _give_back(managed: Any) -> None:
    _lent.pop(ctypes.addressof(managed.contents), None)


def _forget(capsule: int) -> None:
    """A capsule that nobody took."""
    if _valid(capsule, _NAME):
        _lent.pop(_address(capsule, _NAME), None)


# Kept for as long as the process lives: whoever holds an array calls them.
_GIVE_BACK, _FORGET = _Deleter(_give_back), _Destructor(_forget)


def lent() -> int:
    """How many arrays others hold."""
    return len(_lent)
