"""TensorRT: the quickest way on an NVIDIA GPU.

Memory, streams and the context come from PyCUDA; one CUDA graph holds the whole pass. Both
libraries are imported when the first runner is made, and not before. The device's primary
context is used, so that tensors of PyTorch and CuPy can be handed over as they are.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import DeviceError, ModelError
from mien.inference.cuda_arrays import describe_cuda_array
from mien.inference.cuda_driver import CudaDriver, load_driver
from mien.inference.engine_cache import EngineCache, EngineKey, StaleEngineError, file_sha256
from mien.inference.model import cache_folder
from mien.inference.runner import (
    Precision,
    RunnerBase,
    TensorSpec,
    check_kind,
    check_names,
    host_array,
    is_on_device,
)
from mien.inference.tensorrt_build import Progress, build_engine, make_logger, require_tensorrt

if TYPE_CHECKING:
    import tensorrt

logger = logging.getLogger(__name__)


def require_pycuda() -> Any:
    """``pycuda.driver``, initialised, with at least one device.

    Raises:
        DeviceError: PyCUDA, the driver or a GPU is missing.
    """
    try:
        import pycuda.driver as cuda
    except ImportError as error:
        hint = 'pip install "mien[gpu]"'
        if "libcuda" in str(error):
            hint = "install the NVIDIA driver"
        raise DeviceError(f"PyCUDA cannot be imported: {error}", hint) from error
    try:
        cuda.init()
        count = cuda.Device.count()
    except Exception as error:
        raise DeviceError(
            f"CUDA cannot start: {error}", "check the NVIDIA driver with nvidia-smi"
        ) from error
    if count == 0:
        raise DeviceError("there is no CUDA device", "check the NVIDIA driver with nvidia-smi")
    return cuda


class DeviceOutput:
    """An output left on the device; valid until the runner's next call."""

    def __init__(self, spec: TensorSpec, pointer: int, owner: Any) -> None:
        self.shape = spec.shape
        self.dtype = np.dtype(spec.dtype)
        self._pointer = pointer
        self._owner = owner  # the memory lives as long as this object

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self._pointer, False),
            "strides": None,
            "version": 3,
            "stream": None,  # the runner has waited for it
        }


