"""The first layer: a fixed bank of plane waves that w may turn and shift.

Karras et al. 2021, section 3.1 (Fourier features) and 3.2 (transformed input). Continuous
waves are sampled on the grid, so any rotation and shift of the picture is exact here: no
pixel grid exists yet that texture could stick to.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mien.networks.stylegan3.config import GeneratorConfig
from mien.networks.stylegan3.dense import DenseLayer
from mien.networks.stylegan3.schedule import InputSpec


class InputLayer(nn.Module):
    """w (N, w_dim) -> features (N, channels, size, size)."""

    freqs: Tensor
    phases: Tensor
    transform: Tensor

    def __init__(self, config: GeneratorConfig, spec: InputSpec) -> None:
        super().__init__()
        self.spec = spec
        # Frequencies fill the disc |f| < bandwidth evenly, phases are uniform.
        angle_rad = torch.rand(spec.channels) * (2.0 * math.pi)
        radius = torch.rand(spec.channels).sqrt() * spec.bandwidth
        freqs = torch.stack([radius * angle_rad.cos(), radius * angle_rad.sin()], dim=1)
        self.weight = nn.Parameter(torch.randn(spec.channels, spec.channels))
        self.affine = DenseLayer(config.w_dim, 4, weight_std=0.0)
        with torch.no_grad():
            self.affine.bias[0] = 1.0  # (cos, sin, shift x, shift y) of no motion
        self.register_buffer("freqs", freqs)
        self.register_buffer("phases", torch.rand(spec.channels) - 0.5)
        self.register_buffer("transform", torch.eye(3))

    def forward(self, w: Tensor, transform: Tensor | None = None) -> Tensor:
        """Features of every latent.

        Args:
            w: (N, w_dim).
            transform: (3, 3) or (N, 3, 3), picture-from-world in units of the picture's
                side; None: the stored one. Or (N, size, size, 2), the place of every sample
                in the same units, x first: a motion that is not rigid.
        """
        given = self.transform if transform is None else transform.to(w)
        if given.shape[1:] == (self.spec.size, self.spec.size, 2):
            return self._mixed(self._waves_at(w, given))
        if given.shape[-2:] != (3, 3) or given.ndim not in (2, 3):
            raise ValueError(
                f"expected transform (3, 3), (N, 3, 3) or (N, {self.spec.size}, "
                f"{self.spec.size}, 2), got {tuple(given.shape)}"
            )
        matrix = self._motion(w) @ given  # (N, 3, 3)
        # A plane wave of frequency f and phase p, seen through x -> A x + t, is a plane wave
        # of frequency A^T f and phase p + f . t.
        freqs = self.freqs @ matrix[:, :2, :2]  # (N, C, 2)
        phases = self.phases + (self.freqs @ matrix[:, :2, 2:]).squeeze(2)  # (N, C)
        # Waves that the transform pushed beyond the band fade out before they can alias.
        nyquist = self.spec.sampling_rate / 2.0
        excess = (freqs.norm(dim=2) - self.spec.bandwidth) / (nyquist - self.spec.bandwidth)
        amplitude = (1.0 - excess).clamp(0.0, 1.0)
        axis = self._axis(w)
        along_x = freqs[:, :, 0, None] * axis  # (N, C, W)
        along_y = freqs[:, :, 1, None] * axis + phases[:, :, None]  # (N, C, H)
        angle = along_y[:, :, :, None] + along_x[:, :, None, :]
        return self._mixed(torch.sin(angle * (2.0 * math.pi)) * amplitude[:, :, None, None])

    def _waves_at(self, w: Tensor, grid: Tensor) -> Tensor:
        """(N, C, size, size) of places (N, size, size, 2)."""
        motion = self._motion(w)
        places = torch.einsum("nij,nhwj->nhwi", motion[:, :2, :2], grid)
        places = places + motion[:, None, None, :2, 2]
        angle = torch.einsum("nhwi,ci->nchw", places, self.freqs)
        return torch.sin((angle + self.phases[None, :, None, None]) * (2.0 * math.pi))

    def _mixed(self, waves: Tensor) -> Tensor:
        mix = self.weight / math.sqrt(self.spec.channels)
        return torch.nn.functional.conv2d(waves, mix[:, :, None, None])

    def _motion(self, w: Tensor) -> Tensor:
        """(N, 3, 3): the rotation after the shift that w asks for."""
        t = self.affine(w)
        t = t / t[:, :2].norm(dim=1, keepdim=True)
        cos, sin, shift_x, shift_y = t.unbind(dim=1)
        zero, one = torch.zeros_like(cos), torch.ones_like(cos)
        rotation = [cos, -sin, zero, sin, cos, zero, zero, zero, one]
        shift = [one, zero, -shift_x, zero, one, -shift_y, zero, zero, one]
        rotate = torch.stack(rotation, dim=1).reshape(-1, 3, 3)
        return rotate @ torch.stack(shift, dim=1).reshape(-1, 3, 3)

    def _axis(self, like: Tensor) -> Tensor:
        """(size,) pixel centres in units of the picture's side, 0 in the middle."""
        index = torch.arange(self.spec.size, device=like.device, dtype=like.dtype)
        return (index - (self.spec.size - 1) / 2.0) / self.spec.sampling_rate
