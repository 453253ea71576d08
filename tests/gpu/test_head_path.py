"""A head with networks that are played: the kernels between them against OpenCV's way."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from mien import _kernels
from mien.errors import ModelError
from mien.gpu import Gpu, Head, HeadPath, SharedFrame, Tone
from mien.gpu.memory import DeviceArray
from mien.inference import TensorSpec
from mien.swappers.stylegan3.placing import Placer, part_in_frame, scaled_side
from mien.types import F32Array, U8Array
from tests.gpu.conftest import Machine
from tests.swappers.faces import frame_of

SIDE, LAYERS, WIDTH, TOLD = 64, 6, 16, 10
FRAME = (220, 300)


class PlayedStage:
    """A network that is a function of its memory."""

    refusal = ""

    def __init__(
        self,
        cuda: Any,
        inputs: dict[str, tuple[int, ...]],
        outputs: dict[str, tuple[int, ...]],
        compute: Callable[[PlayedStage], None],
    ) -> None:
        self.inputs = {name: TensorSpec(name, shape, "float32") for name, shape in inputs.items()}
        self.outputs = {n: TensorSpec(n, shape, "float32") for n, shape in outputs.items()}
        self._compute = compute
        self.memory = {n: cuda.mem_alloc(s.nbytes) for n, s in self._specs().items()}
        self.arrays = {
            name: DeviceArray(int(self.memory[name]), spec.shape, np.dtype("f4"), spec.nbytes)
            for name, spec in self._specs().items()
        }

    def _specs(self) -> dict[str, TensorSpec]:
        return {**self.inputs, **self.outputs}

    def at(self, name: str) -> F32Array:
        shape = self._specs()[name].shape
        floats = (ctypes.c_float * int(np.prod(shape))).from_address(int(self.memory[name]))
        return np.frombuffer(floats, np.float32).reshape(shape)

    def queue(self, stream: Any) -> None:
        stream.submit(lambda: self._compute(self))


class Scene:
    """The path, its networks, and the picture that the generator draws."""

    def __init__(self, gpu: Gpu, machine: Machine, place: tuple[int, ...]) -> None:
        self.picture: F32Array = drawn()

        def encode(stage: PlayedStage) -> None:
            stage.at("w")[:] = stage.at("latent") + stage.at("condition").mean()

        def generate(stage: PlayedStage) -> None:
            stage.at("image")[0] = self.picture

        told = {"condition": (1, TOLD), "latent": (1, WIDTH)}
        with gpu.current():
            self.encoder = PlayedStage(machine.cuda, told, {"w": (1, WIDTH)}, encode)
            self.generator = PlayedStage(
                machine.cuda,
                {"ws": (1, LAYERS, WIDTH), "where": place},
                {"image": (1, 4, SIDE, SIDE)},
                generate,
            )
        self.path = HeadPath(gpu, self.encoder, self.generator, machine.kernels(gpu))


@pytest.fixture(params=[(1, 3, 3), (1, 22, 22, 2)], ids=["transform", "grid"])
def scene(request: pytest.FixtureRequest, gpu: Gpu, machine: Machine) -> Iterator[Scene]:
    made = Scene(gpu, machine, request.param)
    yield made
    made.path.close()


def drawn(seed: int = 0) -> F32Array:
    """A smooth picture that leaves 0..1, with a round matte."""
    rng = np.random.default_rng(seed)
    planes = [cv2.GaussianBlur(rng.random((SIDE, SIDE), np.float32), (0, 0), 3) for _ in range(4)]
    picture = (np.stack(planes) - 0.5) * 6 + 0.5
    y, x = np.mgrid[:SIDE, :SIDE] / (SIDE - 1) - 0.5
    picture[3] = 1.0 / (1.0 + np.exp(-(1.0 - (x**2 + y**2) / 0.15) * 20.0))
    return picture.astype(np.float32)


def head(scene: Scene, scale: float = 2.0, turn: float = 0.3, **change: Any) -> Head:
    rng = np.random.default_rng(1)
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    shift = np.array([150.3, 110.6]) - linear @ np.full(2, (SIDE - 1) / 2)
    way = np.concatenate([linear, shift[:, None]], axis=1).astype(np.float32)
    shares = rng.random((LAYERS, 2)).astype(np.float32)
    made = Head(
        condition=rng.random(TOLD).astype(np.float32),
        latents=rng.random((2, WIDTH)).astype(np.float32),
        shares=shares / shares.sum(axis=1, keepdims=True),
        place=rng.random(scene.generator.inputs["where"].shape).astype(np.float32),
        frame_from_crop=way,
        side=scaled_side(SIDE, way),
        opacity=1.0,
        tone=Tone(
            points=rng.uniform(-3, SIDE + 3, (468, 2)).astype(np.float32),
            weights=np.full(468, 1 / 468, np.float32),
            reach=1,
            own=np.array([90, 120, 150], np.float32),
            ratio=None,
            newest=0.15,
            most=2.5,
            share=0.0,
        ),
    )
    return replace(made, **change)


def paint(scene: Scene, one: Head, frame: U8Array, radius: int = 1) -> tuple[U8Array, F32Array]:
    left, top, right, bottom = part_in_frame((0, 0, SIDE, SIDE), one.frame_from_crop, FRAME)
    bgr, _, ratio = scene.path.paint(one, frame, (left, top), (bottom - top, right - left), radius)
    shown = frame.copy()
    shown[top:bottom, left:right] = bgr
    return shown, ratio


def on_cpu(
    scene: Scene, one: Head, frame: U8Array, radius: int, gain: F32Array | None = None
) -> U8Array:
    placer = Placer(SIDE)
    factors = np.ones(3, np.float32) if gain is None else gain
    picture = placer.picture(scene.picture, factors, one.opacity)
    patch = placer.place(picture, one.frame_from_crop, frame_of(frame))
    shown = frame.copy()
    _kernels.blur_matte(patch.matte, radius, 1)
    _kernels.blend(shown, patch.left, patch.top, patch.bgr, patch.matte)
    return shown


def noise() -> U8Array:
    return np.random.default_rng(2).integers(0, 256, (*FRAME, 3), np.uint8)


@pytest.mark.parametrize(
    ("scale", "turn", "opacity", "radius"),
    [
        (2.3, 0.3, 1.0, 2),
        (0.45, -0.7, 0.7, 1),
        (1.0, 0.0, 1.0, 1),
        (5.1, 1.2, 1.0, 3),
        (0.2, 0.0, 1.0, 0),
    ],
)
def test_a_head_is_placed_as_opencv_places_it(
    scene: Scene, scale: float, turn: float, opacity: float, radius: int
) -> None:
    one, frame = head(scene, scale, turn, opacity=opacity), noise()
    before = frame.copy()
    shown, _ = paint(scene, one, frame, radius)
    away = np.abs(shown.astype(int) - on_cpu(scene, one, frame, radius))
    # A code value where OpenCV rounds in vectors; more only where the frame's edge, or that of
    # what shows, cuts the matte that is softened.
    assert (away > 1).mean() < 2e-3
    assert away.max() <= 8
    assert np.abs(shown.astype(int) - frame).max() > 60
    assert np.array_equal(frame, before)


def test_what_the_networks_are_told(scene: Scene) -> None:
    one = head(scene)
    paint(scene, one, noise())
    wanted = one.shares @ (one.latents + one.condition.mean())
    np.testing.assert_allclose(scene.generator.at("ws")[0], wanted, rtol=1e-5)
    np.testing.assert_array_equal(scene.generator.at("where"), one.place)
    np.testing.assert_array_equal(scene.encoder.at("condition")[0], one.condition)


@pytest.mark.parametrize("reach", [0, 1, 5])
def test_the_tone_is_drawn_towards_the_performers(scene: Scene, reach: int) -> None:
    tone = replace(head(scene).tone, reach=reach, share=0.5)
    one, frame = head(scene, tone=tone), noise()
    picture = np.clip(scene.picture[:3] * np.float32(255), 0, 255).astype(np.uint8)
    colours = np.empty((468, 3), np.float32)
    packed = np.ascontiguousarray(picture.transpose(1, 2, 0))
    _kernels.sample_points(packed, tone.points, colours, reach)
    now = np.clip(tone.own / np.maximum(tone.weights @ colours, 4.0), 1 / 2.5, 2.5)
    shown, first = paint(scene, one, frame)
    np.testing.assert_allclose(first, now, rtol=1e-4)
    gain = (now**0.5).astype(np.float32)
    assert (np.abs(shown.astype(int) - on_cpu(scene, one, frame, 1, gain)) > 1).mean() < 3e-3
    before = np.array([1.2, 0.9, 1.0], np.float32)
    _, second = paint(scene, replace(one, tone=replace(tone, ratio=before)), frame)
    np.testing.assert_allclose(second, before + (now - before) * 0.15, rtol=1e-4)


def test_steps_are_told_where_somebody_times_them(scene: Scene, machine: Machine) -> None:
    one, steps = head(scene), []
    part = (60, 40), (150, 180)
    scene.path.paint(one, noise(), *part, 1, steps.append)
    network = ["latent", "encoder"]
    assert steps == [
        "upload", *network, *network, "w", "mix", "generator", "place", "download",
    ]  # fmt: skip
    assert machine.libcuda.launches == 0


def test_heads_that_move_and_mix_are_no_other_graph(scene: Scene, machine: Machine) -> None:
    frame = noise()
    for turn in (0.8, 0.1):  # the largest part first; a graph for each number of latents
        one = head(scene, 1.5, turn)
        paint(scene, one, frame)
        alone = replace(one, latents=one.latents[:1], shares=np.ones((LAYERS, 1), np.float32))
        paint(scene, alone, frame)
    before = scene.path.allocations, scene.path.recordings
    machine.cuda.trace.clear()
    for n in range(6):
        paint(scene, head(scene, 1.5, 0.1 * n), frame)
    assert [call for call, _ in machine.cuda.trace if call != "event"] == ["wait"] * 6
    assert (scene.path.allocations, scene.path.recordings) == before


def test_pixels_that_are_there_are_not_sent_again(scene: Scene, gpu: Gpu, machine: Machine) -> None:
    one, frame = head(scene), noise()
    wanted, _ = paint(scene, one, frame)
    sent = scene.path._kernels.pool.array((FRAME[0] + 1, FRAME[1], 3), np.uint8)
    pixels = DeviceArray(sent.pointer, (*FRAME, 3), sent.dtype, sent.pitch, sent)
    rows = (ctypes.c_uint8 * (sent.pitch * FRAME[0])).from_address(sent.pointer)
    there = np.frombuffer(rows, np.uint8).reshape(FRAME[0], sent.pitch)
    there[:, : 3 * FRAME[1]] = frame.reshape(FRAME[0], -1)
    scene.path.shared = SharedFrame(gpu.index)
    scene.path.shared.put(frame, (0, 0), pixels)
    shown, _ = paint(scene, one, frame)
    assert scene.path.shared.taken == 1
    assert np.array_equal(shown, wanted)
    scene.path.shared.put(frame, (0, 0), pixels)
    scene.path.shared.touch(frame, [(1, 1, 2, 2)])  # and then all of it is sent
    again, _ = paint(scene, one, frame)
    assert scene.path.shared.taken == 1
    assert np.array_equal(again, wanted)


def test_what_is_no_number_is_an_error_and_the_next_head_is_drawn(scene: Scene) -> None:
    one, frame = head(scene), noise()
    wanted, _ = paint(scene, one, frame)
    for channel, bad in ((0, np.nan), (2, -np.inf), (3, np.inf)):
        scene.picture = drawn()
        scene.picture[channel, 40, 9] = bad
        with pytest.raises(FloatingPointError, match="not finite"):
            paint(scene, one, frame)
    scene.picture = drawn()
    assert np.array_equal(paint(scene, one, frame)[0], wanted)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"latents": np.zeros((9, WIDTH), np.float32)}, r"expected latents 1\.\.8, got 9"),
        ({"shares": np.zeros((LAYERS, 3), np.float32)}, r"expected shares \(6, 2\), got \(6, 3\)"),
        ({"condition": np.zeros(9, np.float32)}, r"expected condition \(10,\)"),
        ({"place": np.zeros(5, np.float32)}, r"expected where \(1, .*\), got \(5,\)"),
    ],
)
def test_heads_that_do_not_fit_are_refused(scene: Scene, change: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        paint(scene, head(scene, **change), noise())
    with pytest.raises(ValueError, match="inside the frame"):
        scene.path.paint(head(scene), noise(), (0, 0), (300, 300), 1)
    with pytest.raises(ValueError, match=r"radius 0\.\.8"):
        scene.path.paint(head(scene), noise(), (0, 0), (10, 10), 9)


def test_networks_that_do_not_fit_each_other_are_refused(scene: Scene, gpu: Gpu) -> None:
    with pytest.raises(ModelError, match="do not fit each other"):
        HeadPath(gpu, scene.generator, scene.encoder)
