"""The layer table and the filters follow from the configuration alone."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from mien.networks import PRESETS, GeneratorConfig, read_checkpoint
from mien.networks.stylegan3.filters import bessel_j1, design_lowpass, kaiser_beta
from mien.networks.stylegan3.layout import designed_constants, tensor_shapes
from mien.networks.stylegan3.schedule import design_schedule
from tests.networks.golden import Golden


def test_table_equals_the_golden_one(golden: Golden) -> None:
    config = GeneratorConfig.from_init_kwargs(golden.description["init_kwargs"])
    schedule = design_schedule(config)
    expected_input = golden.description["input"]
    assert schedule.input.channels == expected_input["channels"]
    assert [schedule.input.size] * 2 == expected_input["size"]
    assert schedule.input.sampling_rate == expected_input["sampling_rate"]
    assert schedule.input.bandwidth == expected_input["bandwidth"]
    assert config.num_ws == golden.description["num_ws"]
    for spec, row in zip(schedule.layers, golden.description["layers"], strict=True):
        found = dataclasses.asdict(spec)
        assert list(found.pop("padding")) == row["padding_x0x1y0y1"]
        for key, value in found.items():
            expected = row[key][0] if key in ("in_size", "out_size") else row[key]
            # Powers may differ in the last bit between NumPy builds.
            if isinstance(value, float):
                expected = pytest.approx(expected, rel=1e-13)
            assert value == expected, (spec.name, key)


def test_designed_filters_equal_the_stored_ones(golden: Golden) -> None:
    checkpoint = read_checkpoint(golden.weights)
    constants = designed_constants(checkpoint.config)
    stored = {k for k in checkpoint.tensors if k.endswith("_filter")}
    assert stored == {k for k in constants if k.endswith("_filter")}
    for name in stored:
        # Both are float64 designs rounded once: one unit in the last place.
        np.testing.assert_allclose(constants[name], checkpoint.tensors[name], rtol=2e-7, atol=1e-9)


def test_layout_names_every_tensor_of_the_files(golden: Golden) -> None:
    checkpoint = read_checkpoint(golden.weights)
    assert tensor_shapes(checkpoint.config) == {k: v.shape for k, v in checkpoint.tensors.items()}


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_ends_at_its_resolution(name: str) -> None:
    config = PRESETS[name]
    layers = design_schedule(config).layers
    assert layers[-1].is_torgb
    assert layers[-1].out_size == layers[-2].out_size == config.img_resolution
    assert layers[-1].out_channels == 3
    for before, after in itertools.pairwise(layers):
        assert before.out_size == after.in_size
        assert before.out_channels == after.in_channels
        assert before.out_sampling_rate <= after.out_sampling_rate


def test_published_sizes_have_their_known_parameter_count() -> None:
    shapes = tensor_shapes(PRESETS["t256"])
    buffers = ("_filter", ".freqs", ".phases", ".transform", ".w_avg", ".magnitude_ema")
    count = sum(int(np.prod(s)) for k, s in shapes.items() if not k.endswith(buffers))
    assert count == pytest.approx(28.5e6, rel=0.005)


def test_lowpass_passes_the_mean_and_stops_what_would_alias() -> None:
    taps = design_lowpass(12, 8.0, 8.0, 64.0)
    assert taps is not None
    assert taps.sum() == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(taps, taps[::-1], atol=1e-7)
    frequency = np.arange(12) - 5.5
    response = abs(np.sum(taps * np.exp(-2j * np.pi * 20.0 / 64.0 * frequency)))
    assert response < 0.02


def test_radial_filter_looks_the_same_in_every_direction() -> None:
    kernel = design_lowpass(12, 8.0, 8.0, 64.0, radial=True)
    assert kernel is not None
    np.testing.assert_allclose(kernel, kernel.T, atol=1e-7)
    time = np.arange(12) - 5.5

    def response(fx: float, fy: float) -> complex:
        wave = np.exp(-2j * np.pi * (fy * time[:, None] + fx * time[None, :]) / 64.0)
        return complex(np.sum(kernel * wave))

    diagonal = 8.0 / np.sqrt(2.0)
    # The square window is not radial, so directions agree to a few percent, not exactly.
    assert abs(response(8.0, 0.0) - response(diagonal, diagonal)) < 0.05


def test_single_tap_means_no_filter() -> None:
    assert design_lowpass(1, 8.0, 8.0, 64.0) is None
    with pytest.raises(ValueError, match="at least one tap"):
        design_lowpass(0, 8.0, 8.0, 64.0)


def test_odd_radial_filter_is_finite_in_its_middle() -> None:
    kernel = design_lowpass(5, 8.0, 8.0, 64.0, radial=True)
    assert kernel is not None
    assert np.isfinite(kernel).all()
    assert kernel[2, 2] == kernel.max()


def test_bessel_function_at_known_points() -> None:
    # Abramowitz and Stegun, table 9.1, and the first zero.
    values = bessel_j1(np.array([0.0, 1.0, 3.8317059702075125, 10.0]))
    np.testing.assert_allclose(
        values, [0.0, 0.4400505857449335, 0.0, 0.0434727461688614], atol=1e-14
    )


def test_kaiser_window_narrows_with_the_transition() -> None:
    assert kaiser_beta(12, 0.01) == 0.0
    assert 0.0 < kaiser_beta(12, 0.3) < kaiser_beta(12, 0.9)
