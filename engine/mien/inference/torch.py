"""PyTorch: on the CPU with the fused nonlinearity, on CUDA as one recorded graph."""

from __future__ import annotations

import contextlib
import copy
import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mien.errors import DeviceError, MissingError
from mien.inference.model import Device
from mien.inference.runner import (
    Precision,
    RunnerBase,
    TensorSpec,
    check_kind,
    check_names,
    host_array,
)

if TYPE_CHECKING:
    from mien.networks.stylegan3.generator import Generator

logger = logging.getLogger(__name__)

Mode = Literal["eager", "compile"]


def require_torch() -> Any:
    """The ``torch`` module.

    Raises:
        MissingError: it is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingError("PyTorch is not installed", 'pip install "mien[neural]"') from error
    return torch


def require_torch_device(device: Device) -> Any:
    """The ``torch`` module, able to use the device.

    Raises:
        MissingError: PyTorch is not installed.
        DeviceError: CUDA was asked for and PyTorch has none.
    """
    torch = require_torch()
    if device == "cpu":
        return torch
    if torch.version.cuda is None:
        raise DeviceError(
            f"this PyTorch ({torch.__version__}) is built without CUDA", "install a CUDA build"
        )
    if not torch.cuda.is_available():
        raise DeviceError("PyTorch finds no CUDA device", "check the NVIDIA driver with nvidia-smi")
    return torch


class TorchRunner(RunnerBase):
    """Runs a generator's synthesis network.

    On the CPU the layers use the fused filtered leaky ReLU and channels-last memory. On CUDA
    the whole pass is captured as one graph after the first run, since launching its hundreds
    of kernels one by one takes longer than running them.

    Args:
        generator: copied, so that the caller's stays as it is.
        device: ``cpu`` or ``cuda``.
        precision: of the features; styles and waves stay float32.
        mode: ``compile`` has torch.compile fuse what it can; the first run takes minutes.
        graph: capture a CUDA graph.
        fused: on the CPU, use the fused nonlinearity; False is the plain form, to compare with.
        threads: on the CPU; 0 keeps PyTorch's setting, which is one for the whole process.
        device_index: which CUDA device.
        reason: kept as :attr:`reason`.

    Raises:
        MissingError: PyTorch is not installed.
        DeviceError: CUDA was asked for and PyTorch has none.
    """

    name = "torch"

    def __init__(
        self,
        generator: Generator,
        *,
        device: Device = "cpu",
        precision: Precision = "fp32",
        mode: Mode = "eager",
        graph: bool = True,
        fused: bool = True,
        threads: int = 0,
        device_index: int = 0,
        reason: str = "asked for",
    ) -> None:
        torch = require_torch_device(device)
        self._torch: Any = torch
        self._threads = threads
        self._place = (
            torch.device("cuda", device_index) if device == "cuda" else torch.device("cpu")
        )
        self.device = "cpu"
        if device == "cuda":
            self.device = f"cuda:{device_index} ({torch.cuda.get_device_name(device_index)})"
        self.reason = reason
        self.inputs = {
            "ws": TensorSpec("ws", (1, generator.num_ws, generator.w_dim), "float32"),
            "transform": TensorSpec("transform", (1, 3, 3), "float32"),
        }
        size = generator.img_resolution
        self.outputs = {
            "image": TensorSpec("image", (1, generator.img_channels, size, size), "float32")
        }
        dtypes = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
        network: Any = copy.deepcopy(generator.synthesis).to(self._place)
        network = network.eval().requires_grad_(False)
        network.set_precision(dtypes[precision])
        if device == "cpu" and fused:
            from mien.inference import filtered_lrelu  # noqa: F401  (registers "fused")

            network.set_filtered_lrelu("fused")
            network.to(memory_format=torch.channels_last)
        self._network: Any = torch.compile(network) if mode == "compile" else network
        self._static = {
            name: torch.zeros(spec.shape, device=self._place) for name, spec in self.inputs.items()
        }
        self._image: Any = None
        self._graph: Any = None
        self._wants_graph = graph and device == "cuda"

    def run(self, inputs: Mapping[str, Any], *, to_host: bool = True) -> dict[str, Any]:
        """See :meth:`mien.inference.Runner.run`; device outputs are PyTorch tensors."""
        if self._network is None:
            raise RuntimeError("the runner is closed")
        check_names(self.inputs, inputs)
        torch = self._torch
        with torch.inference_mode(), self._thread_count():
            for name, value in inputs.items():
                self._static[name].copy_(self._tensor(self.inputs[name], value))
            if self._graph is not None:
                self._graph.replay()
            else:
                self._image = self._network(self._static["ws"], self._static["transform"])
                if self._wants_graph:
                    self._capture()
            if not to_host:
                return {"image": self._image}
            return {"image": np.ascontiguousarray(self._image.cpu().numpy())}

    def _tensor(self, spec: TensorSpec, value: Any) -> Any:
        torch = self._torch
        if not isinstance(value, torch.Tensor):
            if hasattr(value, "__dlpack__") and not isinstance(value, np.ndarray):
                value = torch.utils.dlpack.from_dlpack(value)
            elif hasattr(value, "__cuda_array_interface__"):
                value = torch.as_tensor(value, device=self._place)
            else:
                value = torch.from_numpy(host_array(spec, value))
        check_kind(spec, tuple(value.shape), str(value.dtype).removeprefix("torch."))
        return value

    def _capture(self) -> None:
        torch = self._torch
        self._wants_graph = False
        side = torch.cuda.Stream(self._place)
        side.wait_stream(torch.cuda.current_stream(self._place))
        with torch.cuda.stream(side):  # allocations settle before they are recorded
            for _ in range(2):
                self._network(self._static["ws"], self._static["transform"])
        torch.cuda.current_stream(self._place).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                image = self._network(self._static["ws"], self._static["transform"])
        except RuntimeError as error:
            logger.warning("no CUDA graph, running kernel by kernel: %s", error)
            return
        self._graph, self._image = graph, image
        graph.replay()

    @contextlib.contextmanager
    def _thread_count(self) -> Iterator[None]:
        before = self._torch.get_num_threads()
        if self._threads < 1 or self._threads == before:
            yield
            return
        self._torch.set_num_threads(self._threads)
        try:
            yield
        finally:
            self._torch.set_num_threads(before)

    def close(self) -> None:
        """See :meth:`mien.inference.Runner.close`."""
        self._network = self._graph = self._image = None
        self._static = {}
