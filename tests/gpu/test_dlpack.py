"""DLPack in and out, against PyAV's and NumPy's own side of it, on memory of the host."""

from __future__ import annotations

import gc
from typing import Any

import av
import numpy as np
import pytest

from mien.gpu.dlpack import CPU, CUDA, Lent, _borrow, borrow, lent
from mien.gpu.memory import DeviceArray
from mien_streamer.colour import planes_of


def host_array(shape: tuple[int, ...], pitch: int, dtype: Any = np.uint8) -> Any:
    """An array of the host with rows apart, and mien's view of it."""
    kind = np.dtype(dtype)
    memory = np.random.default_rng(0).integers(0, 256, pitch * shape[0] + 64, np.uint8)
    row = kind.itemsize
    steps = [row]
    for size in reversed(shape[2:]):
        steps.append(steps[-1] * size)
    strides = (pitch, *reversed(steps)) if len(shape) > 1 else (row,)
    view = np.ndarray(shape, kind, memory, strides=strides)
    return view, DeviceArray(memory.ctypes.data, shape, kind, pitch, memory)


@pytest.mark.parametrize("shape", [(6, 8), (3, 4, 2), (5,)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_numpy_takes_what_is_lent_and_gives_it_back(shape: Any, dtype: Any) -> None:
    before = lent()
    view, array = host_array(shape, 64, dtype)
    taken = np.from_dlpack(Lent(array, device_type=CPU))
    assert lent() == before + 1
    assert taken.shape == shape
    assert taken.dtype == dtype
    assert np.ascontiguousarray(taken).tobytes() == np.ascontiguousarray(view).tobytes()
    del taken
    gc.collect()
    assert lent() == before


def test_a_capsule_that_nobody_takes_is_forgotten() -> None:
    before = lent()
    _, array = host_array((4, 4), 64)
    capsule = Lent(array).__dlpack__()
    assert lent() == before + 1
    del capsule
    assert lent() == before


def test_pyav_makes_a_picture_of_planes_that_are_lent() -> None:
    before = lent()
    (luma, y), (chroma, uv) = host_array((48, 64), 256), host_array((24, 32, 2), 256)
    picture = av.VideoFrame.from_dlpack(
        (Lent(y, device_type=CPU), Lent(uv, device_type=CPU)), format="nv12"
    )
    assert (picture.width, picture.height, picture.format.name) == (64, 48, "nv12")
    assert lent() == before + 2
    wanted = np.concatenate([luma, chroma.reshape(24, 64)])
    assert np.array_equal(picture.to_ndarray(), wanted)
    del picture
    gc.collect()
    assert lent() == before


def test_what_pyav_lends_is_borrowed_where_it_lies() -> None:
    picture = av.VideoFrame(64, 48, "nv12")
    for index, plane in enumerate(picture.planes):
        shape = (48, 64) if index == 0 else (24, 32, 2)
        array = _borrow(plane.__dlpack__())
        assert (array.shape, array.pitch) == (shape, plane.line_size)
        assert array.pointer == np.frombuffer(memoryview(plane), np.uint8).ctypes.data
        del array
    planar = av.VideoFrame(64, 48, "yuv420p")
    for view, plane in zip(planes_of(planar), planar.planes, strict=True):
        assert _borrow(plane.__dlpack__()).shape == view.shape


def test_what_is_borrowed_lives_until_it_is_given_back() -> None:
    before = lent()
    _, array = host_array((4, 4), 64)
    taken = _borrow(Lent(array).__dlpack__())
    assert (taken.pointer, taken.pitch, taken.shape) == (array.pointer, 64, (4, 4))
    part = taken.part(1, 1, 2, 2)
    del taken
    gc.collect()
    assert lent() == before + 1
    del part
    gc.collect()
    assert lent() == before


def test_other_things_are_refused() -> None:
    with pytest.raises(TypeError, match="expected an array with __dlpack__, got int"):
        borrow(3)
    with pytest.raises(ValueError, match="expected an array in CUDA memory"):
        borrow(np.zeros(4, np.uint8))
    with pytest.raises(ValueError, match="gaps inside its rows"):
        _borrow(np.zeros((4, 8), np.uint8)[:, ::2].__dlpack__())
    with pytest.raises(ValueError, match="run backwards"):
        _borrow(np.zeros((4, 8), np.uint8)[::-1].__dlpack__())
    with pytest.raises(TypeError, match="expected whole or real numbers"):
        _borrow(np.zeros(4, np.complex64).__dlpack__())
    _, array = host_array((4, 4), 64)
    assert borrow(Lent(array)).shape == (4, 4)
    assert Lent(array, 3).__dlpack_device__() == (CUDA, 3)
