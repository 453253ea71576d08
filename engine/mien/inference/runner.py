"""What every way of running a network offers, and the checks they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

HostArray = npt.NDArray[Any]
Precision = Literal["fp32", "fp16", "bf16"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "bf16")


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, static shape and element type of one input or output.

    Attributes:
        name: as in the ONNX file.
        shape: every size is fixed.
        dtype: a NumPy type name, such as ``float32``.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def nbytes(self) -> int:
        """Bytes of a packed array of this kind."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize

    def __str__(self) -> str:
        return f"{self.name} {self.shape} {self.dtype}"


@runtime_checkable
class DeviceArray(Protocol):
    """Memory on a CUDA device; PyTorch and CuPy tensors are such."""

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]: ...


@runtime_checkable
class Runner(Protocol):
    """A network ready to run on one device.

    One thread at a time may call it. It owns its buffers until :meth:`close`.

    Attributes:
        name: ``onnxruntime``, ``tensorrt`` or ``torch``.
        device: where it runs, in words: ``cpu``, ``cuda:0 (NVIDIA H100)``.
        reason: why this one was chosen, and what was passed over.
        inputs: what :meth:`run` wants, by name.
        outputs: what it returns, by name.
    """

    name: str
    device: str
    reason: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]

    def run(self, inputs: Mapping[str, Any], *, to_host: bool = True) -> dict[str, Any]:
        """Outputs by name.

        Args:
            inputs: one NumPy array, or array on the runner's device, for each input. Device
                arrays are those with ``__cuda_array_interface__`` or DLPack.
            to_host: return NumPy arrays; False leaves the outputs on the device.

        Returns:
            Arrays that stay valid until the next call, which overwrites them.

        Raises:
            ValueError: a name, shape or type is not that of the network.
        """
        ...

    def warm_up(self, runs: int = 2) -> None:
        """Runs on zeros: what is done once is done now."""
        ...

    def close(self) -> None:
        """Gives everything back; calling it again does nothing."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class RunnerBase:
    """Context manager and warm-up, the same for all."""

    name: str
    device: str
    reason: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]

    def run(self, inputs: Mapping[str, Any], *, to_host: bool = True) -> dict[str, Any]:
        """See :meth:`Runner.run`."""
        raise NotImplementedError

    def close(self) -> None:
        """See :meth:`Runner.close`."""
        raise NotImplementedError

    def warm_up(self, runs: int = 2) -> None:
        """Runs on zeros: what is done once is done now."""
        zeros = {n: np.zeros(s.shape, dtype=s.dtype) for n, s in self.inputs.items()}
        for _ in range(runs):
            self.run(zeros)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def check_names(specs: Mapping[str, TensorSpec], given: Mapping[str, Any]) -> None:
    """Raises ValueError unless exactly the named tensors are given."""
    if given.keys() != specs.keys():
        wanted, came = ", ".join(specs) or "none", ", ".join(given) or "none"
        raise ValueError(f"expected the inputs {wanted}; got {came}")


def check_kind(spec: TensorSpec, shape: tuple[int, ...], dtype: str) -> None:
    """Raises ValueError unless shape and type are those of the spec."""
    if tuple(shape) != spec.shape or dtype != spec.dtype:
        raise ValueError(f"expected {spec}, got {tuple(shape)} {dtype}")


def host_array(spec: TensorSpec, value: Any) -> HostArray:
    """A packed NumPy array of the spec's kind; copies only what is not packed.

    Raises:
        ValueError: another shape or type.
        TypeError: not an array of the host.
    """
    if not isinstance(value, np.ndarray):
        if is_on_device(value) or not hasattr(value, "__array__"):
            raise TypeError(f"expected {spec} as a NumPy array, got {type(value).__name__}")
        value = np.asarray(value)
    check_kind(spec, value.shape, str(value.dtype))
    return np.ascontiguousarray(value)


def is_on_device(value: Any) -> bool:
    """True for memory of a CUDA device."""
    if isinstance(value, np.ndarray):
        return False
    device = getattr(value, "device", None)
    if getattr(device, "type", None) == "cpu":  # a PyTorch tensor of the host
        return False
    return hasattr(value, "__cuda_array_interface__") or hasattr(value, "__dlpack__")
