"""Low-pass filters of the alias-free generator, designed with NumPy alone.

Every change of sampling rate in the network passes through one of these filters
(Karras et al. 2021, *Alias-Free Generative Adversarial Networks*, appendix C.1). Separable
ones are Kaiser-windowed sincs; config R uses radially symmetric, jinc-based ones so that no
direction is preferred and rotations commute with the filter.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

F64Array = npt.NDArray[np.float64]
F32Array = npt.NDArray[np.float32]

# Kaiser 1974, *Nonrecursive digital filter design using the I0-sinh window function*:
# attenuation (dB) of a window of given length and transition width, and the shape (beta)
# that reaches it, with the two bends where the fit changes.
_KAISER_SLOPE = 2.285
_KAISER_OFFSET_DB = 7.95
_KAISER_FAR_DB = 50.0
_KAISER_NEAR_DB = 21.0


def kaiser_beta(taps: int, transition: float) -> float:
    """Window shape for ``taps`` coefficients and a transition band.

    Args:
        taps: number of coefficients.
        transition: full width of the transition band as a fraction of the Nyquist frequency.
    """
    attenuation_db = _KAISER_SLOPE * (taps - 1) * np.pi * transition + _KAISER_OFFSET_DB
    if attenuation_db > _KAISER_FAR_DB:
        return float(0.1102 * (attenuation_db - 8.7))
    if attenuation_db > _KAISER_NEAR_DB:
        excess = attenuation_db - _KAISER_NEAR_DB
        return float(0.5842 * excess**0.4 + 0.07886 * excess)
    return 0.0


def bessel_j1(x: F64Array) -> F64Array:
    """Bessel function of the first kind and order one.

    Bessel's integral, ``1/pi * integral over 0..pi of cos(t - x sin t)``, by the midpoint
    rule: the integrand is periodic, so the rule converges geometrically and 128 nodes are
    exact to rounding for ``|x| < 100`` (filters here need ``|x| < 60``).
    """
    nodes = 128
    angles = (np.arange(nodes) + 0.5) * (np.pi / nodes)
    phase = angles - np.asarray(x, dtype=np.float64)[..., None] * np.sin(angles)
    return np.asarray(np.cos(phase).mean(axis=-1), dtype=np.float64)


def design_lowpass(
    taps: int, cutoff: float, half_width: float, sampling_rate: float, *, radial: bool = False
) -> F32Array | None:
    """Low-pass filter with unit gain at zero frequency.

    Args:
        taps: coefficients per axis; 1 means that no filter is needed.
        cutoff: half-amplitude frequency, in cycles per image.
        half_width: half of the transition band, same unit.
        sampling_rate: samples per image of the signal that is filtered.
        radial: whether the filter is isotropic and therefore two-dimensional.

    Returns:
        ``(taps,)`` or, if radial, ``(taps, taps)`` float32; None if ``taps`` is 1.
    """
    if taps < 1:
        raise ValueError(f"a filter needs at least one tap, got {taps}")
    if taps == 1:
        return None
    window = np.kaiser(taps, kaiser_beta(taps, half_width * 2.0 / (sampling_rate / 2.0)))
    time = (np.arange(taps) - (taps - 1) / 2.0) / sampling_rate
    if radial:
        radius = np.hypot(time[None, :], time[:, None])
        kernel = _jinc(radius, cutoff) * np.outer(window, window)
    else:
        kernel = np.sinc(2.0 * cutoff * time) * window
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)


def _jinc(radius: F64Array, cutoff: float) -> F64Array:
    """Ideal isotropic low-pass: ``J1(2 pi f r) / (pi r)``, and its limit ``f`` at r = 0."""
    safe = np.where(radius == 0.0, 1.0, radius)
    values = bessel_j1(2.0 * np.pi * cutoff * safe) / (np.pi * safe)
    return np.asarray(np.where(radius == 0.0, cutoff, values), dtype=np.float64)
