"""A frame's work on a GPU, queued as one graph, waited for, and timed by the GPU's own clock."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from mien.errors import DeviceError, GpuLostError
from mien.gpu.driver import Gpu
from mien.gpu.graph import FrameGraph
from mien.ranges import ranged

logger = logging.getLogger(__name__)

Mark = Callable[[str], None]
"""Called with a step's name once it is queued."""

Queue = Callable[[Any, Mark], None]
"""Queues work on a stream; it must not wait or allocate."""


@dataclass(frozen=True, slots=True)
class Step:
    """A piece of a frame's work.

    Attributes:
        name: for whoever times it.
        queue: queues it on a stream; it must not wait or allocate.
        recordable: False for work that may not be part of a graph.
    """

    name: str
    queue: Callable[[Any], None]
    recordable: bool = True


class FrameWork:
    """Runs a frame's work, in one of a few forms, each a graph of its own.

    One thread at a time; ``close`` it before its GPU.

    Args:
        gpu: where, on its own stream.
        forms: names of the forms.

    Attributes:
        graph_refused: why work is queued piece by piece, without a graph; empty otherwise.
        gpu_ms: milliseconds that all of it took together by the GPU's own clock.
        graphs: by form.
    """

    def __init__(self, gpu: Gpu, *forms: str) -> None:
        self._gpu = gpu
        self.graphs = {form: FrameGraph(gpu) for form in forms}
        self.graph_refused = ""
        self.gpu_ms = 0.0
        with gpu.current("making events"):
            self._start, self._end = gpu.cuda.Event(), gpu.cuda.Event()

    @ranged("draw on the GPU")
    def run(self, form: str, key: Hashable, queue: Queue, mark: Mark | None = None) -> None:
        """Queues the work and waits for it.

        Args:
            form: which graph.
            key: what the work's arguments depend on.
            queue: queues the work.
            mark: told about each step; they are then queued one by one, without the graph.

        Raises:
            DeviceError: the GPU failed.
        """
        with self._waited_for("drawing a face") as stream:
            if mark is not None or self.graph_refused:
                queue(stream, mark or _unmarked)
            else:
                self._launch(self.graphs[form], key, queue, stream)

    @ranged("networks and drawing on the GPU")
    def run_steps(
        self, form: str, key: Hashable, steps: Sequence[Step], mark: Mark | None = None
    ) -> None:
        """Queues steps in their order and waits for the last.

        Neighbours that may be recorded are one graph; one that may not is queued between two
        graphs, on the same stream, and the host waits for nothing.

        Args:
            form: which graphs; steps of one form differ in nothing that ``key`` does not say.
            key: what the work's arguments depend on.
            steps: the work.
            mark: as for :meth:`run`.

        Raises:
            DeviceError: the GPU failed.
        """
        with self._waited_for("working on a frame") as stream:
            if mark is not None or self.graph_refused:
                for step in steps:
                    step.queue(stream)
                    (mark or _unmarked)(step.name)
                return
            for number, (recordable, some) in enumerate(groupby(steps, lambda one: one.recordable)):
                queue = _in_order(list(some))
                if recordable and not self.graph_refused:
                    name = f"{form} {number}"
                    if name not in self.graphs:
                        self.graphs[name] = FrameGraph(self._gpu)
                    self._launch(self.graphs[name], key, queue, stream)
                else:
                    queue(stream, _unmarked)

    @contextmanager
    def _waited_for(self, doing: str) -> Iterator[Any]:
        stream = self._gpu.stream
        with self._gpu.current(doing):
            self._start.record(stream)
            yield stream
            self._end.record(stream)
            stream.synchronize()
            self.gpu_ms += float(self._start.time_till(self._end))

    def _launch(self, graph: FrameGraph, key: Hashable, queue: Queue, stream: Any) -> None:
        try:
            graph.run(key, lambda recorded: queue(recorded, _unmarked), stream)
        except GpuLostError:
            raise
        except DeviceError as error:
            if graph.instantiations:
                raise
            self.graph_refused = error.what
            logger.warning("no CUDA graph, work is queued step by step: %s", error.what)
            queue(stream, _unmarked)

    def close(self) -> None:
        """Frees graphs and events."""
        for graph in self.graphs.values():
            graph.close()
        with self._gpu.current("freeing events"):
            del self._start, self._end


def _in_order(steps: Sequence[Step]) -> Queue:
    def queue(stream: Any, mark: Mark) -> None:
        for step in steps:
            step.queue(stream)
            mark(step.name)

    return queue


def _unmarked(step: str) -> None:
    """For work whose steps nobody times."""
