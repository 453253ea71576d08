"""Generators from files and presets; PyTorch is imported here and no earlier."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import MissingError
from mien.networks.checkpoint import Checkpoint, read_checkpoint
from mien.networks.stylegan3.config import GeneratorConfig

if TYPE_CHECKING:
    from mien.networks.stylegan3.generator import Generator


def load_generator(source: str | Path | Checkpoint) -> Generator:
    """A generator ready to draw with, in float32 on the CPU.

    Args:
        source: a weight file (StyleGAN3 ``.pkl``, or ``.safetensors`` with its ``.json``), or
            one that was already read.

    Raises:
        ModelError: the file is missing, damaged, hostile or holds another network.
        MissingError: PyTorch is not installed.
    """
    checkpoint = source if isinstance(source, Checkpoint) else read_checkpoint(source)
    _require_torch()
    from mien.networks.stylegan3.generator import generator_from_checkpoint

    return generator_from_checkpoint(checkpoint)


def random_generator(config: GeneratorConfig, seed: int = 0) -> Generator:
    """A generator with the random weights that training starts from; the same for a seed.

    Raises:
        MissingError: PyTorch is not installed.
    """
    _require_torch()
    from mien.networks.stylegan3.generator import initialised_generator

    return initialised_generator(config, seed)


def _require_torch() -> None:
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingError(
            "PyTorch is not installed, and this needs it", 'pip install "mien[neural]"'
        ) from error
