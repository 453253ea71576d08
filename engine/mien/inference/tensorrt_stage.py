"""A TensorRT engine as one piece of a stream's work, beside kernels and copies of others.

Inputs and outputs are device memory whose addresses never change; queueing a pass neither
copies to or from the host nor waits, so that it can be part of somebody's CUDA graph. Not
every engine can: one that decides on the host what to launch records the decision of one
moment, and one that waits breaks the recording. Both are found out by trying, once.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from mien.inference.runner import TensorSpec
from mien.inference.tensorrt import DeviceOutput, TensorRTRunner

logger = logging.getLogger(__name__)

_SEED = 11
# Of the largest number: kernels that add up in no fixed order differ by less, another branch by
# more.
_SAME = 1e-2


class EngineStage:
    """An engine for work on a caller's stream. One thread at a time.

    Args:
        runner: closed with this object. Made with ``graph=False``: what is recorded is the
            caller's.

    Attributes:
        inputs, outputs: by name.
        refusal: why a pass may not be recorded into a graph; empty where it may. It can then
            still be queued on the same stream, before or after a graph.
    """

    def __init__(self, runner: TensorRTRunner) -> None:
        self._runner = runner
        self.inputs: Mapping[str, TensorSpec] = runner.inputs
        self.outputs: Mapping[str, TensorSpec] = runner.outputs
        self.device = runner.device
        self.refusal = self._tried()
        if self.refusal:
            logger.info("an engine stays outside the graph: %s", self.refusal)

    @property
    def arrays(self) -> Mapping[str, DeviceOutput]:
        """Device memory of every input and output; the same for as long as this lives."""
        return self._runner.arrays

    def queue(self, stream: Any) -> None:
        """Queues one pass over what the inputs hold, and returns at once.

        Call it with the device's primary context current.

        Args:
            stream: a PyCUDA stream.

        Raises:
            DeviceError: TensorRT refuses.
        """
        self._runner.enqueue(stream.handle)

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """One pass by itself, from the host to the host; see :meth:`Runner.run`."""
        return self._runner.run(inputs)

    def _tried(self) -> str:
        """Queues a pass, which settles what TensorRT does lazily, and tries a recording of one.

        The recording is made over some numbers and replayed over others: where the engine
        decided something on the host, the two ways of running it differ.
        """
        one, other = (_noise(self.inputs, seed) for seed in (_SEED, _SEED + 1))
        wanted = {name: value.copy() for name, value in self._runner.run(other).items()}
        self._runner.run(one)
        if not self._runner.record():
            return self._runner.graph_refused
        for name, value in self._runner.run(other).items():
            difference = np.abs(value.astype(np.float32) - wanted[name]).max(initial=0.0)
            if not difference <= _SAME * max(float(np.abs(wanted[name]).max(initial=0.0)), 1.0):
                return f"a recording of it gives other numbers for {name}"
        return ""

    def close(self) -> None:
        """Frees the engine and its memory."""
        self._runner.close()


def _noise(specs: Mapping[str, TensorSpec], seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {
        name: random.uniform(0.0, 1.0, spec.shape).astype(spec.dtype)
        for name, spec in specs.items()
    }