class TensorRTRunner(RunnerBase):
    """Runs an ONNX file as a TensorRT engine, built on first use and cached.

    Args:
        path: ONNX file with static shapes and its precision in the graph.
        precision: what the file was exported in; part of the cache's key.
        cache: where engines are kept.
        level: TensorRT's optimisation level, 0..5.
        progress: told about the steps of a build.
        build: False raises instead of building, which takes minutes.
        graph: record the pass as one CUDA graph.
        tf32: let fp32 products be rounded to ten bits first, which is quicker.
        device_index: which CUDA device.
        reason: kept as :attr:`reason`.

    Attributes:
        engine_path: the cached engine.
        built: whether this runner had to build it, and why.
        uses_graph: whether runs replay a CUDA graph.
        graph_refused: why they do not although they should; empty otherwise.

    Raises:
        MissingError: TensorRT is missing or too old.
        DeviceError: PyCUDA, the driver or a GPU is missing.
        ModelError: the model cannot be compiled, or ``build`` is False and no engine fits.
    """

    name = "tensorrt"

    def __init__(
        self,
        path: str | Path,
        *,
        precision: Precision = "fp32",
        cache: EngineCache | None = None,
        level: int = 3,
        progress: Progress | None = None,
        build: bool = True,
        graph: bool = True,
        tf32: bool = True,
        device_index: int = 0,
        reason: str = "asked for",
    ) -> None:
        require_tensorrt()
        import tensorrt as trt

        cuda = require_pycuda()
        if not Path(path).is_file():
            raise ModelError(f"there is no ONNX file {path}", "check the path")
        if device_index >= cuda.Device.count():
            raise DeviceError(
                f"there is no CUDA device {device_index}; this machine has {cuda.Device.count()}",
                "choose a lower one",
            )
        self._cuda, self._closed, self.uses_graph = cuda, False, False
        self.graph_refused = ""
        self._memory: list[Any] = []
        self._executable: int | None = None
        self._wants_graph = graph
        gpu = cuda.Device(device_index)
        self.device = f"cuda:{device_index} ({gpu.name()})"
        self.reason = reason
        major, minor = gpu.compute_capability()
        key = EngineKey(
            model_sha256=file_sha256(path),
            precision=precision if tf32 else f"{precision}-strict",
            gpu=gpu.name(),
            compute_capability=f"{major}.{minor}",
            tensorrt=trt.__version__,
            optimisation_level=level,
        )
        cache = cache or EngineCache(cache_folder() / "engines")
        self.engine_path = cache.path(key)
        self.built = ""
        self._gpu_context = gpu.retain_primary_context()
        try:
            with self._current():
                self._log = make_logger()
                self._runtime = trt.Runtime(self._log)
                self._engine = self._load(cache, key, Path(path), progress, build, tf32)
                self._prepare()
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def _current(self) -> Iterator[None]:
        self._gpu_context.push()
        try:
            yield
        finally:
            self._cuda.Context.pop()

    def _load(
        self,
        cache: EngineCache,
        key: EngineKey,
        path: Path,
        progress: Progress | None,
        build: bool,
        tf32: bool,
    ) -> tensorrt.ICudaEngine:
        why = "none was built yet"
        try:
            data = cache.load(key)
            if data is not None:
                engine = self._runtime.deserialize_cuda_engine(data)
                if engine is not None:
                    return engine
                said = self._log.errors[-1] if self._log.errors else "no reason given"
                why = f"TensorRT refuses {cache.path(key).name}: {said}"
        except StaleEngineError as stale:
            why = str(stale)
        if not build:
            raise ModelError(
                f"there is no TensorRT engine for {path.name} on {key.gpu}: {why}",
                "run mien build first",
            )
        logger.warning("building a TensorRT engine, which takes minutes: %s", why)
        done = build_engine(
            path,
            level=key.optimisation_level,
            progress=progress,
            timing_cache=cache.timing_cache_path(key),
            tf32=tf32,
        )
        cache.store(key, done.engine, done.seconds)
        self.built = f"{why}; built in {done.seconds:.0f} s"
        engine = self._runtime.deserialize_cuda_engine(done.engine)
        if engine is None:
            raise ModelError(
                f"TensorRT cannot load the engine it has just built for {path.name}",
                "report this with the output of mien doctor",
            )
        return engine

    def _prepare(self) -> None:
        import tensorrt as trt

        cuda = self._cuda
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise DeviceError(
                "TensorRT cannot create an execution context", "free memory on the GPU"
            )
        self._stream = cuda.Stream()
        numpy_type: Any = trt.nptype  # without types in the stubs
        inputs: dict[str, TensorSpec] = {}
        outputs: dict[str, TensorSpec] = {}
        for index in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(index)
            sizes = self._engine.get_tensor_shape(name)
            shape = tuple(int(sizes[axis]) for axis in range(len(sizes)))
            dtype = np.dtype(numpy_type(self._engine.get_tensor_dtype(name)))
            spec = TensorSpec(name, shape, str(dtype))
            is_input = self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
            (inputs if is_input else outputs)[name] = spec
        self.inputs, self.outputs = inputs, outputs
        self._device: dict[str, Any] = {}
        self._pinned: dict[str, Any] = {}
        for name, spec in {**inputs, **outputs}.items():
            self._device[name] = cuda.mem_alloc(max(spec.nbytes, 1))
            self._memory.append(self._device[name])
            self._pinned[name] = cuda.pagelocked_empty(spec.shape, np.dtype(spec.dtype))
            if not self._context.set_tensor_address(name, int(self._device[name])):
                raise DeviceError(f"TensorRT refuses the buffer of {name}", "report this")

    def run(self, inputs: Mapping[str, Any], *, to_host: bool = True) -> dict[str, Any]:
        """See :meth:`mien.inference.Runner.run`; device outputs are :class:`DeviceOutput`."""
        if self._closed:
            raise RuntimeError("the runner is closed")
        check_names(self.inputs, inputs)
        with self._current():
            alive = [self._upload(self.inputs[name], value) for name, value in inputs.items()]
            self._launch()
            if to_host:
                for name in self.outputs:
                    self._cuda.memcpy_dtoh_async(
                        self._pinned[name], self._device[name], self._stream
                    )
            self._stream.synchronize()
            del alive
        if to_host:
            return {name: self._pinned[name] for name in self.outputs}
        return {name: self.arrays[name] for name in self.outputs}

    @property
    def arrays(self) -> dict[str, DeviceOutput]:
        """The device memory of every input and output, for work queued beside the network."""
        specs = {**self.inputs, **self.outputs}
        return {
            name: DeviceOutput(spec, int(self._device[name]), self._device[name])
            for name, spec in specs.items()
        }

    def enqueue(self, stream: int) -> None:
        """Queues one pass over what :attr:`arrays` hold and returns at once.

        It may be recorded into a graph, after one run that was not.

        Args:
            stream: handle of the stream.

        Raises:
            DeviceError: TensorRT refuses.
        """
        if not self._context.execute_async_v3(stream):
            said = self._log.errors[-1] if self._log.errors else "no reason given"
            raise DeviceError(f"TensorRT could not run: {said}", "see the log with --debug")

    def _upload(self, spec: TensorSpec, value: Any) -> Any:
        target = self._device[spec.name]
        if is_on_device(value):
            array = describe_cuda_array(value)
            check_kind(spec, array.shape, array.dtype)
            if array.stream is not None:
                load_driver().make_wait(self._stream.handle, array.stream)
            self._cuda.memcpy_dtod_async(int(target), array.pointer, spec.nbytes, self._stream)
            return array
        np.copyto(self._pinned[spec.name], host_array(spec, value))
        self._cuda.memcpy_htod_async(target, self._pinned[spec.name], self._stream)
        return None

    def _launch(self) -> None:
        handle = self._stream.handle
        if self._executable is not None:
            load_driver().launch(self._executable, handle)
            return
        # The first run settles what TensorRT does lazily; only then can it be recorded.
        self.enqueue(handle)
        if self._wants_graph:
            self._wants_graph = False
            self._capture(load_driver(), handle)

    def record(self) -> bool:
        """Records the pass as a CUDA graph now, which runs replay from then on.

        Call it after a run: the first one settles what may not be recorded.

        Returns:
            Whether that went well; :attr:`graph_refused` says why not.
        """
        with self._current():
            if self._executable is None and not self.graph_refused:
                self._capture(load_driver(), self._stream.handle)
        return self.uses_graph

    def _capture(self, driver: CudaDriver, handle: int) -> None:
        self._stream.synchronize()
        try:
            driver.begin_capture(handle)
            queued = self._context.execute_async_v3(handle)
            graph = driver.end_capture(handle)
            # On the wrong device TensorRT records nothing, and says nothing of it.
            if not queued or driver.node_count(graph) == 0:
                driver.discard(graph)
                raise DeviceError("TensorRT could not be recorded")
            self._executable = driver.instantiate(graph)
            self.uses_graph = True
        except DeviceError as error:
            self.graph_refused = error.what
            logger.warning("no CUDA graph, TensorRT launches kernel by kernel: %s", error)

    def close(self) -> None:
        """See :meth:`mien.inference.Runner.close`."""
        if self._closed:
            return
        self._closed = True
        with self._current():
            if self._executable is not None:
                load_driver().destroy(self._executable)
                self._executable = None
            for name in ("_context", "_engine", "_runtime"):  # each keeps the next alive
                self.__dict__.pop(name, None)
            for block in self._memory:
                block.free()
            self._memory.clear()
            self._device, self._pinned = {}, {}
            self._stream = None
        self._gpu_context.detach()
