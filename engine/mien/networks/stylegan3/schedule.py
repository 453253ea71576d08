"""The layer table of the generator: frequencies, sampling rates, sizes, padding.

Karras et al. 2021, section 3.2 ("Flexible layer specifications") and appendix C: cutoff and
stopband grow geometrically from the first layer to the last non-critical one, then stay; the
sampling rate is the smallest power of two that holds the stopband.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mien.networks.stylegan3.config import GeneratorConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSpec:
    """One row of the table; frequencies in cycles per image, rates in samples per image.

    Attributes:
        name: as in weight files, ``L{index}_{size}_{channels}``.
        padding: samples added to the upsampled signal: left, right, top, bottom; negative
            ones are cut.
        up, down: integer factors to and from the rate of the nonlinearity.
        up_taps, down_taps: filter lengths per axis; 1 means no filter.
        radial: whether the downsampling filter is isotropic.
    """

    name: str
    in_channels: int
    out_channels: int
    in_size: int
    out_size: int
    in_sampling_rate: float
    out_sampling_rate: float
    tmp_sampling_rate: float
    in_cutoff: float
    out_cutoff: float
    in_half_width: float
    out_half_width: float
    up: int
    down: int
    up_taps: int
    down_taps: int
    padding: tuple[int, int, int, int]
    is_torgb: bool
    critical: bool
    radial: bool
    conv_kernel: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """The Fourier feature layer: ``channels`` waves on a ``size`` x ``size`` grid."""

    channels: int
    size: int
    sampling_rate: float
    bandwidth: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Input layer and every further layer, first to last; ToRGB is the last."""

    input: InputSpec
    layers: tuple[LayerSpec, ...]


def design_schedule(config: GeneratorConfig) -> Schedule:
    """The layer table of a configuration."""
    count = config.num_layers
    last_cutoff = config.img_resolution / 2.0
    last_stopband = last_cutoff * config.last_stopband_rel
    # Equations of appendix C: exponent 0 at the input, 1 from the first critical layer on.
    exponent = np.minimum(np.arange(count + 1) / (count - config.num_critical), 1.0)
    cutoff = config.first_cutoff * (last_cutoff / config.first_cutoff) ** exponent
    stopband = config.first_stopband * (last_stopband / config.first_stopband) ** exponent
    rate = np.exp2(np.ceil(np.log2(np.minimum(stopband * 2.0, config.img_resolution))))
    half_width = np.maximum(stopband, rate / 2.0) - cutoff
    size = rate + config.margin_size * 2
    size[-2:] = config.img_resolution
    channels = np.rint(np.minimum(config.channel_base / 2.0 / cutoff, config.channel_max))
    channels = np.maximum(channels, 1.0)
    channels[-1] = config.img_channels

    layers = []
    for index in range(count + 1):
        previous = max(index - 1, 0)
        layers.append(
            _layer(
                config,
                index,
                channels=(int(channels[previous]), int(channels[index])),
                size=(int(size[previous]), int(size[index])),
                rate=(float(rate[previous]), float(rate[index])),
                cutoff=(float(cutoff[previous]), float(cutoff[index])),
                half_width=(float(half_width[previous]), float(half_width[index])),
            )
        )
    first = InputSpec(
        channels=int(channels[0]),
        size=int(size[0]),
        sampling_rate=float(rate[0]),
        bandwidth=float(cutoff[0]),
    )
    return Schedule(input=first, layers=tuple(layers))


def _layer(
    config: GeneratorConfig,
    index: int,
    *,
    channels: tuple[int, int],
    size: tuple[int, int],
    rate: tuple[float, float],
    cutoff: tuple[float, float],
    half_width: tuple[float, float],
) -> LayerSpec:
    is_torgb = index == config.num_layers
    critical = index >= config.num_layers - config.num_critical
    tmp_rate = max(rate) * (1 if is_torgb else config.lrelu_upsampling)
    up = round(tmp_rate / rate[0])
    down = round(tmp_rate / rate[1])
    kernel = 1 if is_torgb else config.conv_kernel
    up_taps = config.filter_size * up if up > 1 and not is_torgb else 1
    down_taps = config.filter_size * down if down > 1 and not is_torgb else 1
    low, high = _padding(size, kernel, up, down, up_taps, down_taps)
    return LayerSpec(
        name=f"L{index}_{size[1]}_{channels[1]}",
        in_channels=channels[0],
        out_channels=channels[1],
        in_size=size[0],
        out_size=size[1],
        in_sampling_rate=rate[0],
        out_sampling_rate=rate[1],
        tmp_sampling_rate=tmp_rate,
        in_cutoff=cutoff[0],
        out_cutoff=cutoff[1],
        in_half_width=half_width[0],
        out_half_width=half_width[1],
        up=up,
        down=down,
        up_taps=up_taps,
        down_taps=down_taps,
        padding=(low, high, low, high),
        is_torgb=is_torgb,
        critical=critical,
        radial=config.use_radial_filters and not critical,
        conv_kernel=kernel,
    )


def _padding(
    size: tuple[int, int], kernel: int, up: int, down: int, up_taps: int, down_taps: int
) -> tuple[int, int]:
    """Padding per axis that makes the layer end at its size with both grids centred.

    The signal is ``(in + kernel - 1) * up`` long before the filters, which eat
    ``up_taps + down_taps - 2`` samples, and must be ``(out - 1) * down + 1`` long after them.
    The odd sample goes where the centres of the input's and the output's pixels line up.
    """
    total = (size[1] - 1) * down + 1 - (size[0] + kernel - 1) * up + up_taps + down_taps - 2
    low = (total + up) // 2
    return low, total - low
