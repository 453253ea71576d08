"""The two networks of the live generator, and the latents that come with them."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import as_file, files
from pathlib import Path
from typing import Literal

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as unpack_tensors

from mien.errors import ModelError
from mien.inference import OnnxModel, Runner, RunnerName, RunnerOptions, make_runner
from mien.live_view import CONDITION_SIZE, LATENT_SIZE
from mien.live_warp import GRID_SIZE
from mien.types import F32Array

logger = logging.getLogger(__name__)

_ENCODER, _GENERATOR, _LATENTS = "encoder.onnx", "generator.onnx", "latents.safetensors"
_STRANGERS, _WEIGHTS = "strangers.safetensors", "live.safetensors"
_REINSTALL = "reinstall mien, or export the networks again; see docs/stylegan3.md"

# The generator is what takes the time. It gains from a second core and hardly from more than
# these; the tracker's networks are too small to.
_MOST_THREADS = 4

_LARGEST_PICTURE = 1024
_MOST_LAYERS = 64


def shipped_folder() -> Path:
    """Where the networks lie that ship with mien."""
    with as_file(files("mien.models").joinpath("stylegan3")) as path:
        return Path(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFiles:
    """One encoder, one generator, the latents of those who were trained on.

    Attributes:
        folder: where they lie, under their usual names.
    """

    folder: Path

    @property
    def encoder(self) -> Path:
        """Condition and latent to w."""
        return self._file(_ENCODER)

    @property
    def generator(self) -> Path:
        """w of every layer to a picture."""
        return self._file(_GENERATOR)

    @property
    def weights(self) -> Path:
        """Of both networks, as training wrote them: what a persona's own layers start from."""
        return self._file(_WEIGHTS)

    def latents(self) -> Mapping[str, F32Array]:
        """By name, (LATENT_SIZE,) float32 each.

        Raises:
            ModelError: the file is missing or is not what it should be.
        """
        latents = _read_latents(self._file(_LATENTS))
        if not latents:
            raise ModelError(f"{_LATENTS} holds no latent", _REINSTALL)
        return latents

    def strangers(self) -> Mapping[str, F32Array]:
        """The same of people whom nobody wears, where they came along; else empty.

        Raises:
            ModelError: the file is not what it should be.
        """
        if not (self.folder / _STRANGERS).is_file():
            return {}
        return _read_latents(self._file(_STRANGERS))

    def key(self) -> str:
        """Names these networks among a persona's latents: one of others means nothing here."""
        digest = sha256(_bytes(self.encoder))
        digest.update(_bytes(self.generator))
        return f"live-{digest.hexdigest()[:12]}"

    def _file(self, name: str) -> Path:
        path = self.folder / name
        if not path.is_file():
            raise ModelError(f"the file {name} of the StyleGAN3 persona is missing", _REINSTALL)
        return path


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path.name} cannot be read: {error.strerror}", _REINSTALL) from error


@cache
def _read_latents(path: Path) -> Mapping[str, F32Array]:
    try:
        tensors = unpack_tensors(_bytes(path))
    except (SafetensorError, ValueError, KeyError) as error:
        raise ModelError(f"{path.name} is damaged: {error}", _REINSTALL) from error
    latents = {}
    for name, tensor in tensors.items():
        sound = tensor.dtype.kind == "f" and tensor.shape == (LATENT_SIZE,)
        if not sound or not np.isfinite(tensor).all():
            raise ModelError(f"{path.name}: the latent {name!r} is not sound", _REINSTALL)
        latents[name] = np.ascontiguousarray(tensor, np.float32)
    return latents


