"""How well a generator's picture follows its input: EQ-T and EQ-R in decibels.

Karras et al. 2021, appendix E: move the input by a transform, move the picture by the same
transform, and compare the two inside the region that both cover. Perfect alias-free synthesis
would agree to the last bit; texture that sticks to the pixel grid shows as error.

Departures from the paper: the picture is moved with one radially symmetric low-pass kernel
(0.4 cycles a pixel, 12 pixels of reach) that is applied to the other picture as well, in place
of the paper's separate pseudo-rotation filters; and beside the paper's ratio to the full range
of 2, the ratio to the picture's own variance is given, because untrained networks draw pale
pictures, which flatters the former.

Run as ``python -m mien_benchmarks.equivariance [FILE ...] [--json OUT]``.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien.networks import GeneratorConfig, load_generator, random_generator
from mien.networks.stylegan3.filters import bessel_j1
from mien.networks.stylegan3.generator import Generator

F64Array = npt.NDArray[np.float64]
Draw = Callable[[F64Array], F64Array]

_FULL_RANGE = 2.0
_MAX_SHIFT = 1 / 8  # of the picture's side, as in the paper
_CUTOFF = 0.4  # cycles a pixel; the kernel is back near zero at the Nyquist frequency
_REACH = 12  # pixels
_KAISER_BETA = 8.0
_LEAST_ERROR = 1e-20  # identical pictures: some 200 dB rather than infinity
_STEPS = 1 << 15  # of the kernel's table; interpolation errs by less than 1e-8 of its peak


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivariance:
    """Agreement in decibels; higher is better.

    Attributes:
        eq_t: whole-pixel shifts.
        eq_t_frac: shifts by any amount.
        eq_r: rotations by any angle about the middle.
        signal_t, signal_t_frac, signal_r: the same relative to the pictures' variance.
        samples: latents measured.
    """

    eq_t: float
    eq_t_frac: float
    eq_r: float
    signal_t: float
    signal_t_frac: float
    signal_r: float
    samples: int


def shift_matrix(x: float, y: float) -> F64Array:
    """The transform that shows at p what was at p + (x, y); units of the picture's side."""
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def rotation_matrix(angle_rad: float) -> F64Array:
    """The transform that shows at p what was at R p, about the middle."""
    cos, sin = math.cos(angle_rad), math.sin(angle_rad)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def resample(picture: F64Array, matrix: F64Array) -> tuple[F64Array, npt.NDArray[np.bool_]]:
    """The picture seen through a transform and the radial low-pass kernel.

    Args:
        picture: (C, size, size).
        matrix: (3, 3), as the generator's transform.

    Returns:
        (C, size, size) and where the kernel found all of its samples, (size, size).
    """
    size = picture.shape[-1]
    axis = (np.arange(size) - (size - 1) / 2.0) / size
    x, y = np.meshgrid(axis, axis)
    points = matrix[:2, :2] @ np.stack([x.ravel(), y.ravel()]) + matrix[:2, 2:]
    column, row = points * size + (size - 1) / 2.0
    base_x, base_y = np.floor(column).astype(int), np.floor(row).astype(int)
    inside = (np.minimum(column, row) >= _REACH) & (np.maximum(column, row) <= size - 1 - _REACH)
    flat = picture.reshape(len(picture), -1)
    radii, profile = np.linspace(0.0, _REACH, _STEPS), _kernel_profile()
    total, weight = np.zeros_like(flat), np.zeros(flat.shape[1])
    for dy in range(-_REACH, _REACH + 2):
        for dx in range(-_REACH, _REACH + 2):
            at_x, at_y = base_x + dx, base_y + dy
            value = np.interp(np.hypot(at_x - column, at_y - row), radii, profile)
            index = np.clip(at_y, 0, size - 1) * size + np.clip(at_x, 0, size - 1)
            total += value * flat[:, index]
            weight += value
    return (total / weight).reshape(picture.shape), inside.reshape(size, size)


def _kernel_profile() -> F64Array:
    """Jinc under a radial Kaiser window at ``_STEPS`` radii from 0 to ``_REACH``."""
    radius = np.maximum(np.linspace(0.0, _REACH, _STEPS), 1e-9)
    window = np.i0(_KAISER_BETA * np.sqrt(1.0 - (radius / _REACH) ** 2)) / np.i0(_KAISER_BETA)
    profile = bessel_j1(2.0 * np.pi * _CUTOFF * radius) / radius * window
    profile[-1] = 0.0
    return np.asarray(profile)


