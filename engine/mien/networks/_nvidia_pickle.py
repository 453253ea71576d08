"""NVIDIA's snapshot files (.pkl): the generator's settings and tensors, and nothing else.

Such a file is a pickle of modules that carry their own source code; NVIDIA's loader runs
that code. Here the source is dropped, a module is its class name and its state, and a class
that StyleGAN3's generator does not have stays an inert stub.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mien.errors import ModelError
from mien.networks._pickle_machine import Buildable, Constructor, Global, PickleMachine, broken
from mien.networks._torch_storage import (
    LazyTensor,
    rebuild_parameter,
    rebuild_storage,
    rebuild_tensor,
)

_CLASSES = frozenset(
    {
        "Generator",
        "MappingNetwork",
        "FullyConnectedLayer",
        "SynthesisNetwork",
        "SynthesisInput",
        "SynthesisLayer",
    }
)
_GENERATOR_ARGUMENTS = (
    "z_dim",
    "c_dim",
    "w_dim",
    "img_resolution",
    "img_channels",
    "mapping_kwargs",
)
_MAX_DEPTH = 8
_MAX_MODULES = 4096
_SCALARS = frozenset({"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"})


@dataclass(slots=True, eq=False)
class Module:
    """A network module as a value: class name and state."""

    class_name: str
    state: dict[Any, Any]


@dataclass(slots=True, eq=False)
class DataType(Buildable):
    """A NumPy dtype: one of the plain numbers, little-endian, or unusable."""

    code: str
    usable: bool = True

    def build(self, state: object) -> None:
        """Takes ``(version, byte order, ...)``."""
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        self.usable = order in ("<", "|", "=")

    def scalar(self, data: memoryview) -> object:
        """One number, or None if this is no plain number."""
        if not self.usable or self.code not in _SCALARS:
            return None
        kind = np.dtype("<" + self.code)
        return np.frombuffer(data, kind)[0].item() if len(data) == kind.itemsize else None


def read_generator(data: memoryview) -> tuple[str, dict[str, Any], dict[str, LazyTensor]]:
    """Class name, ``init_kwargs`` and tensors of the generator in a snapshot.

    The averaged generator is preferred, as it is the one to draw with.

    Raises:
        ModelError: the data is damaged, hostile or holds no StyleGAN3 generator.
    """
    root = PickleMachine(data, _CONSTRUCTORS).run()
    module: object = root
    if isinstance(root, dict):
        module = next((root[k] for k in ("G_ema", "G") if isinstance(root.get(k), Module)), None)
    if not isinstance(module, Module):
        raise ModelError(
            "the file holds no generator", "a StyleGAN3 snapshot (.pkl with G_ema) is needed"
        )
    if module.class_name != "Generator":
        raise _wrong_architecture(module.class_name)
    return module.class_name, _init_kwargs(module), dict(_tensors(module))


def _wrong_architecture(class_name: str) -> ModelError:
    return ModelError(
        f"the file holds another network: its class {class_name!r:.60} is unknown",
        "only StyleGAN3 (config T or R) generators can be loaded; StyleGAN2 files cannot",
    )


def _init_kwargs(module: Module) -> dict[str, Any]:
    kwargs = module.state.get("_init_kwargs")
    arguments = module.state.get("_init_args", ())
    if not isinstance(kwargs, dict) or not isinstance(arguments, (tuple, list)):
        raise broken("the generator's settings are missing")
    if len(arguments) > len(_GENERATOR_ARGUMENTS):
        raise broken("the generator has more settings than expected")
    return dict(zip(_GENERATOR_ARGUMENTS, arguments, strict=False)) | kwargs


def _tensors(root: Module) -> Iterator[tuple[str, LazyTensor]]:
    """Parameters and buffers of the module tree by their dotted names."""
    pending: list[tuple[str, Module, int]] = [("", root, 0)]
    visited = 0
    while pending:
        prefix, module, depth = pending.pop()
        visited += 1
        if visited > _MAX_MODULES or depth > _MAX_DEPTH:
            raise broken("its modules nest without end")
        if module.class_name not in _CLASSES:
            raise _wrong_architecture(module.class_name)
        for group in ("_parameters", "_buffers"):
            for name, value in _entries(module, group):
                if isinstance(value, LazyTensor):
                    yield prefix + name, value
                elif value is not None:
                    raise broken(f"{prefix + name:.80} is no tensor")
        for name, child in _entries(module, "_modules"):
            if isinstance(child, Module):
                pending.append((f"{prefix}{name}.", child, depth + 1))
            elif child is not None:
                raise _wrong_architecture(f"{prefix}{name}")


def _entries(module: Module, group: str) -> Iterator[tuple[str, object]]:
    table = module.state.get(group, {})
    if not isinstance(table, dict):
        raise broken(f"a module's {group} is no table")
    for name, value in table.items():
        if not isinstance(name, str) or len(name) > 128:
            raise broken("a module's part has no name")
        yield name, value


def _module(arguments: tuple[Any, ...]) -> object:
    meta = arguments[0] if len(arguments) == 1 else None
    if not isinstance(meta, dict):
        raise broken("a module without a description")
    name, state = meta.get("class_name"), meta.get("state")
    if meta.get("type") != "class" or not isinstance(name, str) or not isinstance(state, dict):
        raise broken("a module without a class")
    return Module(name, state)


def _table(arguments: tuple[Any, ...]) -> object:
    """A dict; entries may come as one list of pairs or later, item by item."""
    table: dict[object, object] = {}
    pairs = arguments[0] if arguments and isinstance(arguments[0], (list, tuple)) else ()
    for pair in pairs:
        if isinstance(pair, (list, tuple)) and len(pair) == 2 and isinstance(pair[0], (str, int)):
            table[pair[0]] = pair[1]
    return table


def _dtype(arguments: tuple[Any, ...]) -> object:
    code = arguments[0] if arguments else None
    return DataType(code if isinstance(code, str) else "")


def _scalar(arguments: tuple[Any, ...]) -> object:
    if len(arguments) == 2:
        kind, data = arguments
        if isinstance(kind, DataType) and isinstance(data, memoryview):
            return kind.scalar(data)
    return None


_CONSTRUCTORS: dict[Global, Constructor] = {
    Global("torch_utils.persistence", "_reconstruct_persistent_obj"): _module,
    Global("collections", "OrderedDict"): _table,
    Global("dnnlib.util", "EasyDict"): _table,
    Global("torch._utils", "_rebuild_parameter"): rebuild_parameter,
    Global("torch._utils", "_rebuild_parameter_with_state"): rebuild_parameter,
    Global("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
    Global("torch.storage", "_load_from_bytes"): rebuild_storage,
    Global("numpy", "dtype"): _dtype,
    Global("numpy.core.multiarray", "scalar"): _scalar,
    Global("numpy._core.multiarray", "scalar"): _scalar,
}
