"""A network that looks at a turned square of a frame: crop and network as one CUDA graph.

One copy up holds the part of the frame under the square and how it is cut; one copy down holds
what the network says, a few kilobytes. The host waits once.
"""

from __future__ import annotations

import ctypes
from functools import partial
from typing import Any

import numpy as np

from mien.errors import ModelError
from mien.gpu.driver import Gpu
from mien.gpu.head_path import Stage
from mien.gpu.kernels import GpuKernels, launch
from mien.gpu.lanes import Lane, Layout, Placed
from mien.gpu.memory import device_array
from mien.gpu.packing import CropPart, pack, view
from mien.gpu.queueing import FrameWork, Mark, Step
from mien.gpu.shared_frame import SharedFrame
from mien.types import F32Array, U8Array

_BLOCK = (32, 8, 1)
_SLACK_BYTES = 4  # beside a row: samples on the last pixels have taps of no weight beyond them


class CropPath:
    """Runs one network on squares of frames that lie on the host. One thread at a time.

    ``close`` frees its memory, but neither the network nor the GPU.

    Args:
        gpu: where.
        network: one input, (1, 3, S, S) float32 RGB.
        scale: of code values.
        kernels: of that GPU; closed with this object.

    Attributes:
        shared: the pixels that were sent up last, for whoever draws into their frame.

    Raises:
        ModelError: the network has other inputs.
    """

    def __init__(
        self, gpu: Gpu, network: Stage, scale: float, kernels: GpuKernels | None = None
    ) -> None:
        [(name, source)] = network.inputs.items()
        self.side = int(source.shape[-1])
        if tuple(source.shape) != (1, 3, self.side, self.side) or source.dtype != "float32":
            raise ModelError(f"expected a network of one RGB square, got {source}")
        self._gpu, self._network, self._scale = gpu, network, scale
        self._input = device_array(network.arrays[name])
        self._kernels = kernels or GpuKernels(gpu)
        pool = self._kernels.pool
        self._work = FrameWork(gpu)
        self._up, self._down = Lane(gpu, pool), Lane(gpu, pool)
        layout = Layout()
        self._results = {
            name: (device_array(network.arrays[name]), layout.place(spec.shape, spec.dtype))
            for name, spec in network.outputs.items()
        }
        self._down.fit(layout.nbytes)
        self.shared = SharedFrame(gpu.index)

    @property
    def allocations(self) -> int:
        """How often memory was taken, on either side; stands still in the steady state."""
        return self._kernels.pool.allocations + self._up.allocations + self._down.allocations

    @property
    def recordings(self) -> int:
        """How often a graph was recorded."""
        return sum(graph.recordings for graph in self._work.graphs.values())

    @property
    def bytes_moved(self) -> tuple[int, int]:
        """Of the last call's copy up and its copy down."""
        return self._up.nbytes, self._down.nbytes

    @property
    def gpu_ms(self) -> float:
        """Milliseconds of all calls together by the GPU's own clock, copies included."""
        return self._work.gpu_ms

    def run(
        self,
        frame: U8Array,
        window: tuple[int, int, int, int],
        block_from_crop: Any,
        shrink: int,
        mark: Mark | None = None,
    ) -> dict[str, F32Array]:
        """What the network says of a square of the frame.

        Args:
            frame: (H, W, 3) uint8 BGR.
            window: left, top, right, bottom of the part that is looked at, not empty; what lies
                beyond it repeats its border.
            block_from_crop: (2, 3), from crop pixels to blocks of ``shrink`` x ``shrink`` pixels
                that begin at the window's first.
            shrink: side of the blocks, at least 1; a window holds at least one.
            mark: told about each step; they are then queued one by one, without a graph.

        Returns:
            Views by name, valid until the next call.

        Raises:
            DeviceError: the GPU failed.
        """
        left, top, right, bottom = window
        self.shared.forget()
        layout = Layout()
        part_at = layout.place((ctypes.sizeof(CropPart),), np.uint8)
        pixels = layout.place((bottom - top, right - left, 3), np.uint8)
        self._up.fit(layout.nbytes + pixels.pitch + _SLACK_BYTES)
        sent = pixels.on_device(self._up.pointer)
        part = CropPart(part=view(sent), shrink=shrink, scale=self._scale)
        part.map[:] = np.asarray(block_from_crop, np.float64).reshape(6).tolist()
        self._up.fill(part_at, np.frombuffer(bytes(part), np.uint8))
        self._up.fill(pixels, frame[top:bottom, left:right])
        self._kernels.library.function("networks", "mien_face_crop")  # not while recording
        steps = [
            Step("upload", self._up.send),
            Step("crop", partial(self._crop, part_at)),
            Step("network", self._network.queue, not self._network.refusal),
            Step("download", self._collect),
        ]
        self._work.run_steps("crop", (self._up.key, self._down.key), steps, mark)
        self.shared.put(frame, (left, top), sent)
        return {name: self._down.host(placed) for name, (_, placed) in self._results.items()}

    def _crop(self, part_at: Placed, stream: Any) -> None:
        where = ctypes.c_uint64(self._up.pointer + part_at.offset)
        buffer = pack(where, self.side, ctypes.c_uint64(self._input.pointer))
        grid = (-(-self.side // _BLOCK[0]), -(-self.side // _BLOCK[1]))
        function = self._kernels.library.function("networks", "mien_face_crop")
        launch(function, grid, _BLOCK, stream, buffer)

    def _collect(self, stream: Any) -> None:
        """Outputs side by side, so that one copy brings them down."""
        for array, placed in self._results.values():
            size = int(np.prod(array.shape, dtype=np.int64)) * array.dtype.itemsize
            target = self._down.pointer + placed.offset
            self._gpu.cuda.memcpy_dtod_async(target, array.pointer, size, stream)
        self._down.receive(stream)

    def close(self) -> None:
        """Frees all memory and unloads the kernels."""
        self.shared.forget()
        self._work.close()
        self._up.close()
        self._down.close()
        self._kernels.close()
