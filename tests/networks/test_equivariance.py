"""The equivariance measure tells a picture that follows its transform from one that does not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mien.networks import GeneratorConfig
from mien_benchmarks.equivariance import (
    F64Array,
    calibrated,
    drawers,
    measure,
    resample,
    rotation_matrix,
    shift_matrix,
)

_SIZE = 48


def _waves(matrix: F64Array) -> F64Array:
    """A band-limited scene drawn exactly through a transform."""
    axis = (np.arange(_SIZE) - (_SIZE - 1) / 2.0) / _SIZE
    x, y = np.meshgrid(axis, axis)
    u, v = (matrix[:2, :2] @ np.stack([x.ravel(), y.ravel()])) + matrix[:2, 2:]
    waves = [np.sin(2 * np.pi * (fx * u + fy * v) + p) for fx, fy, p in _SCENE]
    scene: F64Array = np.stack(waves).reshape(len(waves), _SIZE, _SIZE)
    return scene


_SCENE = ((3.0, 1.0, 0.3), (-5.0, 7.0, 1.0), (11.0, 2.0, 2.0))


@pytest.mark.parametrize(
    "matrix", [shift_matrix(0.03, -0.07), rotation_matrix(0.7), rotation_matrix(math.pi)]
)
def test_moving_a_picture_equals_drawing_it_moved(matrix: F64Array) -> None:
    expected, covered = resample(_waves(np.eye(3)), matrix)
    found, whole = resample(_waves(matrix), np.eye(3))
    both = covered & whole
    assert both.sum() > 200
    assert np.abs(found - expected)[:, both].max() < 2e-3


def test_exact_drawing_scores_high_and_a_stuck_texture_low() -> None:
    exact = measure([_waves], _SIZE)
    assert exact.eq_t > 100.0
    assert min(exact.eq_t_frac, exact.eq_r) > 60.0
    stuck = _waves(np.eye(3))
    sticking = measure([lambda matrix: 0.9 * _waves(matrix) + 0.1 * stuck], _SIZE)
    assert max(sticking.eq_t, sticking.eq_t_frac, sticking.eq_r) < 40.0


def test_random_generator_follows_shifts() -> None:
    config = GeneratorConfig(
        z_dim=16, w_dim=16, img_resolution=64, channel_base=512, channel_max=16, num_layers=8
    )
    found = measure(drawers(calibrated(config), 1), 64)
    # Published, trained config T: 63 to 67 dB.
    assert found.eq_t > 50.0
    assert found.eq_t_frac > 50.0
