"""What a StyleGAN3 generator is made of, as one validated value.

Names are those that files in the wild store in ``init_kwargs``, so that a configuration can
be read from a file and written back without a table of translations.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mien.errors import ModelError

_MAX_RESOLUTION = 4096
_MAX_LAYERS = 64
_MAX_CHANNELS = 8192

# Accepted in files and without effect on inference.
_IGNORED = frozenset({"num_fp16_res", "magnitude_ema_beta", "w_avg_beta", "fused_modconv_default"})


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorConfig:
    """Architecture of one generator; the defaults are the published config T.

    Attributes:
        z_dim: size of the random latent.
        w_dim: size of the intermediate latent.
        c_dim: size of the class label, 0 if unconditional.
        img_resolution: output height and width, a power of two.
        img_channels: output channels.
        mapping_layers: fully connected layers of the mapping network.
        mapping_lr_multiplier: weight scale of the mapping network's layers.
        channel_base: feature maps at cutoff 1/2 cycle; the main lever on cost.
        channel_max: most feature maps of any layer.
        num_layers: layers between input and ToRGB.
        num_critical: last layers, critically sampled.
        first_cutoff: cutoff of the first layer, cycles per image.
        first_stopband: least stopband edge of the first layer, cycles per image.
        last_stopband_rel: the last stopband edge relative to its cutoff.
        margin_size: extra samples around the picture on every side.
        output_scale: factor from the last layer to the picture.
        conv_kernel: side of the convolutions, 3 in config T, 1 in config R.
        filter_size: filter taps per axis and unit of sampling rate; 6 in the paper.
        lrelu_upsampling: oversampling of the nonlinearity.
        use_radial_filters: isotropic downsampling filters (config R).
        conv_clamp: bound on every layer's output, None for no bound.
        magnitude_ema_beta: decay of the input magnitude's average, for training.
        w_avg_beta: decay of the mean latent, for training.
        num_fp16_res: octaves that ran in FP16 in training; informative.
    """

    z_dim: int = 512
    w_dim: int = 512
    c_dim: int = 0
    img_resolution: int = 256
    img_channels: int = 3
    mapping_layers: int = 2
    mapping_lr_multiplier: float = 0.01
    channel_base: int = 32768
    channel_max: int = 512
    num_layers: int = 14
    num_critical: int = 2
    first_cutoff: float = 2.0
    first_stopband: float = 2.0**2.1
    last_stopband_rel: float = 2.0**0.3
    margin_size: int = 10
    output_scale: float = 0.25
    conv_kernel: int = 3
    filter_size: int = 6
    lrelu_upsampling: int = 2
    use_radial_filters: bool = False
    conv_clamp: float | None = 256.0
    magnitude_ema_beta: float = 0.999
    w_avg_beta: float = 0.998
    num_fp16_res: int = 4

    def __post_init__(self) -> None:
        for name, low, high in _INT_BOUNDS:
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} must lie in {low}..{high}, got {value}")
        if self.img_resolution & (self.img_resolution - 1):
            raise ValueError(f"img_resolution must be a power of two, got {self.img_resolution}")
        if self.num_critical > self.num_layers - 1:
            raise ValueError("num_critical must be smaller than num_layers")
        if self.conv_kernel % 2 == 0:
            raise ValueError(f"conv_kernel must be odd, got {self.conv_kernel}")
        for name in _POSITIVE:
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0.0):
                raise ValueError(f"{name} must be positive and finite, got {value}")
        nyquist = self.img_resolution / 2.0
        # Below half a cycle the sampling rate, and with it the filters, would have no bound.
        if not 0.5 <= self.first_cutoff <= self.first_stopband <= self.img_resolution:
            raise ValueError(
                f"need 0.5 <= first_cutoff <= first_stopband <= {self.img_resolution}, "
                f"got {self.first_cutoff} and {self.first_stopband}"
            )
        if self.first_cutoff >= nyquist or not 1.0 <= self.last_stopband_rel <= 8.0:
            raise ValueError(
                f"need first_cutoff < {nyquist} and last_stopband_rel in 1..8, "
                f"got {self.first_cutoff} and {self.last_stopband_rel}"
            )
        if self.conv_clamp is not None and not self.conv_clamp >= 0.0:
            raise ValueError(f"conv_clamp must not be negative, got {self.conv_clamp}")

    @property
    def num_ws(self) -> int:
        """Latents that the synthesis network takes: input, layers, ToRGB."""
        return self.num_layers + 2

    @classmethod
    def from_init_kwargs(cls, init_kwargs: Mapping[str, Any]) -> GeneratorConfig:
        """Configuration of a file's ``init_kwargs``.

        Raises:
            ModelError: a keyword is unknown or a value has the wrong type or range.
        """
        flat = {
            k: v for k, v in init_kwargs.items() if k not in ("mapping_kwargs", "synthesis_kwargs")
        }
        _update(flat, init_kwargs.get("synthesis_kwargs", {}), "synthesis_kwargs")
        mapping: dict[str, Any] = {}
        _update(mapping, init_kwargs.get("mapping_kwargs", {}), "mapping_kwargs")
        for name, field in (
            ("num_layers", "mapping_layers"),
            ("lr_multiplier", "mapping_lr_multiplier"),
        ):
            if name in mapping:
                flat[field] = mapping.pop(name)
        if "w_avg_beta" in mapping:
            flat["w_avg_beta"] = mapping.pop("w_avg_beta")
        known = {f.name: f for f in dataclasses.fields(cls)}
        unknown = sorted({str(k) for k in (*flat, *mapping)} - set(known) - _IGNORED)
        if unknown:
            raise ModelError(
                f"the file describes a network with unknown settings: {', '.join(unknown[:6])}",
                "only StyleGAN3 (config T or R) generators can be loaded",
            )
        values = {k: _coerced(k, v) for k, v in flat.items() if k in known}
        try:
            return cls(**values)
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"the file's settings do not describe a generator: {error}",
                "the file is damaged or not a StyleGAN3 generator",
            ) from error

    def to_init_kwargs(self) -> dict[str, Any]:
        """The configuration under the names that files use; JSON-ready."""
        values = dataclasses.asdict(self)
        mapping = {
            "num_layers": values.pop("mapping_layers"),
            "lr_multiplier": values.pop("mapping_lr_multiplier"),
            "w_avg_beta": values.pop("w_avg_beta"),
        }
        return {"mapping_kwargs": mapping, **values}


_INT_BOUNDS = (
    ("z_dim", 1, _MAX_CHANNELS),
    ("w_dim", 1, _MAX_CHANNELS),
    ("c_dim", 0, 100_000),
    ("img_resolution", 8, _MAX_RESOLUTION),
    ("img_channels", 1, 16),
    ("mapping_layers", 1, 32),
    ("channel_base", 1, 1 << 20),
    ("channel_max", 1, _MAX_CHANNELS),
    ("num_layers", 2, _MAX_LAYERS),
    ("num_critical", 0, _MAX_LAYERS),
    ("margin_size", 0, 256),
    ("conv_kernel", 1, 11),
    ("filter_size", 1, 16),
    ("lrelu_upsampling", 1, 4),
)
_POSITIVE = (
    "mapping_lr_multiplier",
    "first_cutoff",
    "first_stopband",
    "last_stopband_rel",
    "output_scale",
)
_INTEGERS = {name for name, _, _ in _INT_BOUNDS} | {"num_fp16_res"}


def _update(target: dict[str, Any], extra: object, name: str) -> None:
    if not isinstance(extra, Mapping):
        raise ModelError(
            f"{name} should be a table, got {type(extra).__name__}", "the file is damaged"
        )
    target.update(extra)


def _coerced(name: str, value: object) -> Any:
    """``value`` with the type of its field; numbers from files may be NumPy's or floats."""
    if name == "conv_clamp" and value is None:
        return None
    if name == "use_radial_filters":
        if not isinstance(value, bool):
            raise ModelError(
                f"{name} should be true or false, got {value!r:.40}", "the file is damaged"
            )
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ModelError(f"{name} should be a number, got {value!r:.40}", "the file is damaged")
    if name in _INTEGERS:
        if value != value or abs(value) > 1 << 31 or int(value) != value:
            raise ModelError(
                f"{name} should be a whole number, got {value!r:.40}", "the file is damaged"
            )
        return int(value)
    return float(value)


def _preset(resolution: int, **changes: Any) -> GeneratorConfig:
    return GeneratorConfig(img_resolution=resolution, **changes)


_R: dict[str, Any] = {"conv_kernel": 1, "use_radial_filters": True, "channel_base": 65536}
_R["channel_max"] = 1024

# ``live`` is this project's own: a picture every few milliseconds on a graphics card and a
# few a second on a laptop's processor. The others are the published sizes.
PRESETS: Mapping[str, GeneratorConfig] = {
    "live": _preset(256, w_dim=256, z_dim=256, channel_base=8192, channel_max=192, num_layers=10),
    "t256": _preset(256),
    "t512": _preset(512),
    "t1024": _preset(1024),
    "r256": _preset(256, **_R),
    "r512": _preset(512, **_R),
    "r1024": _preset(1024, **_R),
}
