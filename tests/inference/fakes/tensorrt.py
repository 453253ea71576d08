"""The part of the ``tensorrt`` module that mien uses, played by ONNX Runtime."""

from __future__ import annotations

import ctypes
import enum
import types
from typing import Any

import numpy as np

from tests.inference.fakes.cuda import FakeStream

ENGINE_MARK = b"fake engine\n"
FOREIGN_MARK = b"engine of another TensorRT\n"


class _Severity(enum.IntEnum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3
    VERBOSE = 4


class ILogger:
    Severity = _Severity

    def __init__(self) -> None: ...

    def log(self, severity: _Severity, msg: str) -> None:
        raise NotImplementedError


class IProgressMonitor:
    def __init__(self) -> None: ...


class NetworkDefinitionCreationFlag(enum.IntEnum):
    STRONGLY_TYPED = 1


class BuilderFlag(enum.Enum):
    TF32 = 7


class MemoryPoolType(enum.Enum):
    WORKSPACE = 0


class TensorIOMode(enum.Enum):
    INPUT = 1
    OUTPUT = 2


class DataType(enum.Enum):
    FLOAT = 0


class IHostMemory(bytes):
    """The real one offers the buffer protocol as well."""


class ParserError:
    def desc(self) -> str:
        return "In node 3 (parseGraph): UNSUPPORTED_NODE: no importer for operator Fake"


class ITensor:
    name: str
    shape: list[int]

    def __init__(self, name: str, shape: list[int]) -> None:
        self.name, self.shape = name, shape


class INetworkDefinition:
    def __init__(self, flags: int) -> None:
        self._flags = flags
        self._model = b""
        self._inputs: list[ITensor] = []

    @property
    def num_inputs(self) -> int:
        return len(self._inputs)

    def get_input(self, index: int) -> ITensor:
        return self._inputs[index]


class OnnxParser:
    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
        self._network = network
        self._failed = False

    def parse_from_file(self, model: str) -> bool:
        with open(model, "rb") as file:
            self._network._model = file.read()
        self._network._inputs = [
            ITensor(node.name, [size if isinstance(size, int) else -1 for size in node.shape])
            for node in _session(self._network._model).get_inputs()
        ]
        self._failed = STATE.refuse_parse
        return not self._failed

    @property
    def num_errors(self) -> int:
        return int(self._failed)

    def get_error(self, index: int) -> ParserError:
        return ParserError()


class ITimingCache:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def serialize(self) -> IHostMemory:
        return IHostMemory(self._content + b"|measured")


class IBuilderConfig:
    builder_optimization_level: int
    progress_monitor: Any

    def __init__(self) -> None:
        self.builder_optimization_level = 3
        self.progress_monitor = None
        self._pools: dict[MemoryPoolType, int] = {}
        self._cleared: set[BuilderFlag] = set()
        self._times: ITimingCache | None = None

    def clear_flag(self, flag: BuilderFlag) -> None:
        self._cleared.add(flag)

    def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None:
        self._pools[pool] = pool_size

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache:
        return ITimingCache(bytes(serialized_timing_cache))

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        if cache._content.startswith(b"foreign"):
            return False
        self._times = cache
        return True


class Builder:
    def __init__(self, logger: ILogger) -> None:
        self._logger = logger

    def create_network(self, flags: int = 0) -> INetworkDefinition:
        STATE.network_flags = flags
        return INetworkDefinition(flags)

    def create_builder_config(self) -> IBuilderConfig:
        STATE.config = IBuilderConfig()
        return STATE.config

    def build_serialized_network(
        self, network: INetworkDefinition, config: IBuilderConfig
    ) -> IHostMemory | None:
        STATE.builds += 1
        if any(size < 0 for one in network._inputs for size in one.shape):
            self._logger.log(_Severity.ERROR, "network has dynamic or shape inputs, but no profile")
            return None
        self._logger.log(_Severity.WARNING, "some advice")
        self._logger.log(_Severity.VERBOSE, "much detail")
        monitor = config.progress_monitor
        if monitor is not None:
            monitor.phase_start("Building Engine", None, 2)
            monitor.phase_start("Tactic Selection", "Building Engine", 3)
            for step in range(3):
                if not monitor.step_complete("Tactic Selection", step):
                    return None
            monitor.phase_finish("Tactic Selection")
            monitor.phase_finish("Building Engine")
        if STATE.refuse_build:
            self._logger.log(_Severity.ERROR, "could not find any implementation\nfor node 7")
            return None
        return IHostMemory(ENGINE_MARK + network._model)


class IExecutionContext:
    def __init__(self, engine: ICudaEngine) -> None:
        self._engine = engine
        self._addresses: dict[str, int] = {}

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return name in self._engine._specs

    def execute_async_v3(self, stream_handle: int) -> bool:
        STATE.executions += 1
        if STATE.refuse_execution:
            self._engine._logger.log(_Severity.ERROR, "device memory is exhausted")
            return False
        FakeStream.by_handle[stream_handle].submit(self._compute)
        return True

    def _compute(self) -> None:
        STATE.computed += 1
        engine = self._engine
        inputs = {name: _read(self._addresses[name], *engine._specs[name]) for name in engine._in}
        for name, value in zip(engine._out, engine._session.run(engine._out, inputs), strict=True):
            value = np.ascontiguousarray(value)
            ctypes.memmove(self._addresses[name], value.ctypes.data, value.nbytes)


class ICudaEngine:
    def __init__(self, model: bytes, logger: ILogger) -> None:
        self._session = _session(model)
        self._logger = logger
        self._in = [node.name for node in self._session.get_inputs()]
        self._out = [node.name for node in self._session.get_outputs()]
        nodes = [*self._session.get_inputs(), *self._session.get_outputs()]
        self._specs = {
            node.name: (tuple(s if isinstance(s, int) else 1 for s in node.shape), np.float32)
            for node in nodes
        }

    @property
    def num_io_tensors(self) -> int:
        return len(self._specs)

    def get_tensor_name(self, index: int) -> str:
        return list(self._specs)[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self._in else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        return DataType.FLOAT

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._specs[name][0]

    def create_execution_context(self) -> IExecutionContext | None:
        return None if STATE.refuse_context else IExecutionContext(self)


class Runtime:
    def __init__(self, logger: ILogger) -> None:
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
        if not serialized_engine.startswith(ENGINE_MARK) or STATE.refuse_engines > 0:
            STATE.refuse_engines -= 1
            self._logger.log(_Severity.ERROR, "version tag does not match")
            return None
        return ICudaEngine(serialized_engine[len(ENGINE_MARK) :], self._logger)


def _session(model: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def nptype(trt_type: DataType) -> type:
    return np.float32


def _read(address: int, shape: tuple[int, ...], dtype: Any) -> Any:
    count = int(np.prod(shape))
    buffer = (ctypes.c_float * count).from_address(address)
    return np.frombuffer(buffer, dtype).reshape(shape).copy()


class _State:
    """What happened, and what shall go wrong."""

    def __init__(self) -> None:
        self.network_flags = -1
        self.config: IBuilderConfig | None = None
        self.builds = self.executions = self.computed = 0
        self.refuse_parse = self.refuse_build = self.refuse_context = False
        self.refuse_execution = False
        self.refuse_engines = 0


STATE = _State()

API = (
    Builder,
    BuilderFlag,
    DataType,
    IBuilderConfig,
    ICudaEngine,
    IExecutionContext,
    ILogger,
    INetworkDefinition,
    IProgressMonitor,
    ITensor,
    ITimingCache,
    MemoryPoolType,
    NetworkDefinitionCreationFlag,
    OnnxParser,
    ParserError,
    Runtime,
    TensorIOMode,
)


def make_module(version: str = "10.13.0.35") -> types.ModuleType:
    """A fresh ``tensorrt`` module; ``STATE`` starts anew."""
    STATE.__init__()  # type: ignore[misc]
    module = types.ModuleType("tensorrt")
    module.__dict__.update({"__version__": version, "nptype": nptype})
    module.__dict__.update({kind.__name__: kind for kind in API})
    return module
