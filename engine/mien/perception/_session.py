"""One network on ONNX Runtime's CPU provider, with its input and output memory bound once."""

from __future__ import annotations

from types import TracebackType

import cv2
import numpy as np
import onnxruntime as ort

from mien.errors import ModelError
from mien.models.catalogue import model_bytes
from mien.types import F32Array, U8Array


class Network:
    """A shipped model with fixed shapes, run in place.

    The caller writes into :attr:`input`, calls :meth:`run` and reads the arrays it
    returns; they are overwritten by the next run. One thread at a time may use it.
    The session and its buffers are freed by :meth:`close`.

    Args:
        name: the model's name in the catalogue.
        threads: threads of the session; they sleep, never spin, between runs.

    Raises:
        ModelError: the file is missing, corrupt or refused by the runtime.
    """

    def __init__(self, name: str, threads: int = 1) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        # Spinning threads would take the cores from decoder, swapper and encoder.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        try:
            self._session: ort.InferenceSession | None = ort.InferenceSession(
                model_bytes(name), options, providers=["CPUExecutionProvider"]
            )
        except ModelError:
            raise
        except Exception as error:  # The runtime's own exceptions share no base class.
            hint = "update onnxruntime, or reinstall mien"
            raise ModelError(f"model '{name}' does not load: {error}", hint) from error
        self._binding = self._session.io_binding()
        (source,) = self._session.get_inputs()
        self.input: F32Array = np.zeros(_fixed(source.shape), np.float32)
        self._bind(self._binding.bind_input, source.name, self.input)
        self._outputs: tuple[F32Array, ...] = ()
        self.names: tuple[str, ...] = ()
        """Of the outputs."""
        for target in self._session.get_outputs():
            array: F32Array = np.zeros(_fixed(target.shape), np.float32)
            self._bind(self._binding.bind_output, target.name, array)
            self._outputs += (array,)
            self.names += (target.name,)

    @staticmethod
    def _bind(bind: object, name: str, array: F32Array) -> None:
        assert callable(bind)
        bind(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)

    def run(self) -> tuple[F32Array, ...]:
        """The outputs for what :attr:`input` holds, valid until the next run."""
        if self._session is None:
            raise ModelError("this network was closed", "make a new tracker")
        self._session.run_with_iobinding(self._binding)
        return self._outputs

    def close(self) -> None:
        """Free the session."""
        if self._session is not None:
            self._binding.clear_binding_inputs()
            self._binding.clear_binding_outputs()
            self._session = None
            del self._binding

    def __enter__(self) -> Network:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _fixed(shape: list[int | str]) -> tuple[int, ...]:
    """A shape in which a free batch size is 1."""
    return tuple(size if isinstance(size, int) else 1 for size in shape)


class Crop:
    """A square BGR picture buffer and its way into a network's planar RGB input."""

    def __init__(self, target: F32Array, scale: float, shift: float = 0.0) -> None:
        side = target.shape[2]
        self.bgr: U8Array = np.zeros((side, side, 3), np.uint8)
        self._planes: U8Array = np.zeros((3, side, side), np.uint8)
        self._target = target
        self._scale, self._shift = np.float32(scale), np.float32(shift)

    def load(self) -> None:
        """Write ``rgb * scale + shift`` into the network's (1, 3, side, side) input."""
        # Splitting first, then scaling whole planes, is twice as fast as either
        # cv2.dnn.blobFromImage or scaling the transposed picture.
        for channel, plane in enumerate(self._planes):
            cv2.extractChannel(self.bgr, 2 - channel, plane)
        np.multiply(self._planes, self._scale, out=self._target[0])
        if self._shift:
            self._target += self._shift
