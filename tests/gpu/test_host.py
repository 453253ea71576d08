"""The host side: memory, transfers, graphs, drawing; against a driver that writes all down."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mien import _kernels
from mien.gpu import (
    DevicePool,
    FrameGraph,
    FramePath,
    Gpu,
    PinnedRing,
    Transfers,
    device_array,
)
from mien.gpu.choice import _scene
from tests.gpu.conftest import Machine
from tests.inference.fakes.cuda import DeviceTensor


def face(size: tuple[int, int] = (420, 400)) -> tuple[Any, Any, Any, Any]:
    """A scene and room for what is drawn."""
    values = _scene()
    outs = np.zeros((*size, 3), np.uint8), np.zeros(size, np.uint8), np.zeros(size, np.float32)
    return values, *outs


def test_memory_that_is_given_back_is_used_again(gpu: Gpu, machine: Machine) -> None:
    pool = DevicePool(gpu)
    first = pool.array((100, 33, 3), np.uint8)
    assert first.pitch == 256
    address = first.pointer
    del first
    second = pool.array((100, 40, 3), np.uint8)
    assert second.pointer == address
    third = pool.array((100, 40, 3), np.uint8)
    assert third.pointer != address
    assert pool.allocations == 2
    pool.close()
    assert not machine.cuda.live


def test_arrays_of_others_are_taken_as_they_are(gpu: Gpu) -> None:
    pool = DevicePool(gpu)
    own = pool.array((10, 33, 3), np.uint8)
    part = device_array(own.part(4, 2, 8, 5))
    assert (part.shape, part.pitch, part.pointer - own.pointer) == ((5, 8, 3), 256, 2 * 256 + 12)
    interface = own.__cuda_array_interface__
    assert interface["strides"] == (256, 3, 1)
    packed = device_array(DeviceTensor(np.zeros((4, 6), np.float32)))
    assert (packed.shape, packed.pitch) == ((4, 6), 24)
    gapped = DeviceTensor(np.zeros((4, 6), np.float32))
    gapped.strides = (96, 8)
    with pytest.raises(ValueError, match="gaps inside its rows"):
        device_array(gapped)
    with pytest.raises(TypeError, match="expected an array in CUDA memory, got ndarray"):
        device_array(np.zeros(3))
    with pytest.raises(ValueError, match="inside 33 x 10"):
        own.part(30, 0, 4, 1)
    pool.close()


def test_pinned_buffers_take_turns_and_wait_only_for_their_own_copy(gpu: Gpu) -> None:
    ring = PinnedRing(gpu, slots=2)
    with gpu.current():
        slots = []
        for _ in range(4):
            slot, buffer = ring.take(1000)
            assert buffer.shape == (1000,)
            ring.sent(slot, gpu.stream)
            slots.append(slot)
        assert slots == [0, 1, 0, 1]
        assert (ring.allocations, ring.waits) == (2, 0)
        ring._events[0].done = False
        ring.take(1000)
        assert (ring.allocations, ring.waits) == (2, 1)
    ring.close()


def test_many_arrays_travel_as_one_copy_each_way(gpu: Gpu, machine: Machine) -> None:
    pool = DevicePool(gpu)
    transfers = Transfers(gpu, pool)
    rng = np.random.default_rng(0)
    values = [
        rng.integers(0, 256, (31, 37, 3), np.uint8),
        rng.normal(size=(468, 3)).astype(np.float32),
        rng.integers(0, 9, (5, 64), np.int32)[:, ::2],
    ]
    bundle = transfers.upload(values, gpu.stream)
    back = transfers.download(bundle, gpu.stream)
    for value, got in zip(values, back, strict=True):
        assert np.array_equal(value, got)
    assert machine.cuda.count("htod", "htod2d") == machine.cuda.count("dtoh") == 1
    transfers.close()
    pool.close()


def test_a_face_drawn_on_the_gpu_is_the_cpus(gpu: Gpu, machine: Machine) -> None:
    values, bgr, matte, depth = face()
    draw = FramePath(gpu, machine.kernels(gpu))
    draw(*values, bgr, matte, depth)
    cpu = [np.zeros_like(bgr), np.zeros_like(matte), np.zeros_like(depth)]
    _kernels.raster_face(*values, *cpu)
    assert matte.any()
    assert np.array_equal(bgr, cpu[0])
    assert np.array_equal(matte, cpu[1])
    draw.close()
    assert not machine.cuda.live


def test_the_steady_state_is_one_copy_up_one_launch_one_copy_down_one_wait(
    gpu: Gpu, machine: Machine
) -> None:
    values, bgr, matte, depth = face()
    draw = FramePath(gpu, machine.kernels(gpu))
    draw(*values, bgr, matte, depth)
    said = [call for call in machine.cuda.trace if call[0] not in ("event", "module")]
    calls = [about["kernel"] if call == "launch" else call for call, about in said]
    assert calls[-6:] == [
        "memset", "htod", "mien_frame_cover", "mien_frame_composite", "dtoh", "wait",
    ]  # fmt: skip
    machine.cuda.trace.clear()
    before, launches = draw.allocations, machine.libcuda.launches
    for _ in range(10):
        draw(*values, bgr, matte, depth)
    assert draw.allocations == before
    assert draw.recordings == 1
    assert machine.libcuda.launches == launches + 10
    assert [call for call, _ in machine.cuda.trace] == ["event", "event", "wait"] * 10
    assert draw.gpu_ms == 11 * 0.25
    draw.close()


def test_a_texture_that_may_change_is_sent_every_time(gpu: Gpu, machine: Machine) -> None:
    values, bgr, matte, depth = face()
    texture = values[0].copy()
    draw = FramePath(gpu, machine.kernels(gpu))
    draw(texture, *values[1:], bgr, matte, depth)
    before = bgr.copy()
    texture[..., :3] //= 2
    draw(texture, *values[1:], bgr, matte, depth)
    assert not np.array_equal(before, bgr)
    cpu = np.zeros_like(bgr)
    _kernels.raster_face(texture, *values[1:], cpu, matte, depth)
    assert np.array_equal(bgr, cpu)
    draw.close()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1e9, 1e9])
def test_places_out_of_this_world_read_no_foreign_memory(
    gpu: Gpu, machine: Machine, bad: float
) -> None:
    values, bgr, matte, depth = face()
    sources = values[4].copy()
    sources[7] = bad
    draw = FramePath(gpu, machine.kernels(gpu))
    draw(*values[:4], sources, *values[5:], bgr, matte, depth)
    cpu = np.zeros_like(bgr)
    _kernels.raster_face(*values[:4], sources, *values[5:], cpu, matte, depth)
    assert np.array_equal(bgr, cpu)
    draw.close()


def test_a_triangle_of_no_vertex_is_refused_before_the_gpu_sees_it(
    gpu: Gpu, machine: Machine
) -> None:
    values, bgr, matte, depth = face()
    triangles = values[7].copy()
    triangles[3, 1] = 9999
    draw = FramePath(gpu, machine.kernels(gpu))
    with pytest.raises(ValueError, match="triangles of vertices"):
        draw(*values[:7], triangles, *values[8:], bgr, matte, depth)
    assert machine.cuda.count("launch") == 0
    draw.close()


def test_a_graph_is_recorded_once_and_takes_new_arguments_over(gpu: Gpu, machine: Machine) -> None:
    kernels = machine.kernels(gpu)
    frame = kernels.pool.array((20, 40, 3), np.uint8)
    patch = kernels.pool.array((8, 8, 3), np.uint8)
    matte = kernels.pool.array((8, 8), np.uint8)
    transfers = Transfers(gpu, kernels.pool)
    graph = FrameGraph(gpu)

    def place(left: int) -> None:
        def work(stream: Any) -> None:
            kernels.feather_blend(frame, left, 4, patch, matte, 2, stream=stream)

        graph.run(("feather", left), work)

    kernels.feather_blend(frame, 0, 4, patch, matte, 2)  # loads the kernel
    machine.cuda.trace.clear()
    for left in (3, 3, 3, 9, 9):
        place(left)
    assert (graph.recordings, graph.updates, graph.instantiations) == (2, 1, 1)
    assert machine.libcuda.launches == 5
    assert machine.cuda.count("mem_alloc", "pagelocked", "wait", "module") == 0
    machine.libcuda.same_work = False
    place(12)
    assert (graph.recordings, graph.updates, graph.instantiations) == (3, 1, 2)
    graph.close()
    assert not machine.libcuda.executables
    assert not machine.libcuda.graphs
    transfers.close()
    kernels.close()


def test_a_recording_that_fails_leaves_the_stream_usable(gpu: Gpu, machine: Machine) -> None:
    graph = FrameGraph(gpu)

    def work(stream: Any) -> None:
        raise ValueError("a wrong argument")

    with pytest.raises(ValueError, match="a wrong argument"):
        graph.run("key", work)
    assert gpu.stream.recording is None
    assert not machine.libcuda.graphs
    graph.close()


def test_wrong_arrays_are_named_as_on_the_cpu(gpu: Gpu, machine: Machine) -> None:
    kernels = machine.kernels(gpu)
    frame = kernels.pool.array((20, 40, 3), np.uint8)
    patch = kernels.pool.array((8, 8, 3), np.uint8)
    matte = kernels.pool.array((8, 8), np.uint8)
    with pytest.raises(ValueError, match=r"inside the frame of 20 x 40"):
        kernels.blend(frame, 33, 0, patch, matte)
    with pytest.raises(ValueError, match=r"expected matte \(8, 8\) uint8, got \(20, 40, 3\)"):
        kernels.blend(frame, 0, 0, patch, frame)
    with pytest.raises(TypeError, match="expected bgr"):
        kernels.blend(frame, 0, 0, kernels.pool.array((8, 8, 3), np.float32), matte)
    with pytest.raises(ValueError, match=r"radius 0\.\.64"):
        kernels.blur_matte(matte, 65)
    with pytest.raises(ValueError, match=r"'bt709' or 'bt601'"):
        kernels.nv12_to_bgr(matte, kernels.pool.array((4, 4, 2), np.uint8), patch, "bt2020")
    assert machine.cuda.count("launch") == 0
    kernels.close()
