"""A frame's work as one CUDA graph: recorded once, launched as one, changed in place.

When arguments change, the same calls are recorded again and the launchable graph takes the new
arguments over (``cuGraphExecUpdate``), which costs no allocation while the order of the work
stays the same. Where it does not, a new graph is made.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from typing import Any

from mien.errors import DeviceError
from mien.gpu.driver import Gpu
from mien.inference.cuda_driver import CudaDriver, load_driver

logger = logging.getLogger(__name__)


class FrameGraph:
    """One launchable graph. One thread at a time; close it before its GPU.

    Args:
        gpu: where it runs.
        driver: the calls that PyCUDA does not have; this machine's if None.

    Attributes:
        recordings, updates, instantiations: how often each happened.
    """

    def __init__(self, gpu: Gpu, driver: CudaDriver | None = None) -> None:
        self._gpu = gpu
        self._driver = driver or load_driver()
        self._executable: int | None = None
        self._key: Hashable = None
        self.recordings = self.updates = self.instantiations = 0

    def run(self, key: Hashable, work: Callable[[Any], None], stream: Any = None) -> None:
        """Queues the work.

        Args:
            key: what the work's arguments depend on; with the same key as the last time the
                graph is launched as it is.
            work: queues kernels and copies on the stream that it is given. It must not wait or
                allocate: run it once without a graph first, so that all memory is there.
            stream: where to; the GPU's own if None.
        """
        use = self._gpu.stream if stream is None else stream
        with self._gpu.current("launching a graph"):
            if self._executable is None or key != self._key:
                self._record(work, use)
                self._key = key
            assert self._executable is not None
            self._driver.launch(self._executable, use.handle)

    def _record(self, work: Callable[[Any], None], stream: Any) -> None:
        self._driver.begin_capture(stream.handle)
        try:
            work(stream)
        except BaseException:
            # The recording must be ended, or the stream cannot be used again.
            try:
                self._driver.discard(self._driver.end_capture(stream.handle))
            except DeviceError as error:
                logger.debug("the broken recording: %s", error)
            raise
        graph = self._driver.end_capture(stream.handle)
        self.recordings += 1
        if self._executable is not None:
            if self._driver.update(self._executable, graph):
                self._driver.discard(graph)
                self.updates += 1
                return
            self._driver.destroy(self._executable)
            self._executable = None
        self._executable = self._driver.instantiate(graph)
        self.instantiations += 1

    def close(self) -> None:
        """Frees the graph."""
        if self._executable is not None:
            with self._gpu.current("freeing a graph"):
                self._driver.destroy(self._executable)
            self._executable = None