def measure(draws: Sequence[Draw], size: int, seed: int = 0) -> Equivariance:
    """Equivariance over several latents.

    Args:
        draws: for each latent, a function from a transform (3, 3) to a picture (C, size, size).
        size: of the picture.
        seed: of the transforms.
    """
    rng = np.random.default_rng(seed)
    errors: dict[str, list[float]] = {"t": [], "t_frac": [], "r": []}
    signals: list[float] = []
    for draw in draws:
        still = draw(np.eye(3))
        signals.append(float(still.var()))
        shift = rng.uniform(-_MAX_SHIFT, _MAX_SHIFT, 2)
        dx, dy = (round(s * size) for s in shift)
        moved = draw(shift_matrix(dx / size, dy / size))
        here, there = _overlap(dx, size), _overlap(dy, size)
        expected = still[:, there[1], here[1]]
        errors["t"].append(float(np.square(moved[:, there[0], here[0]] - expected).mean()))
        errors["t_frac"].append(_resampled_error(draw, still, shift_matrix(*shift)))
        angle_rad = rng.uniform(0.0, 2.0 * math.pi)
        errors["r"].append(_resampled_error(draw, still, rotation_matrix(angle_rad)))
    signal = float(np.mean(signals))
    means = {k: max(float(np.mean(v)), _LEAST_ERROR) for k, v in errors.items()}
    ranged = {f"eq_{k}": _decibels(_FULL_RANGE**2 / v) for k, v in means.items()}
    relative = {f"signal_{k}": _decibels(signal / v) for k, v in means.items()}
    return Equivariance(**ranged, **relative, samples=len(draws))


def _overlap(shift: int, size: int) -> tuple[slice, slice]:
    """Where ``moved[i]`` shows ``still[i + shift]``: range of the moved, of the still one."""
    return slice(max(0, -shift), size - max(0, shift)), slice(max(0, shift), size + min(0, shift))


def _resampled_error(draw: Draw, still: F64Array, matrix: F64Array) -> float:
    expected, covered = resample(still, matrix)
    found, whole = resample(draw(matrix), np.eye(3))
    return float(np.square(found - expected)[:, covered & whole].mean())


def _decibels(ratio: float) -> float:
    return 10.0 * math.log10(ratio)


def calibrated(config: GeneratorConfig, seed: int = 0) -> Generator:
    """Random weights with the magnitudes of features measured, as training would leave them."""
    import torch

    generator = random_generator(config, seed)
    noise = torch.Generator().manual_seed(seed)
    for layer in generator.synthesis.layers:
        layer.magnitude_ema_beta = 0.0
    ws = generator.mapping(torch.randn(4, config.z_dim, generator=noise))
    generator.synthesis(ws, update_emas=True)
    return generator


def drawers(generator: Generator, samples: int, seed: int = 0) -> list[Draw]:
    """A drawing function for each of several random latents."""
    import torch

    noise = torch.Generator().manual_seed(seed + 1)
    latents = generator.mapping(torch.randn(samples, generator.z_dim, generator=noise))

    def drawer(ws: torch.Tensor) -> Draw:
        def draw(matrix: F64Array) -> F64Array:
            transform = torch.from_numpy(matrix.astype(np.float32))
            with torch.inference_mode():
                return np.asarray(generator.synthesis(ws, transform)[0].numpy(), dtype=np.float64)

        return draw

    return [drawer(ws[None]) for ws in latents]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures weight files, or small random-weight models of both configs without any."""
    parser = argparse.ArgumentParser(prog="mien_benchmarks.equivariance", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="weight files")
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    small = {"img_resolution": 128, "channel_base": 2048, "channel_max": 64}
    config_t = GeneratorConfig.from_init_kwargs(small)
    config_r = GeneratorConfig.from_init_kwargs(
        {**small, "conv_kernel": 1, "use_radial_filters": True, "channel_max": 128}
    )
    models: dict[str, Callable[[], Generator]] = {
        path.stem: partial(load_generator, path) for path in options.files
    } or {
        "T-128 random": partial(calibrated, config_t),
        "R-128 random": partial(calibrated, config_r),
    }
    results = {}
    for name, load in models.items():
        generator = load()
        found = measure(drawers(generator, options.samples), generator.img_resolution)
        results[name] = asdict(found)
        sys.stdout.write(
            f"{name}: EQ-T {found.eq_t:.1f} dB, EQ-T frac {found.eq_t_frac:.1f} dB, EQ-R "
            f"{found.eq_r:.1f} dB; relative to the signal {found.signal_t:.1f}, "
            f"{found.signal_t_frac:.1f}, {found.signal_r:.1f} dB\n"
        )
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
