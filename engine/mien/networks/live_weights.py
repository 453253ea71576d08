"""The weights of the live networks as one file: encoder, generator, everybody's latent.

Reading needs no PyTorch; :func:`live_network` makes a network of them and does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from mien.errors import ModelError
from mien.live_view import CONDITION_SIZE, LATENT_SIZE
from mien.networks.checkpoint import Checkpoint, check_tensors
from mien.networks.stylegan3.config import GeneratorConfig
from mien.networks.stylegan3.layout import designed_constants

if TYPE_CHECKING:
    from mien.networks.live import LiveNetwork

FORMAT = "mien.live.2"
_ENCODER, _GENERATOR = "encoder.", "generator."
_MOST_METADATA = 1 << 20

DECODERS = ("stylegan3", "conv")
"""Layers with alias-free filters, and the same without: quicker, and texture may stick."""

F32Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LiveWeights:
    """What was trained.

    Attributes:
        names: of the personas, in the order of ``latents``.
        latents: (P, LATENT_SIZE) float32.
        encoder: its tensors by name.
        generator: its settings and tensors.
        step: how long it was trained.
        decoder: which of :data:`DECODERS` the generator is.
    """

    names: tuple[str, ...]
    latents: F32Array
    encoder: dict[str, F32Array]
    generator: Checkpoint
    step: int
    decoder: str = DECODERS[0]


def live_metadata(
    config: GeneratorConfig, names: Sequence[str], step: int, decoder: str = DECODERS[0]
) -> dict[str, str]:
    """What the file's header must say beside the tensors."""
    return {
        "format": FORMAT,
        "config": json.dumps(config.to_init_kwargs(), sort_keys=True),
        "names": json.dumps(list(names)),
        "step": str(step),
        "decoder": decoder,
    }


def read_live_weights(path: Path) -> LiveWeights:
    """The weights in a file that training wrote.

    Raises:
        ModelError: the file is missing, damaged, or holds something else.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata: Mapping[str, str] = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} cannot be read: {error}", "copy it again") from error
    if metadata.get("format") != FORMAT:
        raise ModelError(
            f"{path} does not hold live networks", "name generator.safetensors of a run"
        )
    try:
        names = tuple(str(name) for name in json.loads(metadata["names"][:_MOST_METADATA]))
        settings: Any = json.loads(metadata["config"][:_MOST_METADATA])
        step = int(metadata["step"])
        decoder = metadata.get("decoder", DECODERS[0])
        if decoder not in DECODERS:
            raise ValueError(f"no decoder is named {decoder[:40]!r}")
        latents = _sound("latents", tensors.pop("latents"))
        encoder = _part(tensors, _ENCODER)
        wanted = (CONDITION_SIZE,)
        if encoder["mean"].shape != wanted or latents.shape != (len(names), LATENT_SIZE):
            raise ValueError(
                f"expected a mean {wanted} and latents {(len(names), LATENT_SIZE)}, got "
                f"{encoder['mean'].shape} and {latents.shape}"
            )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is damaged: {error}", "copy it again") from error
    config = GeneratorConfig.from_init_kwargs(settings)
    # Filters follow from the configuration; half precision would only blunt them.
    generator = _part(tensors, _GENERATOR) | designed_constants(config)
    check_tensors(config, generator)
    return LiveWeights(
        names=names,
        latents=latents,
        encoder=encoder,
        generator=Checkpoint(init_kwargs=config.to_init_kwargs(), tensors=generator),
        step=step,
        decoder=decoder,
    )


def live_network(weights: LiveWeights) -> LiveNetwork:
    """The network with those weights, ready to draw on the CPU; needs PyTorch."""
    import torch

    from mien.networks.live import LiveNetwork

    network = LiveNetwork(weights.generator.config, len(weights.names), weights.decoder)
    state = {_ENCODER + name: value for name, value in weights.encoder.items()}
    state |= {_GENERATOR + name: value for name, value in weights.generator.tensors.items()}
    state["latents"] = weights.latents
    network.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    return network.eval().requires_grad_(False)


def _part(tensors: Mapping[str, npt.NDArray[Any]], prefix: str) -> dict[str, F32Array]:
    return {
        name.removeprefix(prefix): _sound(name, value)
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def _sound(name: str, value: npt.NDArray[Any]) -> F32Array:
    numbers = np.asarray(value, dtype=np.float32)
    if not np.isfinite(numbers).all():
        raise ValueError(f"{name} is not finite")
    return numbers
