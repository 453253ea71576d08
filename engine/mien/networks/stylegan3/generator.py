"""The generator as one object: mapping, synthesis, presets, export."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from mien.networks.checkpoint import Checkpoint, check_tensors
from mien.networks.stylegan3.config import GeneratorConfig
from mien.networks.stylegan3.mapping import MappingNetwork
from mien.networks.stylegan3.synthesis import SynthesisNetwork


class Generator(nn.Module):
    """StyleGAN3 generator.

    Use from one thread at a time. Weights belong to the object and go with it.

    Attributes:
        config: the architecture.
        mapping: z -> ws.
        synthesis: ws -> picture.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.z_dim = config.z_dim
        self.w_dim = config.w_dim
        self.c_dim = config.c_dim
        self.num_ws = config.num_ws
        self.img_resolution = config.img_resolution
        self.img_channels = config.img_channels
        self.mapping = MappingNetwork(config)
        self.synthesis = SynthesisNetwork(config)

    def forward(
        self,
        z: Tensor,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        *,
        c: Tensor | None = None,
        transform: Tensor | None = None,
    ) -> Tensor:
        """Pictures (N, 3, size, size) of random latents (N, z_dim)."""
        ws = self.mapping(z, truncation_psi, truncation_cutoff, c=c)
        picture: Tensor = self.synthesis(ws, transform)
        return picture

    def checkpoint(self) -> Checkpoint:
        """The weights and settings as a value that can be saved; tensors share memory."""
        tensors = {k: v.detach().cpu().numpy() for k, v in self.state_dict().items()}
        return Checkpoint(
            init_kwargs=self.config.to_init_kwargs(), tensors=tensors, class_name="Generator"
        )

    def export_onnx(
        self, path: str | Path, precision: str = "fp32", *, form: str = "depthwise"
    ) -> Path:
        """Writes the synthesis network as one ONNX file; see :mod:`mien.networks.export`."""
        from mien.networks.export import export_onnx

        return export_onnx(self.checkpoint(), path, precision=precision, form=form)


def initialised_generator(config: GeneratorConfig, seed: int) -> Generator:
    """Random weights, the same for a seed; the global random state is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Generator(config).eval().requires_grad_(False)


def generator_from_checkpoint(checkpoint: Checkpoint) -> Generator:
    """The generator with a checkpoint's weights, which it shares with the checkpoint.

    Raises:
        ModelError: the tensors are not those of the settings.
    """
    config = checkpoint.config
    check_tensors(config, checkpoint.tensors)
    with torch.device("meta"):  # shapes only: the weights exist once, in the checkpoint
        generator = Generator(config)
    state = {name: torch.from_numpy(values) for name, values in checkpoint.tensors.items()}
    generator.load_state_dict(state, strict=True, assign=True)
    return generator.eval().requires_grad_(False)
