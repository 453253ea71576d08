"""What the One-Euro filter promises, and the published figures for jitter and lag."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.perception.smoothing import OneEuro
from mien.types import F32Array

_STEP_S = 1 / 30


def points(seed: int = 0) -> F32Array:
    return np.random.default_rng(seed).uniform(0, 700, (478, 3)).astype(np.float32)


def test_the_first_points_pass_unchanged_and_are_a_copy() -> None:
    seen = points()
    out = OneEuro()(seen, 300.0, 0.0)
    np.testing.assert_array_equal(out, seen)
    assert not np.shares_memory(out, seen)


def test_a_still_face_stays_exactly_still() -> None:
    smooth, seen = OneEuro(), points()
    for frame in range(10):
        np.testing.assert_array_equal(smooth(seen, 300.0, frame * _STEP_S), seen)


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_the_result_lies_between_the_last_one_and_the_new_points(seed: int) -> None:
    smooth = OneEuro()
    last = smooth(points(seed), 300.0, 0.0)
    new = points(seed + 1)
    out = smooth(new, 300.0, _STEP_S)
    assert (out >= np.minimum(last, new) - 1e-3).all()
    assert (out <= np.maximum(last, new) + 1e-3).all()


def test_noise_on_a_still_face_shrinks_to_less_than_half() -> None:
    rng, smooth, still = np.random.default_rng(3), OneEuro(), points()
    out = np.stack(
        [
            smooth(still + rng.normal(0, 0.1, still.shape).astype(np.float32), 300.0, i * _STEP_S)
            for i in range(120)
        ]
    )
    assert out[30:, :, :2].std(axis=0).mean() < 0.05


@pytest.mark.parametrize("px_a_frame", [10.0, 75.0])
def test_a_walking_face_lags_by_well_under_a_frame(px_a_frame: float) -> None:
    smooth, still = OneEuro(), points()
    lags = []
    for frame in range(40):
        seen = still + np.array([px_a_frame * frame, 0, 0], np.float32)
        out = smooth(seen, 300.0, frame * _STEP_S)
        lags.append(float((seen - out)[:, 0].mean()) / px_a_frame)
    assert max(lags) < 0.35
    assert lags[-1] < 0.15


def test_near_and_far_faces_are_smoothed_alike() -> None:
    near, far = OneEuro(), OneEuro()
    rng, still = np.random.default_rng(5), points()
    for frame in range(20):
        seen = still + rng.normal(0, 3, still.shape).astype(np.float32)
        a = near(seen, 300.0, frame * _STEP_S)
        b = far(seen / 4, 75.0, frame * _STEP_S)
    np.testing.assert_allclose(a, b * 4, atol=1e-2)


def test_a_long_gap_or_a_step_back_in_time_starts_afresh() -> None:
    smooth = OneEuro()
    smooth(points(0), 300.0, 5.0)
    np.testing.assert_array_equal(smooth(points(1), 300.0, 9.0), points(1))
    np.testing.assert_array_equal(smooth(points(2), 300.0, 1.0), points(2))
    smooth.reset()
    np.testing.assert_array_equal(smooth(points(3), 300.0, 1.01), points(3))
