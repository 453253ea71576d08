"""Trained weights as they ship: FP16 in a safetensors file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from mien.errors import OutputError


def write_half(path: Path, weights: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Writes weights rounded to FP16; the file appears whole or not at all.

    Args:
        path: of the file; replaced if it is there.
        weights: by name, of any device and floating type; left as they are.
        metadata: of the file's header.

    Raises:
        OutputError: it cannot be written; what was there stays.
    """
    half = {
        name: tensor.to(device="cpu", dtype=torch.float16).contiguous()
        for name, tensor in weights.items()
    }
    part = path.with_name(path.name + ".part")
    try:
        save_file(half, part, metadata=dict(metadata))
        os.replace(part, path)
    except (OSError, SafetensorError) as error:
        raise OutputError(
            f"{path} cannot be written: {error}", "free space on its disk or choose another folder"
        ) from error
