"""A face in a frame through the whole path on the GPU: the CPU's picture, bit for bit."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from mien import _kernels
from mien.errors import DeviceError, GpuLostError
from mien.gpu import DrawnFace, FallingBack, FramePath, Gpu
from tests.gpu.conftest import Machine
from tests.gpu.emulation import LaunchError, OutOfMemoryError
from tests.kernels.test_raster import random_scene

LISTS = ("texture", "aux", "uv", "vertices", "source_xy", "gain", "offset", "triangles")


@pytest.fixture(params=[pytest.param("cuda", marks=pytest.mark.gpu), "cuda sources on the host"])
def path(request: pytest.FixtureRequest) -> Iterator[FramePath]:
    if request.param == "cuda":
        with Gpu() as opened:
            made = FramePath(opened)
            yield made
            made.close()
        return
    machine: Machine = request.getfixturevalue("machine")
    opened = request.getfixturevalue("gpu")
    made = FramePath(opened, machine.kernels(opened))
    yield made
    made.close()
    assert not machine.cuda.live, "device memory was not freed"
    assert not machine.libcuda.executables
    assert not machine.libcuda.graphs


def drawn_face(values: dict[str, Any]) -> DrawnFace:
    return DrawnFace(**{name: values[name] for name in LISTS})


def calls(machine: Machine) -> list[tuple[str, Any]]:
    """What the driver was asked, but for its clock and for loading kernels."""
    return [call for call in machine.cuda.trace if call[0] not in ("event", "module")]


def on_cpu(
    values: dict[str, Any], frame: Any, at: tuple[int, int], size: tuple[int, int], radius: int
) -> tuple[Any, Any]:
    """The part of the frame with the face in it, and the softened matte."""
    bgr, matte = np.empty((*size, 3), np.uint8), np.empty(size, np.uint8)
    arrays = [values[name] for name in LISTS]
    _kernels.raster_face(*arrays, frame, *at, bgr, matte, np.empty(size, np.float32))
    _kernels.blur_matte(matte, radius, 1)
    whole = frame.copy()
    _kernels.blend(whole, *at, bgr, matte)
    return whole[at[1] : at[1] + size[0], at[0] : at[0] + size[1]], matte


@pytest.mark.parametrize("radius", [0, 1, 3, 8])
@pytest.mark.parametrize(
    ("at", "size"),
    [((0, 0), (101, 107)), ((13, 9), (71, 64)), ((106, 100), (1, 1)), ((3, 60), (7, 33))],
)
def test_a_painted_face_is_the_cpus(
    path: FramePath, radius: int, at: tuple[int, int], size: tuple[int, int]
) -> None:
    values = random_scene(np.random.default_rng(radius), 0.3, 90.0)
    frame = values["frame"]
    before = frame.copy()
    bgr, matte = path.paint(drawn_face(values), frame, at, size, radius)
    expected, soft = on_cpu(values, frame, at, size, radius)
    assert np.array_equal(matte, soft)
    assert np.array_equal(bgr, expected)
    assert np.array_equal(frame, before)


def test_faces_that_move_and_grow_leave_nothing_behind(path: FramePath) -> None:
    rng = np.random.default_rng(4)
    for number in range(12):
        values = random_scene(rng, rng.uniform(-1, 1), rng.uniform(20, 160))
        at = int(rng.integers(0, 60)), int(rng.integers(0, 60))
        size = int(rng.integers(1, 102 - at[1])), int(rng.integers(1, 108 - at[0]))
        radius = number % 4
        bgr, matte = path.paint(drawn_face(values), values["frame"], at, size, radius)
        expected, soft = on_cpu(values, values["frame"], at, size, radius)
        assert np.array_equal(bgr, expected)
        assert np.array_equal(matte, soft)


def test_the_window_holds_every_tap_of_every_sample() -> None:
    values = random_scene(np.random.default_rng(0), 0.2, 40.0)
    values["source_xy"][:] = (106.0, 100.0)  # the frame's last pixel
    face = drawn_face(values)
    assert face.window((106, 100), (1, 1), (101, 107)) == (103, 97, 107, 101)
    values["source_xy"][:] = (50.2, 40.7)
    face = drawn_face(values)
    assert face.window((106, 100), (1, 1), (101, 107)) == (47, 37, 107, 101)
    assert face.window((40, 30), (5, 9), (101, 107)) == (40, 30, 54, 44)
    assert face.window((0, 0), (1, 1), (1, 1)) == (0, 0, 1, 1)


def test_the_frames_numbers_begin_again(path: FramePath) -> None:
    values = random_scene(np.random.default_rng(1), 0.2, 90.0)
    face, frame = drawn_face(values), values["frame"]
    path.paint(face, frame, (0, 0), (101, 107), 1)
    path._number = 1  # as after 65533 frames
    smaller = random_scene(np.random.default_rng(1), 0.2, 40.0)
    expected, _ = on_cpu(smaller, frame, (0, 0), (101, 107), 1)
    for _ in range(3):
        path.paint(face, frame, (0, 0), (101, 107), 1)
        bgr, _ = path.paint(drawn_face(smaller), frame, (0, 0), (101, 107), 1)
        assert np.array_equal(bgr, expected)
    assert path._number > 60000


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1e9, 1e9])
def test_places_out_of_this_world_are_the_cpus_too(path: FramePath, bad: float) -> None:
    values = random_scene(np.random.default_rng(2), 0.1, 90.0)
    values["source_xy"][7] = bad
    values["vertices"][200, 0] = bad
    bgr, _ = path.paint(drawn_face(values), values["frame"], (2, 3), (90, 99), 2)
    assert np.array_equal(bgr, on_cpu(values, values["frame"], (2, 3), (90, 99), 2)[0])


@pytest.mark.parametrize("matrix", ["bt709", "bt601"])
@pytest.mark.parametrize("frame_size", [(101, 107), (100, 96)])
@pytest.mark.parametrize(
    ("at", "size"), [((0, 0), (70, 80)), ((11, 7), (60, 81)), ((30, 20), (2, 3))]
)
def test_a_face_in_a_420_frame_is_the_cpus(
    path: FramePath,
    matrix: str,
    frame_size: tuple[int, int],
    at: tuple[int, int],
    size: tuple[int, int],
) -> None:
    rng = np.random.default_rng(7)
    values = random_scene(rng, -0.3, 90.0)
    height, width = frame_size
    half = ((height + 1) // 2, (width + 1) // 2)
    y = rng.integers(16, 236, frame_size, np.uint8)
    uv = rng.integers(16, 240, (*half, 2), np.uint8)
    frame = np.empty((*frame_size, 3), np.uint8)
    _kernels.nv12_to_bgr(y, uv, frame, matrix)
    left, top = at[0] // 2 * 2, at[1] // 2 * 2
    right = min(-(-(at[0] + size[1]) // 2) * 2, width)
    bottom = min(-(-(at[1] + size[0]) // 2) * 2, height)
    part, _ = on_cpu(values, frame, (left, top), (bottom - top, right - left), 2)
    expected_y, expected_uv = y.copy(), uv.copy()
    _kernels.bgr_to_nv12(
        np.ascontiguousarray(part),
        expected_y[top:bottom, left:right],
        expected_uv[top // 2 : (bottom + 1) // 2, left // 2 : (right + 1) // 2],
        matrix,
    )
    path.paint_nv12(drawn_face(values), y, uv, at, size, 2, matrix)
    assert np.array_equal(y, expected_y)
    assert np.array_equal(uv, expected_uv)


def test_a_420_frame_costs_one_graph_launch(gpu: Gpu, machine: Machine) -> None:
    path = FramePath(gpu, machine.kernels(gpu))
    values = random_scene(np.random.default_rng(0), 0.2, 90.0)
    y, uv = np.full((101, 107), 99, np.uint8), np.full((51, 54, 2), 120, np.uint8)
    path.paint_nv12(drawn_face(values), y, uv, (0, 0), (80, 80), 2)
    work = [a["kernel"] if c == "launch" else c for c, a in calls(machine)]
    assert work[-7:] == [
        "htod", "mien_yuv_to_bgr", "mien_frame_cover", "mien_frame_composite",
        "mien_frame_to_yuv", "dtoh", "wait",
    ]  # fmt: skip
    machine.cuda.trace.clear()
    before = path.allocations
    for left in range(5):  # another place is no other graph
        path.paint_nv12(drawn_face(values), y, uv, (left, 0), (80, 80 - left), 2)
    assert calls(machine) == [("wait", "stream")] * 5
    assert (path.allocations, path.recordings) == (before, 1)
    path.close()


def test_a_face_that_moves_is_no_other_graph(gpu: Gpu, machine: Machine) -> None:
    path = FramePath(gpu, machine.kernels(gpu))
    rng = np.random.default_rng(0)
    values = random_scene(rng, 0.2, 70.0)
    path.paint(drawn_face(values), values["frame"], (10, 10), (80, 80), 2)
    machine.cuda.trace.clear()
    before = path.allocations
    for number in range(10):
        values["vertices"][:, :2] += np.float32(0.5)
        values["gain"] *= np.float32(0.99)
        path.paint(drawn_face(values), values["frame"], (10 + number, 10), (80, 80 - number), 2)
    assert calls(machine) == [("wait", "stream")] * 10
    assert (path.allocations, path.recordings) == (before, 1)
    path.close()


def test_a_much_larger_face_changes_the_graph_in_place(gpu: Gpu, machine: Machine) -> None:
    path = FramePath(gpu, machine.kernels(gpu))
    values = random_scene(np.random.default_rng(0), 0.2, 70.0)
    frame = np.zeros((700, 800, 3), np.uint8)
    path.paint(drawn_face(values), frame, (0, 0), (600, 700), 2)
    graph = path._work.graphs["bgr"]
    for size, times in (((600, 700), 1), ((60, 70), 59), ((600, 700), 1), ((60, 70), 59)):
        for _ in range(times):  # one that is small now and then changes nothing
            path.paint(drawn_face(values), frame, (0, 0), size, 2)
        assert graph.recordings == 1
    for size in ((60, 70), (600, 700)):
        path.paint(drawn_face(values), frame, (0, 0), size, 2)
        assert np.array_equal(
            path.paint(drawn_face(values), frame, (0, 0), size, 2)[0],
            on_cpu(values, frame, (0, 0), size, 2)[0],
        )
    assert (graph.recordings, graph.updates, graph.instantiations) == (3, 2, 1)
    path.close()


def test_steps_are_told_where_somebody_times_them(gpu: Gpu, machine: Machine) -> None:
    path = FramePath(gpu, machine.kernels(gpu))
    values = random_scene(np.random.default_rng(0), 0.2, 70.0)
    steps: list[str] = []
    path.paint(drawn_face(values), values["frame"], (0, 0), (80, 80), 2, steps.append)
    assert steps == ["upload", "cover", "composite", "download"]
    assert machine.libcuda.launches == 0
    assert path.gpu_ms == 0.25
    path.close()


def test_without_graphs_work_is_queued_step_by_step(
    gpu: Gpu, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine.libcuda.fails.add("cuGraphInstantiateWithFlags")
    path = FramePath(gpu, machine.kernels(gpu))
    values = random_scene(np.random.default_rng(0), 0.2, 70.0)
    face, frame = drawn_face(values), values["frame"]
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            bgr, _ = path.paint(face, frame, (0, 0), (80, 80), 2)
            assert np.array_equal(bgr, on_cpu(values, frame, (0, 0), (80, 80), 2)[0])
    assert caplog.text.count("no CUDA graph") == 1
    assert "cuGraphInstantiateWithFlags" in path.graph_refused
    path.close()


def test_a_launch_that_fails_goes_to_the_cpu(gpu: Gpu, machine: Machine) -> None:
    path = FramePath(gpu, machine.kernels(gpu))
    draw = FallingBack(gpu, path, _kernels.raster_face)
    values = random_scene(np.random.default_rng(0), 0.2, 70.0)
    face, frame = tuple(values[name] for name in LISTS), values["frame"]
    assert draw.paint(face, frame, (0, 0), (80, 80), 2) is not None
    assert draw.paint(face, frame, (0, 0), (80, 80), 9) is None  # farther than the GPU softens
    assert not draw.lost
    machine.libcuda.fails.add("cuGraphLaunch")
    machine.libcuda.status = 719
    with pytest.raises(GpuLostError, match="cuGraphLaunch failed"):
        draw.paint(face, frame, (0, 0), (80, 80), 2)
    assert "cuGraphLaunch" in draw.lost
    assert draw.paint(face, frame, (0, 0), (80, 80), 2) is None
    machine.libcuda.fails.clear()
    path.close()


@pytest.mark.parametrize("call", ["mem_alloc", "pagelocked"])
def test_memory_that_runs_out_in_the_middle_goes_to_the_cpu(
    gpu: Gpu, machine: Machine, call: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = FramePath(gpu, machine.kernels(gpu))
    draw = FallingBack(gpu, path, _kernels.raster_face)
    values = random_scene(np.random.default_rng(0), 0.2, 70.0)
    arrays: Any = tuple(values[name] for name in LISTS)
    frame = np.zeros((400, 500, 3), np.uint8)
    assert draw.paint(arrays, frame, (0, 0), (40, 40), 2) is not None
    machine.cuda.fail[call] = OutOfMemoryError("out of memory")
    with pytest.raises(DeviceError, match="Fake H100 is out of memory while taking"):
        draw.paint(arrays, frame, (0, 0), (390, 490), 2)
    assert caplog.text.count("faces are drawn on the CPU from now on") == 1
    assert draw.paint(arrays, frame, (0, 0), (40, 40), 2) is None
    machine.cuda.fail.clear()
    path.close()
    assert not machine.cuda.live


def test_a_failure_while_recording_leaves_the_stream_usable(gpu: Gpu, machine: Machine) -> None:
    path = FramePath(gpu, machine.kernels(gpu))
    values = random_scene(np.random.default_rng(0), 0.2, 70.0)
    machine.cuda.fail["htod"] = LaunchError("cuMemcpyHtoDAsync failed: launch failure")
    with pytest.raises(DeviceError, match="Fake H100 failed while"):
        path.paint(drawn_face(values), values["frame"], (0, 0), (80, 80), 2)
    assert gpu.stream.recording is None
    machine.cuda.fail.clear()
    path.paint(drawn_face(values), values["frame"], (0, 0), (80, 80), 2)
    path.close()


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ({"gain": np.zeros((467, 3), np.float32)}, ValueError, r"expected gain \(468, 3\)"),
        ({"gain": np.zeros((468, 3))}, TypeError, "expected gain .* float32, got .* float64"),
        ({"aux": np.zeros((3, 3), np.uint8)}, ValueError, r"expected aux \(61, 67\)"),
        ({"triangles": np.int32([[0, 1, 468]])}, ValueError, r"vertices 0\.\.467"),
        ({"triangles": np.zeros((70000, 3), np.int32)}, ValueError, "at most 65536 triangles"),
    ],
)
def test_faces_that_do_not_fit_are_refused(
    change: dict[str, Any], kind: type[Exception], said: str
) -> None:
    values = {**random_scene(np.random.default_rng(0), 0.2, 70.0), **change}
    with pytest.raises(kind, match=said):
        drawn_face(values)


def test_frames_that_do_not_fit_are_refused(gpu: Gpu, machine: Machine) -> None:
    path = FramePath(gpu, machine.kernels(gpu))
    face = drawn_face(random_scene(np.random.default_rng(0), 0.2, 70.0))
    frame = np.zeros((60, 60, 3), np.uint8)
    y, uv = np.zeros((60, 60), np.uint8), np.zeros((30, 30, 2), np.uint8)
    with pytest.raises(ValueError, match="inside the frame of 60 x 60"):
        path.paint(face, frame, (10, 0), (60, 60), 1)
    with pytest.raises(ValueError, match=r"radius 0\.\.8"):
        path.paint(face, frame, (0, 0), (60, 60), 9)
    with pytest.raises(ValueError, match=r"expected frame \(H, W, 3\) uint8"):
        path.paint(face, y, (0, 0), (60, 60), 1)
    with pytest.raises(ValueError, match=r"expected uv \(30, 30, 2\)"):
        path.paint_nv12(face, y, uv[:29], (0, 0), (60, 60), 1)
    with pytest.raises(ValueError, match="'bt709' or 'bt601'"):
        path.paint_nv12(face, y, uv, (0, 0), (60, 60), 1, "bt2020")
    assert machine.cuda.count("launch") == 0
    path.close()
