"""ONNX Runtime: the default on a CPU, and on NVIDIA GPUs where its CUDA provider is installed.

ONNX Runtime falls back to the CPU in silence when a provider cannot start. This runner does
not: asked for CUDA, it runs on CUDA or says why it cannot.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mien.errors import DeviceError, ModelError
from mien.inference.cuda_arrays import describe_cuda_array
from mien.inference.runner import (
    RunnerBase,
    TensorSpec,
    check_kind,
    check_names,
    host_array,
    is_on_device,
)

_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
_TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(uint8)": "uint8",
    "tensor(bool)": "bool",
}


class OnnxRuntimeRunner(RunnerBase):
    """Runs an ONNX file with static shapes.

    Inputs are bound without a copy; outputs live in buffers that the next call overwrites.
    Threads do not spin between calls, so that the rest of the frame loop has the cores.

    Args:
        path: the ONNX file.
        device: ``cpu`` or ``cuda``.
        threads: of one run; 0 lets ONNX Runtime choose.
        device_index: which CUDA device.
        reason: kept as :attr:`reason`.

    Raises:
        DeviceError: CUDA was asked for and cannot be had.
        ModelError: the file is missing, is not an ONNX model or has sizes that are not fixed.
    """

    name = "onnxruntime"

    def __init__(
        self,
        path: str | Path,
        *,
        device: Literal["cpu", "cuda"] = "cpu",
        threads: int = 0,
        device_index: int = 0,
        reason: str = "asked for",
    ) -> None:
        import onnxruntime as ort

        require_provider(device)
        if not Path(path).is_file():
            raise ModelError(f"there is no ONNX file {path}", "check the path")
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        cuda: list[Any] = [(_CUDA, {"device_id": device_index})] if device == "cuda" else []
        try:
            session = ort.InferenceSession(str(path), options, providers=[*cuda, _CPU])
        except Exception as error:
            first = str(error).strip().splitlines()[0]
            raise ModelError(
                f"ONNX Runtime cannot load {Path(path).name}: {first}",
                "export the model again; the file may be damaged",
            ) from error
        session.disable_fallback()
        active = session.get_providers()
        if device == "cuda" and active[0] != _CUDA:
            raise DeviceError(
                f"ONNX Runtime could not start its CUDA provider and offered {active[0]} instead",
                "check the NVIDIA driver, CUDA and cuDNN versions that onnxruntime-gpu wants",
            )
        self.device = f"cuda:{device_index}" if device == "cuda" else "cpu"
        self.reason = reason
        self.inputs = _specs(session.get_inputs())
        self.outputs = _specs(session.get_outputs())
        self._session: Any = session
        self._binding: Any = session.io_binding()
        self._on_cuda = device == "cuda"
        self._index = device_index
        self._results = {
            spec.name: ort.OrtValue.ortvalue_from_numpy(
                np.zeros(spec.shape, spec.dtype), "cuda" if self._on_cuda else "cpu", device_index
            )
            for spec in self.outputs.values()
        }
        for name, value in self._results.items():
            self._binding.bind_ortvalue_output(name, value)
        self._host = {name: value.numpy() for name, value in self._results.items()}

    def run(self, inputs: Mapping[str, Any], *, to_host: bool = True) -> dict[str, Any]:
        """See :meth:`mien.inference.Runner.run`; device outputs are ``OrtValue`` objects."""
        if self._session is None:
            raise RuntimeError("the runner is closed")
        check_names(self.inputs, inputs)
        alive: list[Any] = []
        for name, value in inputs.items():
            spec = self.inputs[name]
            if self._on_cuda and is_on_device(value):
                array = describe_cuda_array(value)
                check_kind(spec, array.shape, array.dtype)
                array.wait()
                self._binding.bind_input(
                    name, "cuda", self._index, np.dtype(spec.dtype), list(spec.shape), array.pointer
                )
                alive.append(array)
            else:
                packed = host_array(spec, value)
                self._binding.bind_cpu_input(name, packed)
                alive.append(packed)
        self._session.run_with_iobinding(self._binding)
        del alive
        if not to_host:
            return dict(self._results)
        if self._on_cuda:
            return {name: value.numpy() for name, value in self._results.items()}
        return dict(self._host)

    def close(self) -> None:
        """See :meth:`mien.inference.Runner.close`."""
        self._session = self._binding = None
        self._results, self._host = {}, {}


def require_provider(device: Literal["cpu", "cuda"]) -> None:
    """Raises DeviceError unless the installed ONNX Runtime is made for the device."""
    import onnxruntime as ort

    offered = ort.get_available_providers()
    if device == "cuda" and _CUDA not in offered:
        raise DeviceError(
            f"this ONNX Runtime has no CUDA provider; it has {', '.join(offered)}",
            "install onnxruntime-gpu instead of onnxruntime",
        )


def _specs(nodes: Any) -> dict[str, TensorSpec]:
    specs = {}
    for node in nodes:
        if node.type not in _TYPES:
            raise ModelError(f"{node.name} is a {node.type}, which mien cannot hand over")
        if not all(isinstance(size, int) and size > 0 for size in node.shape):
            raise ModelError(
                f"{node.name} has the shape {node.shape}: every size must be fixed",
                "export the model with static shapes",
            )
        specs[node.name] = TensorSpec(node.name, tuple(node.shape), _TYPES[node.type])
    return specs
