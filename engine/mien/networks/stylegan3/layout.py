"""Names and shapes of every tensor that a generator's weight file holds."""

from __future__ import annotations

import numpy as np

from mien.networks.stylegan3.config import GeneratorConfig
from mien.networks.stylegan3.filters import F32Array, design_lowpass
from mien.networks.stylegan3.schedule import LayerSpec, design_schedule

Shape = tuple[int, ...]


def tensor_shapes(config: GeneratorConfig) -> dict[str, Shape]:
    """Every tensor of a weight file, by its name in the file."""
    schedule = design_schedule(config)
    w_dim = config.w_dim
    shapes: dict[str, Shape] = {}
    features = config.z_dim
    if config.c_dim:
        shapes |= _dense("mapping.embed", config.c_dim, w_dim)
        features += w_dim
    for index in range(config.mapping_layers):
        shapes |= _dense(f"mapping.fc{index}", features, w_dim)
        features = w_dim
    shapes["mapping.w_avg"] = (w_dim,)
    waves = schedule.input.channels
    shapes |= _dense("synthesis.input.affine", w_dim, 4)
    shapes["synthesis.input.weight"] = (waves, waves)
    shapes["synthesis.input.freqs"] = (waves, 2)
    shapes["synthesis.input.phases"] = (waves,)
    shapes["synthesis.input.transform"] = (3, 3)
    for spec in schedule.layers:
        shapes |= _layer(f"synthesis.{spec.name}", spec, w_dim)
    return shapes


def designed_constants(config: GeneratorConfig) -> dict[str, F32Array]:
    """Tensors of a weight file that follow from the configuration alone."""
    constants: dict[str, F32Array] = {"synthesis.input.transform": np.eye(3, dtype=np.float32)}
    for spec in design_schedule(config).layers:
        rate = spec.tmp_sampling_rate
        up = design_lowpass(spec.up_taps, spec.in_cutoff, spec.in_half_width, rate)
        down = design_lowpass(
            spec.down_taps, spec.out_cutoff, spec.out_half_width, rate, radial=spec.radial
        )
        for name, taps in (("up_filter", up), ("down_filter", down)):
            if taps is not None:
                constants[f"synthesis.{spec.name}.{name}"] = taps
    return constants


def _dense(name: str, features: int, width: int) -> dict[str, Shape]:
    return {f"{name}.weight": (width, features), f"{name}.bias": (width,)}


def _layer(name: str, spec: LayerSpec, w_dim: int) -> dict[str, Shape]:
    side = spec.conv_kernel
    shapes = _dense(f"{name}.affine", w_dim, spec.in_channels)
    shapes[f"{name}.weight"] = (spec.out_channels, spec.in_channels, side, side)
    shapes[f"{name}.bias"] = (spec.out_channels,)
    shapes[f"{name}.magnitude_ema"] = ()
    if spec.up_taps > 1:
        shapes[f"{name}.up_filter"] = (spec.up_taps,)
    if spec.down_taps > 1:
        down = (spec.down_taps,) * (2 if spec.radial else 1)
        shapes[f"{name}.down_filter"] = down
    return shapes
