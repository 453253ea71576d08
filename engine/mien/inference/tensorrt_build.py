"""Compiling an ONNX file into a TensorRT engine.

Works with TensorRT 10 and 11 alike: the network is strongly typed, so its precision is what
stands in the ONNX file. On 10 that is a flag; 11 knows nothing else.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import MissingError, ModelError
from mien.inference.engine_cache import write_atomically

if TYPE_CHECKING:
    import tensorrt

logger = logging.getLogger(__name__)

OLDEST_MAJOR = 10

Progress = Callable[[str, int, int], None]
"""Called with a phase's name, its steps done and its steps in all."""


def require_tensorrt() -> None:
    """Raises MissingError unless TensorRT can be imported, is whole and at least version 10."""
    hint = 'pip install "mien[gpu]"'
    try:
        import tensorrt
    except Exception as error:  # its import loads libnvinfer and fails in many ways
        raise MissingError(f"TensorRT cannot be imported: {error}", hint) from error
    # A folder of type stubs named tensorrt imports as an empty module.
    version = getattr(tensorrt, "__version__", None)
    if version is None or not hasattr(tensorrt, "Runtime"):
        raise MissingError("TensorRT is not installed", hint)
    if int(version.split(".")[0]) < OLDEST_MAJOR:
        raise MissingError(f"TensorRT {version} is too old; 10 is the oldest that works", hint)


def make_logger() -> Any:
    """A TensorRT logger that writes to Python's and remembers the errors in ``.errors``."""
    import tensorrt as trt

    levels = {
        trt.ILogger.Severity.INTERNAL_ERROR: logging.ERROR,
        trt.ILogger.Severity.ERROR: logging.ERROR,
        trt.ILogger.Severity.WARNING: logging.INFO,  # mostly advice
        trt.ILogger.Severity.INFO: logging.DEBUG,
        trt.ILogger.Severity.VERBOSE: logging.NOTSET,
    }

    class _Logger(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
            level = levels.get(severity, logging.DEBUG)
            if level == logging.ERROR:
                self.errors.append(msg)
            if level > logging.NOTSET:
                logger.log(min(level, logging.WARNING), "TensorRT: %s", msg)

    return _Logger()


def _make_monitor(progress: Progress) -> Any:
    import tensorrt as trt

    class _Monitor(trt.IProgressMonitor):
        """Called from threads of TensorRT. Returning False stops the build."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}
            self.stopped_by: BaseException | None = None

        def phase_start(self, phase_name: str, parent_phase: str, num_steps: int) -> None:
            self.steps[phase_name] = num_steps
            self._tell(phase_name, 0, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return self._tell(phase_name, step + 1, self.steps.get(phase_name, step + 1))

        def phase_finish(self, phase_name: str) -> None:
            total = self.steps.pop(phase_name, 0)
            self._tell(phase_name, total, total)

        def _tell(self, name: str, done: int, total: int) -> bool:
            # An exception must not travel through TensorRT: keep it and ask for a stop.
            if self.stopped_by is None:
                try:
                    progress(name, done, total)
                except BaseException as error:
                    self.stopped_by = error
            return self.stopped_by is None

    return _Monitor()


@dataclass(frozen=True, slots=True)
class Build:
    """A compiled engine and how long that took."""

    engine: bytes
    seconds: float


def build_engine(
    onnx_path: Path,
    *,
    level: int = 3,
    progress: Progress | None = None,
    timing_cache: Path | None = None,
    workspace_bytes: int = 4 << 30,
    tf32: bool = True,
) -> Build:
    """Compiles an ONNX file for the current GPU.

    Args:
        onnx_path: static shapes but for the batch, which becomes 1; precision in the graph.
        level: 0..5; more search, longer build, maybe a faster engine.
        progress: told about every step; an exception it raises stops the build and comes out.
        timing_cache: kernel times measured before, used and updated.
        workspace_bytes: most scratch memory a kernel may ask for.
        tf32: let fp32 products be rounded to ten bits first, which is quicker.

    Raises:
        ModelError: TensorRT cannot parse or build it; its own words are in the message.
    """
    require_tensorrt()
    import tensorrt as trt

    start = time.perf_counter()
    log = make_logger()
    builder = trt.Builder(log)
    network = builder.create_network(_network_flags())
    parser = trt.OnnxParser(network, log)
    if not parser.parse_from_file(str(onnx_path)):
        said = [parser.get_error(i).desc() for i in range(parser.num_errors)]
        raise ModelError(
            f"TensorRT cannot read {onnx_path.name}: {_first(said or log.errors)}",
            "export it again, or use the onnxruntime runner",
        )
    for number in range(network.num_inputs):
        source = network.get_input(number)
        given = source.shape
        # Iterating is not among what the bindings declare of their dimensions.
        sizes = [int(given[axis]) for axis in range(len(given))]
        if min(sizes, default=1) < 0:
            source.shape = type(given)([max(size, 1) for size in sizes])
    config = builder.create_builder_config()
    if not tf32:
        config.clear_flag(trt.BuilderFlag.TF32)
    config.builder_optimization_level = level
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace_bytes)
    monitor = None
    if progress is not None:
        monitor = _make_monitor(progress)
        config.progress_monitor = monitor
    times = _use_timing_cache(config, timing_cache)
    plan = builder.build_serialized_network(network, config)
    if monitor is not None and monitor.stopped_by is not None:
        raise monitor.stopped_by
    if plan is None:
        raise ModelError(
            f"TensorRT could not build {onnx_path.name}: {_first(log.errors)}",
            "take another precision, a lower optimisation level, or the onnxruntime runner",
        )
    if timing_cache is not None and times is not None:
        write_atomically(timing_cache, bytes(memoryview(times.serialize())))
    return Build(bytes(memoryview(plan)), time.perf_counter() - start)


def _network_flags() -> int:
    import tensorrt as trt

    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _use_timing_cache(
    config: tensorrt.IBuilderConfig, path: Path | None
) -> tensorrt.ITimingCache | None:
    if path is None:
        return None
    try:
        known = path.read_bytes()
    except OSError:
        known = b""
    times = config.create_timing_cache(known)
    if times is None or not config.set_timing_cache(times, ignore_mismatch=False):
        logger.info("%s was measured elsewhere; measuring anew", path.name)
        times = config.create_timing_cache(b"")
        config.set_timing_cache(times, ignore_mismatch=False)
    return times


def _first(messages: list[str]) -> str:
    return " ".join(messages[0].split()) if messages else "it gives no reason"
