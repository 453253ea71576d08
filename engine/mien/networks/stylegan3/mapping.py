"""Mapping network: a random latent (and a class) becomes the intermediate latent w.

Karras et al. 2021, section 3.2: two layers suffice for alias-free generators; truncation as
in Karras et al. 2019, *A Style-Based Generator Architecture*, appendix B.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mien.networks.stylegan3.config import GeneratorConfig
from mien.networks.stylegan3.dense import DenseLayer

_EPSILON = 1e-8


def _unit_variance(x: Tensor) -> Tensor:
    return x * (x.square().mean(dim=1, keepdim=True) + _EPSILON).rsqrt()


class MappingNetwork(nn.Module):
    """z (N, z_dim) -> ws (N, num_ws, w_dim)."""

    w_avg: Tensor

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.z_dim = config.z_dim
        self.c_dim = config.c_dim
        self.num_ws = config.num_ws
        self.num_layers = config.mapping_layers
        self.w_avg_beta = config.w_avg_beta
        width = config.w_dim
        if config.c_dim:
            self.embed = DenseLayer(config.c_dim, width)
        features = config.z_dim + (width if config.c_dim else 0)
        for index in range(self.num_layers):
            layer = DenseLayer(
                features, width, leaky=True, lr_multiplier=config.mapping_lr_multiplier
            )
            setattr(self, f"fc{index}", layer)
            features = width
        self.register_buffer("w_avg", torch.zeros(width))

    def forward(
        self,
        z: Tensor,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        *,
        c: Tensor | None = None,
        update_emas: bool = False,
    ) -> Tensor:
        """Intermediate latents, one per layer.

        Args:
            z: (N, z_dim) float32, normal; (N, 0) is not allowed.
            truncation_psi: 1 keeps w, 0 gives the mean latent.
            truncation_cutoff: how many of the first latents are truncated; None: all.
            c: (N, c_dim) class label, for conditional networks.
            update_emas: let the mean latent follow; for training.

        Returns:
            (N, num_ws, w_dim) float32.
        """
        if z.ndim != 2 or z.shape[1] != self.z_dim:
            raise ValueError(f"expected z (N, {self.z_dim}), got {tuple(z.shape)}")
        if self.c_dim and (c is None or c.shape != (z.shape[0], self.c_dim)):
            got = None if c is None else tuple(c.shape)
            raise ValueError(f"expected a label c ({z.shape[0]}, {self.c_dim}), got {got}")
        x = _unit_variance(z.to(self.w_avg.dtype))
        if self.c_dim and c is not None:
            x = torch.cat([x, _unit_variance(self.embed(c.to(x.dtype)))], dim=1)
        for index in range(self.num_layers):
            x = getattr(self, f"fc{index}")(x)
        if update_emas:
            self.w_avg.copy_(x.detach().mean(dim=0).lerp(self.w_avg, self.w_avg_beta))
        ws = x.unsqueeze(1).repeat(1, self.num_ws, 1)
        if truncation_psi != 1.0:
            end = self.num_ws if truncation_cutoff is None else truncation_cutoff
            ws[:, :end] = self.w_avg.lerp(ws[:, :end], truncation_psi)
        return ws
