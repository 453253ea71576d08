"""The live networks: an encoder of what the driver does, a latent for each persona, and a
StyleGAN3 generator that draws the persona doing it.

``w = mapping(p + e(condition))``: the persona's latent p and the encoder's output e add up,
so a new persona is one more vector. The mapping and the synthesis network are those of
StyleGAN3 (Karras et al. 2021) with four channels: BGR and the matte. Where the head and the
parts of its face are is not left to w: the generator's input is sampled there.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mien.live_view import CONDITION_SIZE, EYE_GAIN, LATENT_SIZE, LIVE_SIZE, condition_parts
from mien.networks.stylegan3 import plain_decoder
from mien.networks.stylegan3.config import GeneratorConfig
from mien.networks.stylegan3.dense import DenseLayer
from mien.networks.stylegan3.generator import Generator

MIDDLE = 0.5
"""What is added to the synthesis network's raw picture: colours and matte are 0..1."""

# Conditions this many deviations away count no more: a tracker that slips draws no monster.
_LIMIT = 5.0
# Parts of a condition that hardly vary in training are not blown up.
_LEAST_DEVIATION = 1e-3


def live_config(size: int = LIVE_SIZE, **changes: float) -> GeneratorConfig:
    """The generator's architecture.

    Seven layers from 4 cycles to the Nyquist frequency, each 2^(2/3) above the one before,
    transition bands as narrow as the sampling rates allow: only two layers run at the full
    rate. With the published first cutoff of 2 cycles a small network learns where things
    are more slowly.

    Args:
        size: side of the picture in pixels, a power of two of at least 16.
        changes: of other settings.
    """
    octaves = int(size).bit_length() - 1
    settings: dict[str, float] = {
        "img_resolution": size,
        "img_channels": 4,
        "z_dim": LATENT_SIZE,
        "w_dim": LATENT_SIZE,
        "mapping_layers": 3,
        "mapping_lr_multiplier": 1.0,
        "num_layers": round((octaves - 3) * 1.5) + 1,
        "num_critical": 1,
        "first_cutoff": 4.0,
        "first_stopband": 4.0 * 2.0**0.33,
        "channel_base": 2048,
        "channel_max": 96,
        "margin_size": 3,
        "conv_clamp": 256.0,
    }
    return GeneratorConfig.from_init_kwargs(
        {**GeneratorConfig().to_init_kwargs(), **_nested(settings | changes)}
    )


def _nested(settings: Mapping[str, float]) -> dict[str, object]:
    values: dict[str, object] = dict(settings)
    values["mapping_kwargs"] = {
        "num_layers": values.pop("mapping_layers"),
        "lr_multiplier": values.pop("mapping_lr_multiplier"),
    }
    return values


class Encoder(nn.Module):
    """condition (N, CONDITION_SIZE) -> (N, LATENT_SIZE); about 0.7 M multiply-adds."""

    mean: Tensor
    deviation: Tensor
    gain: Tensor

    def __init__(self, width: int = 512) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(CONDITION_SIZE))
        self.register_buffer("deviation", torch.ones(CONDITION_SIZE))
        gain = torch.ones(CONDITION_SIZE)
        gain[condition_parts()["eyes"]] = EYE_GAIN
        self.register_buffer("gain", gain, persistent=False)
        self.fc0 = DenseLayer(CONDITION_SIZE, width, leaky=True)
        self.fc1 = DenseLayer(width, width, leaky=True)
        self.fc2 = DenseLayer(width, LATENT_SIZE)

    def standardise(self, conditions: Tensor) -> None:
        """Learns mean and deviation of every number from (N, CONDITION_SIZE)."""
        self.mean.copy_(conditions.mean(dim=0))
        self.deviation.copy_(conditions.std(dim=0).clamp(min=_LEAST_DEVIATION))

    def normalised(self, condition: Tensor) -> Tensor:
        """The condition in deviations from its mean, bounded; eyes louder."""
        x = ((condition - self.mean) / self.deviation).clamp(-_LIMIT, _LIMIT)
        return x * self.gain

    def forward(self, condition: Tensor, noise: Tensor | None = None) -> Tensor:
        """What the driver does.

        Args:
            condition: (N, CONDITION_SIZE).
            noise: added to the normalised condition; for training.
        """
        x = self.normalised(condition)
        x = x if noise is None else x + noise
        y: Tensor = self.fc2(self.fc1(self.fc0(x)))
        return y


class LiveNetwork(nn.Module):
    """Encoder, latents and generator.

    Args:
        config: of the generator, see :func:`live_config`.
        personas: how many latents there are.
        decoder: which of :data:`mien.networks.live_weights.DECODERS` draws.
    """

    def __init__(self, config: GeneratorConfig, personas: int, decoder: str = "stylegan3") -> None:
        super().__init__()
        self.decoder = decoder
        self.config = config
        self.encoder = Encoder()
        self.generator = Generator(config)
        self.latents = nn.Parameter(torch.randn(personas, LATENT_SIZE))
        if decoder == plain_decoder.NAME:
            self.generator.synthesis.set_filtered_lrelu(plain_decoder.NAME)

    def w(self, condition: Tensor, latent: Tensor, noise: Tensor | None = None) -> Tensor:
        """(N, LATENT_SIZE) of conditions (N, CONDITION_SIZE) and latents (N, LATENT_SIZE)."""
        ws: Tensor = self.generator.mapping(latent + self.encoder(condition, noise))
        return ws[:, 0]

    def draw(self, w: Tensor, grid: Tensor, *, update_emas: bool = False) -> Tensor:
        """(N, 4, S, S) float32, BGR and matte, 0..1 but for overshoot.

        Args:
            w: (N, LATENT_SIZE), the same for all layers, or (N, L, LATENT_SIZE).
            grid: (N, GRID_SIZE, GRID_SIZE, 2), see :func:`mien.live_warp.input_grid`.
            update_emas: let the magnitude averages follow; for training.
        """
        ws = w if w.ndim == 3 else w[:, None].expand(-1, self.config.num_ws, -1)
        picture: Tensor = self.generator.synthesis(ws, grid, update_emas=update_emas)
        return picture + MIDDLE

    def forward(self, condition: Tensor, latent: Tensor, grid: Tensor) -> Tensor:
        """As :meth:`draw`, of what is known of a frame."""
        return self.draw(self.w(condition, latent), grid)

    def use_fast_filters(self) -> None:
        """Makes the CPU run a filtered nonlinearity in one pass over memory."""
        if self.decoder == plain_decoder.NAME:
            return
        import mien.inference.filtered_lrelu  # noqa: F401  (registers itself)

        self.generator.synthesis.set_filtered_lrelu("fused")
