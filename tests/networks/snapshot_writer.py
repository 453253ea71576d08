"""Writes snapshots as NVIDIA's training code does, with PyTorch's own pickling of tensors.

The classes and functions of that code are stood in for by empty ones of the same names.
"""

from __future__ import annotations

import pickle
import sys
import types
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

_BUFFERS = {
    "w_avg",
    "freqs",
    "phases",
    "transform",
    "magnitude_ema",
    "up_filter",
    "down_filter",
    "resample_filter",
}
# Stored in every file; a loader that ran it would leave a trace.
TRACE = "raise SystemExit('module source was executed')\n"


class EasyDict(dict[str, Any]):
    """Pickled as ``dnnlib.util.EasyDict``."""


class Persistent:
    """Pickled as a call of ``torch_utils.persistence._reconstruct_persistent_obj``."""

    def __init__(self, class_name: str, state: dict[str, Any]) -> None:
        self.meta = {
            "type": "class",
            "version": 6,
            "module_src": TRACE,
            "class_name": class_name,
            "state": state,
        }

    def __reduce__(self) -> tuple[Any, ...]:
        return (_reconstruct_persistent_obj, (self.meta,), None)


def _reconstruct_persistent_obj(meta: object) -> object:
    raise AssertionError("a snapshot was unpickled")


@contextmanager
def _names_of_the_training_code() -> Iterator[None]:
    names = ("torch_utils", "torch_utils.persistence", "dnnlib", "dnnlib.util")
    modules = {name: types.ModuleType(name) for name in names}
    function, table = _reconstruct_persistent_obj, EasyDict
    kept = (function.__module__, table.__module__)
    function.__module__, table.__module__ = "torch_utils.persistence", "dnnlib.util"
    modules["torch_utils.persistence"]._reconstruct_persistent_obj = function  # type: ignore[attr-defined]
    modules["dnnlib.util"].EasyDict = table  # type: ignore[attr-defined]
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
        function.__module__, table.__module__ = kept


def module(
    class_name: str,
    tensors: Mapping[str, torch.Tensor],
    *,
    classes: Mapping[str, str] = types.MappingProxyType({}),
    path: str = "",
    init_kwargs: Mapping[str, Any] = types.MappingProxyType({}),
) -> Persistent:
    """A module with the tensors below ``path``; children get their class from their name."""
    parameters: dict[str, Any] = {}
    buffers: dict[str, Any] = {}
    children: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        head, _, rest = name.partition(".")
        if rest:
            children.setdefault(head, {})[rest] = tensor
        elif head in _BUFFERS:
            buffers[head] = tensor
        else:
            parameters[head] = nn.Parameter(tensor)
    if "magnitude_ema" in buffers:
        buffers.setdefault("up_filter", None)
        buffers.setdefault("down_filter", None)
    modules = OrderedDict(
        (name, module(class_of(name, classes), part, classes=classes, path=f"{path}{name}."))
        for name, part in children.items()
    )
    state = {
        "training": False,
        "_parameters": OrderedDict(parameters),
        "_buffers": OrderedDict(buffers),
        "_non_persistent_buffers_set": set(),
        "_backward_hooks": OrderedDict(),
        "_forward_hooks": OrderedDict(),
        "_modules": modules,
        "_init_args": (),
        "_init_kwargs": EasyDict(init_kwargs),
        "in_size": np.asarray([36, 36]),
        "in_cutoff": np.float64(2.0),
        "padding": [9, 8, 9, 8],
    }
    return Persistent(class_name, state)


def class_of(name: str, classes: Mapping[str, str]) -> str:
    """What the training code calls the module of this name."""
    known = {
        "mapping": "MappingNetwork",
        "synthesis": "SynthesisNetwork",
        "input": "SynthesisInput",
        "affine": "FullyConnectedLayer",
        "embed": "FullyConnectedLayer",
    }
    if name in classes:
        return classes[name]
    fallback = "FullyConnectedLayer" if name.startswith("fc") else "SynthesisLayer"
    return known.get(name, fallback)


def write_snapshot(
    path: Path,
    init_kwargs: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray[Any, Any]],
    *,
    dtype: torch.dtype = torch.float32,
    extras: bool = True,
    **options: Any,
) -> Path:
    """Writes ``path`` with the generator as ``G_ema``; with extras also G, D and settings."""
    values = {k: torch.from_numpy(np.array(v)).to(dtype) for k, v in tensors.items()}
    generator = module("Generator", values, init_kwargs=init_kwargs, **options)
    snapshot: dict[str, Any] = {"G_ema": generator}
    if extras:
        weight = {"b64.conv0.weight": torch.zeros(4, 4, 3, 3), "b64.resample_filter": torch.ones(4)}
        snapshot = {
            "G": module("Generator", {"mapping.w_avg": torch.ones(64)}),
            "D": module("Discriminator", weight, classes={"b64": "DiscriminatorBlock"}),
            "G_ema": generator,
            "training_set_kwargs": EasyDict(class_name="training.dataset.ImageFolderDataset"),
            "augment_pipe": None,
        }
    with _names_of_the_training_code(), warnings.catch_warnings(), path.open("wb") as file:
        warnings.simplefilter("ignore")
        pickle.dump(snapshot, file, protocol=4)
    return path