class LiveNetworks:
    """Both networks on one device; what they return is good until the next call.

    One thread at a time may use it. A generator that fails on a GPU costs that picture; from
    then on the CPU draws, whose own generator has been ready all the time.

    Args:
        live: the files.
        device: ``cpu``, ``cuda:N`` or ``auto``.
        threads: of the tracker's networks; more than one is taken as it is.

    Raises:
        ModelError: a file is missing, damaged, or has other inputs than it should.
        MissingError: nothing here can run them on the device.

    Attributes:
        options: of the generators' runners.
        lost: why the GPU is no longer used; empty while it is.
    """

    def __init__(self, live: LiveFiles, *, device: str = "cpu", threads: int = 1) -> None:
        wanted = _device(device)
        index = device.partition(":")[2]
        # Nobody waits minutes for an engine that was not asked for.
        self.options = RunnerOptions(
            threads=_threads(threads),
            build=wanted == "cuda",
            device_index=int(index) if index.isdecimal() else 0,
            graph=False,
        )
        self.lost = ""
        self._device = wanted
        self._generators: dict[str, Runner] = {}
        self._spare: dict[str, Runner] = {}
        self._encoder = make_runner(
            OnnxModel(live.encoder), "onnxruntime", device="cpu", options=RunnerOptions(threads=1)
        )
        try:
            self._open("", live.generator)
            self.layers, self.size = _checked(self._encoder, self._generators[""])
        except BaseException:
            self.close()
            raise
        self._condition = np.zeros((1, CONDITION_SIZE), np.float32)
        self._latent = np.zeros((1, LATENT_SIZE), np.float32)
        self._grid = np.zeros((1, GRID_SIZE, GRID_SIZE, 2), np.float32)

    @property
    def where(self) -> str:
        """What the generator runs on; why stands in the log, and in ``mien doctor``."""
        runner = self.runner("")
        return f"stylegan3: {runner.name} on {runner.device}"

    def runner(self, name: str) -> Runner:
        """What draws now: the generator of that name, or the one that ships without."""
        return self._spare[name] if self.lost else self._generators[name]

    def warm_up(self) -> None:
        """Has done now what is done once."""
        self._encoder.warm_up(1)
        for runner in (*self._generators.values(), *self._spare.values()):
            runner.warm_up(1)

    def settle(self) -> None:
        """Records graphs of networks that nobody has recorded as a part of more."""
        for runner in list(self._generators.values()):
            record = getattr(runner, "record", None)
            if record is not None and not self.lost:
                record()

    def lose(self, reason: str) -> None:
        """The GPU is no longer used, nor asked again."""
        if self._spare and not self.lost:
            self.lost = reason

    def add(self, name: str, generator: Path) -> None:
        """Makes one more generator ready, under a name for :meth:`draw`; any thread may.

        Raises:
            ModelError: it is damaged or of another shape than the one that ships.
        """
        if name in self._generators:
            return
        try:
            self._open(name, generator)
            runners = [all_[name] for all_ in (self._generators, self._spare) if name in all_]
            if _checked(self._encoder, runners[0]) != (self.layers, self.size):
                raise ModelError(f"{generator.name} is of another shape", "tune the persona again")
            for runner in runners:
                runner.warm_up(1)
        except BaseException:
            self._forget(name)
            raise

    def encode(self, condition: F32Array, latent: F32Array) -> F32Array:
        """(256,) float32: what to draw, of one persona under one condition."""
        self._condition[0], self._latent[0] = condition, latent
        done = self._encoder.run({"condition": self._condition, "latent": self._latent})
        w: F32Array = done["w"][0]
        return w

    def draw(self, ws: F32Array, grid: F32Array, generator: str = "") -> F32Array:
        """(4, S, S) float32: BGR and matte, 0..1 where the network keeps to it.

        Args:
            ws: (1, layers, 256) float32, contiguous.
            grid: (GRID_SIZE, GRID_SIZE, 2) float32, see :func:`mien.live_warp.input_grid`.
            generator: name of one that was added; the one that ships without.

        Raises:
            FloatingPointError: a value is not finite.
            Exception: the GPU failed; the next picture is drawn on the CPU.
        """
        self._grid[0] = grid
        try:
            done = self.runner(generator).run({"ws": ws, "grid": self._grid})
        except Exception as error:  # PyCUDA's own have no base class that can be named here
            if self._spare and not self.lost:
                self.lose(str(getattr(error, "what", error)) or type(error).__name__)
                logger.warning("%s; the generator runs on the CPU from now on", self.lost)
            raise
        image: F32Array = done["image"][0]
        if not np.isfinite(image).all():
            raise FloatingPointError("the generator drew values that are not finite")
        return image

    def close(self) -> None:
        """Gives all back."""
        self._encoder.close()
        for name in list(self._generators):
            self._forget(name)

    def _open(self, name: str, generator: Path) -> None:
        # On a CPU there is one runner of ONNX files, and its own words are the clearest.
        kind: RunnerName = "onnxruntime" if self._device == "cpu" else "auto"
        model = OnnxModel(generator)
        self._generators[name] = made = make_runner(
            model, kind, device=self._device, options=self.options
        )
        if not made.device.startswith("cpu"):
            self._spare[name] = make_runner(
                model, "onnxruntime", device="cpu", options=self.options
            )

    def _forget(self, name: str) -> None:
        for runners in (self._generators, self._spare):
            runner = runners.pop(name, None)
            try:
                if runner is not None:
                    runner.close()
            except Exception as error:
                logger.debug("leaving a GPU that failed: %s", error)


def _device(name: str) -> Literal["cpu", "cuda", "auto"]:
    if name == "cpu":
        return "cpu"
    return "auto" if name.startswith("auto") else "cuda"


def _threads(asked: int) -> int:
    return asked if asked > 1 else min(os.cpu_count() or 1, _MOST_THREADS)


def _checked(encoder: Runner, generator: Runner) -> tuple[int, int]:
    """Layers and side of the picture, once everything has the shape that it must have."""
    _expect(encoder.inputs, "condition", (1, CONDITION_SIZE))
    _expect(encoder.inputs, "latent", (1, LATENT_SIZE))
    _expect(encoder.outputs, "w", (1, LATENT_SIZE))
    _expect(generator.inputs, "grid", (1, GRID_SIZE, GRID_SIZE, 2))
    ws = generator.inputs.get("ws")
    layers = ws.shape[1] if ws is not None and len(ws.shape) == 3 else 0
    _expect(generator.inputs, "ws", (1, min(max(layers, 1), _MOST_LAYERS), LATENT_SIZE))
    image = generator.outputs.get("image")
    size = image.shape[-1] if image is not None else 0
    size = min(max(size, 8), _LARGEST_PICTURE)
    _expect(generator.outputs, "image", (1, 4, size, size))
    return layers, size


def _expect(specs: Mapping[str, object], name: str, shape: tuple[int, ...]) -> None:
    found = specs.get(name)
    if getattr(found, "shape", None) != shape or getattr(found, "dtype", "") != "float32":
        raise ModelError(
            f"a network of the StyleGAN3 persona does not fit this mien: expected {name} {shape} "
            f"float32, found {found or ', '.join(specs)}",
            _REINSTALL,
        )
