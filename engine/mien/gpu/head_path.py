"""A generated head in a frame: networks, placing and blending as one CUDA graph.

One copy up holds what the networks are told, the pixels under the head and the kernels'
arguments; one copy down holds the blended patch, its matte and the tone. Between them nothing
touches the host, and the host waits once.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np

from mien.errors import ModelError
from mien.gpu.arguments import check_inside, check_range
from mien.gpu.drawn_head import MOST_SOURCES, Head, scaled_from_patch
from mien.gpu.driver import Gpu
from mien.gpu.frame_path import MOST_RADIUS
from mien.gpu.kernels import GpuKernels, launch
from mien.gpu.lanes import Lane, Layout, Placed
from mien.gpu.memory import DeviceArray, device_array
from mien.gpu.packing import HeadPart, HeadTone, View, pack, view
from mien.gpu.queueing import FrameWork, Mark, Step
from mien.gpu.shared_frame import SharedFrame
from mien.types import F32Array, U8Array

_BLOCK = (32, 8, 1)
_BLOCKS_A_PROCESSOR = 4
_TONE_BLOCK = (256, 1, 1)
_KERNELS = ("mien_head_mix", "mien_head_tone", "mien_head_picture", "mien_head_composite")


class Stage(Protocol):
    """A network on the GPU; see :class:`mien.inference.tensorrt_stage.EngineStage`."""

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    refusal: str

    @property
    def arrays(self) -> Mapping[str, Any]: ...
    def queue(self, stream: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class _Generator:
    """A generator, and the memory of its inputs and its picture."""

    stage: Stage
    ws: DeviceArray
    place: DeviceArray
    image: DeviceArray
    place_name: str


class HeadPath:
    """Draws heads into frames that lie on the host. One thread at a time.

    ``close`` frees its memory, but neither the networks nor the GPU.

    Args:
        gpu: where.
        encoder: ``condition`` and ``latent`` to ``w``.
        generator: ``ws`` and one more input to ``image``, (1, 4, S, S) float32.
        kernels: of that GPU; closed with this object.

    Attributes:
        shared: pixels that somebody has sent up already; None where nobody does.

    Raises:
        ModelError: the networks do not fit each other.
    """

    def __init__(
        self, gpu: Gpu, encoder: Stage, generator: Stage, kernels: GpuKernels | None = None
    ) -> None:
        self._gpu, self._encoder = gpu, encoder
        self._of_encoder = {name: device_array(one) for name, one in encoder.arrays.items()}
        self._generators: dict[str, _Generator] = {}
        self.add("", generator)
        self.layers, self._width = self._generators[""].ws.shape[1:]
        self.size = self._generators[""].image.shape[-1]
        self._kernels = kernels or GpuKernels(gpu)
        pool = self._kernels.pool
        self._work = FrameWork(gpu)
        self._up, self._down = Lane(gpu, pool), Lane(gpu, pool)
        self.shared: SharedFrame | None = None
        self._encoded = pool.packed((MOST_SOURCES, self._width), np.float32)
        self._picture = pool.packed((self.size, self.size, 4), np.uint8)
        self._grid = (_BLOCKS_A_PROCESSOR * gpu.processors, 1)

    def add(self, name: str, generator: Stage) -> None:
        """One more generator of the same shape, under a name.

        Raises:
            ModelError: it does not fit the encoder.
        """
        place = _input_beside_ws(self._encoder, generator)
        arrays = {name: device_array(one) for name, one in generator.arrays.items()}
        self._generators[name] = _Generator(
            generator, arrays["ws"], arrays[place], arrays["image"], place
        )

    @property
    def allocations(self) -> int:
        """How often memory was taken, on either side; stands still in the steady state."""
        return self._kernels.pool.allocations + self._up.allocations + self._down.allocations

    @property
    def recordings(self) -> int:
        """How often a graph was recorded; seldom grows in the steady state."""
        return sum(graph.recordings for graph in self._work.graphs.values())

    @property
    def graphs(self) -> int:
        """How many graphs a head takes: one, unless a network may not be recorded."""
        return len({name.rpartition(" ")[2] for name in self._work.graphs})

    @property
    def bytes_moved(self) -> tuple[int, int]:
        """Of the last call's copy up and its copy down."""
        return self._up.nbytes, self._down.nbytes

    @property
    def gpu_ms(self) -> float:
        """Milliseconds of all calls together by the GPU's own clock, copies included."""
        return self._work.gpu_ms

    @property
    def graph_refused(self) -> str:
        """Why work is queued piece by piece, without a graph; empty where there is one."""
        return self._work.graph_refused

    def paint(
        self,
        head: Head,
        frame: U8Array,
        at: tuple[int, int],
        size: tuple[int, int],
        radius: int,
        mark: Mark | None = None,
    ) -> tuple[U8Array, U8Array, F32Array]:
        """The part of the frame under the head, with the head in it; the frame stays as it is.

        Args:
            head: what to draw.
            frame: (H, W, 3) uint8 BGR.
            at: (left, top) of the part.
            size: (height, width) of the part, not empty.
            radius: of the matte's softening, 0..8.
            mark: told about each step; they are then queued one by one, without a graph.

        Returns:
            (height, width, 3) BGR and the softened (height, width) matte, valid until the next
            call; and the (3,) ratio for the next frame's tone.

        Raises:
            DeviceError: the GPU failed.
            FloatingPointError: the generator drew what is no number.
            ValueError: arrays that do not fit.
        """
        check_range("radius", radius, 0, MOST_RADIUS)
        count = self._checked(head)
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
            raise ValueError(f"expected frame (H, W, 3) uint8, got {frame.shape} {frame.dtype}")
        check_inside(*at, size, frame.shape[:2])
        check_range("rows", size[0], 1, frame.shape[0])
        check_range("columns", size[1], 1, frame.shape[1])
        given = {
            "condition": head.condition,
            "latents": head.latents,
            "shares": head.shares,
            "place": head.place,
            "points": head.tone.points,
            "weights": head.tone.weights,
        }
        layout = Layout()
        part_at = layout.place((ctypes.sizeof(HeadPart),), np.uint8)
        lists = {name: layout.place((value.size,), np.float32) for name, value in given.items()}
        left, top = at
        window = left, top, left + size[1], top + size[0]
        found = self.shared.take(frame, window) if self.shared is not None else None
        there = None if found is None else found[0]
        pixels = layout.place((0 if there else size[0], size[1], 3), np.uint8)
        self._up.fit(layout.nbytes)
        out = Layout()
        tone_at = out.place((ctypes.sizeof(HeadTone),), np.uint8)
        bgr_at, matte_at = out.place((*size, 3), np.uint8), out.place(size, np.uint8)
        self._down.fit(out.nbytes)
        part = self._part(head, at, radius, lists)
        if there is None:
            part.frame = view(pixels.on_device(self._up.pointer))
        else:
            first = there.data + top * there.row_stride + 3 * left
            part.frame = View(first, there.row_stride, *size)
        part.bgr = view(bgr_at.on_device(self._down.pointer))
        part.matte = view(matte_at.on_device(self._down.pointer))
        self._up.fill(part_at, np.frombuffer(bytes(part), np.uint8))
        for name, value in given.items():
            self._up.fill(lists[name], np.ascontiguousarray(value, np.float32).reshape(-1))
        if there is None:
            self._up.fill(pixels, frame[top : top + size[0], left : left + size[1]])
        for name in _KERNELS:  # cannot be loaded while a graph is recorded
            self._kernels.library.function("networks", name)
        key = (self._up.key, self._down.key, head.tone.points.size)
        steps = self._steps(self._generators[head.generator], count, part_at, lists, tone_at)
        self._work.run_steps(f"head {head.generator} of {count}", key, steps, mark)
        tone = HeadTone.from_buffer_copy(self._down.host(tone_at).tobytes())
        if tone.broken:
            raise FloatingPointError("the generator drew values that are not finite")
        ratio = np.array(tone.ratio, np.float32)
        return self._down.host(bgr_at), self._down.host(matte_at), ratio

    def _checked(self, head: Head) -> int:
        """How many latents there are, once every array has the size that it must have."""
        count = len(head.latents)
        check_range("latents", count, 1, MOST_SOURCES)
        points = len(head.tone.points)
        for name, value, shape in (
            ("condition", head.condition, (self._of_encoder["condition"].shape[-1],)),
            ("latents", head.latents, (count, self._width)),
            ("shares", head.shares, (self.layers, count)),
            ("points", head.tone.points, (points, 2)),
            ("weights", head.tone.weights, (points,)),
        ):
            if value.shape != shape:
                raise ValueError(f"expected {name} {shape}, got {value.shape}")
        generator = self._generators[head.generator]
        wanted = generator.place.shape
        if head.place.size != int(np.prod(wanted)):
            raise ValueError(f"expected {generator.place_name} {wanted}, got {head.place.shape}")
        return count

    def _part(
        self, head: Head, at: tuple[int, int], radius: int, lists: Mapping[str, Placed]
    ) -> HeadPart:
        """What the kernels are told of this frame, but for pictures."""
        tone = head.tone
        part = HeadPart(
            count=len(tone.points),
            reach=tone.reach,
            newest=tone.newest,
            most=tone.most,
            share=tone.share,
            side=head.side,
            radius=radius,
            opacity=head.opacity,
            has_ratio=tone.ratio is not None,
        )
        part.points = self._up.pointer + lists["points"].offset
        part.weights = self._up.pointer + lists["weights"].offset
        part.own[:] = [float(value) for value in tone.own]
        part.ratio[:] = [1.0] * 3 if tone.ratio is None else [float(one) for one in tone.ratio]
        part.map[:] = scaled_from_patch(head.frame_from_crop, self.size, head.side, at)
        return part

    def _steps(
        self,
        generator: _Generator,
        count: int,
        part_at: Placed,
        lists: Mapping[str, Placed],
        tone_at: Placed,
    ) -> list[Step]:
        """The work, in order; it depends on nothing but the lanes, the generator and the count."""
        sent = {name: self._up.pointer + placed.offset for name, placed in lists.items()}
        encoder = self._of_encoder
        row = 4 * self._width

        def feed(stream: Any) -> None:
            self._up.send(stream)
            self._copy(encoder["condition"].pointer, sent["condition"], lists["condition"], stream)
            self._copy(generator.place.pointer, sent["place"], lists["place"], stream)

        def latent(k: int, stream: Any) -> None:
            copy = self._gpu.cuda.memcpy_dtod_async
            if k > 0:  # what the pass before gave
                copy(self._encoded.pointer + (k - 1) * row, encoder["w"].pointer, row, stream)
            if k < count:
                copy(encoder["latent"].pointer, sent["latents"] + k * row, row, stream)

        steps = [Step("upload", feed)]
        for k in range(count):
            steps.append(Step("latent", partial(latent, k)))
            steps.append(Step("encoder", self._encoder.queue, not self._encoder.refusal))
        steps.append(Step("w", partial(latent, count)))
        steps.append(Step("mix", partial(self._mix, generator, sent["shares"], count)))
        steps.append(Step("generator", generator.stage.queue, not generator.stage.refusal))
        addresses = self._up.pointer + part_at.offset, self._down.pointer + tone_at.offset
        steps.append(Step("place", partial(self._draw, generator, *addresses)))
        steps.append(Step("download", self._down.receive))
        return steps

    def _copy(self, target: int, source: int, placed: Placed, stream: Any) -> None:
        self._gpu.cuda.memcpy_dtod_async(target, source, 4 * placed.shape[0], stream)

    def _mix(self, generator: _Generator, shares: int, count: int, stream: Any) -> None:
        to = generator.ws.pointer
        encoded, weights = ctypes.c_uint64(self._encoded.pointer), ctypes.c_uint64(shares)
        told = count, self.layers, self._width, ctypes.c_uint64(to)
        buffer = pack(encoded, weights, *told)
        grid = (-(-self.layers * self._width // 128), 1)
        self._launch("mien_head_mix", grid, (128, 1, 1), buffer, stream)

    def _draw(self, generator: _Generator, part: int, tone: int, stream: Any) -> None:
        image = ctypes.c_uint64(generator.image.pointer)
        where, told = ctypes.c_uint64(part), ctypes.c_uint64(tone)
        picture = ctypes.c_uint64(self._picture.pointer)
        buffer = pack(where, image, self.size, told)
        self._launch("mien_head_tone", (1, 1), _TONE_BLOCK, buffer, stream)
        grid = (-(-self.size // _BLOCK[0]), -(-self.size // _BLOCK[1]))
        buffer = pack(where, image, self.size, told, picture)
        self._launch("mien_head_picture", grid, _BLOCK, buffer, stream)
        buffer = pack(where, picture, self.size)
        self._launch("mien_head_composite", self._grid, _BLOCK, buffer, stream)

    def _launch(self, name: str, grid: Any, block: Any, buffer: bytes, stream: Any) -> None:
        launch(self._kernels.library.function("networks", name), grid, block, stream, buffer)

    def close(self) -> None:
        """Frees all memory and unloads the kernels."""
        self._work.close()
        del self._encoded, self._picture
        self._up.close()
        self._down.close()
        self._kernels.close()


def _input_beside_ws(encoder: Stage, generator: Stage) -> str:
    """The name of the generator's other input, once the networks fit each other."""
    fits = set(encoder.inputs) == {"condition", "latent"} and "w" in encoder.outputs
    fits = fits and "ws" in generator.inputs and len(generator.inputs) == 2
    fits = fits and "image" in generator.outputs
    specs = [
        *(*encoder.inputs.values(), *encoder.outputs.values()),
        *(*generator.inputs.values(), *generator.outputs.values()),
    ]
    if not fits or any(one.dtype != "float32" for one in specs):
        raise ModelError(
            "the networks of a head do not fit each other: " + ", ".join(map(str, specs)),
            "export them again",
        )
    return next(name for name in generator.inputs if name != "ws")
