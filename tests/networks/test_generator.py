"""What a generator does beyond the golden pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import signal

from mien.networks import PRESETS, GeneratorConfig, load_generator, random_generator
from mien.networks.stylegan3.filtered_lrelu import (
    filtered_lrelu,
    filtered_lrelu_implementation,
    register_filtered_lrelu,
)
from mien.networks.stylegan3.generator import Generator
from mien.networks.stylegan3.synthesis import modulated_conv
from tests.networks.golden import Golden

_SMALL = GeneratorConfig(
    z_dim=16, w_dim=16, img_resolution=32, channel_base=256, channel_max=16, num_layers=6
)


@pytest.fixture(scope="module")
def small() -> Generator:
    return random_generator(_SMALL, seed=1)


def test_random_weights_follow_the_seed_alone() -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    a, b, c = (random_generator(_SMALL, seed=s).synthesis.input.weight for s in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert torch.equal(torch.get_rng_state(), state)


def test_pictures_do_not_depend_on_their_batch(golden: Golden) -> None:
    generator = load_generator(golden.weights)
    ws = torch.from_numpy(golden.stacked(3))
    alone = torch.cat([generator.synthesis(w[None]) for w in ws])
    assert (generator.synthesis(ws) - alone).abs().max() < 5e-6


def test_zero_truncation_gives_the_mean_latent(small: Generator) -> None:
    ws = small.mapping(torch.randn(3, 16), truncation_psi=0.0)
    assert torch.equal(ws, small.mapping.w_avg.expand(3, small.num_ws, 16))


def test_layers_beyond_the_cutoff_are_left_alone(small: Generator) -> None:
    z = torch.randn(2, 16)
    full, cut = small.mapping(z), small.mapping(z, truncation_psi=0.3, truncation_cutoff=3)
    assert torch.equal(full[:, 3:], cut[:, 3:])
    assert not torch.equal(full[:, :3], cut[:, :3])


def test_whole_turns_change_nothing(small: Generator) -> None:
    ws = small.mapping(torch.randn(1, 16))
    expected = small.synthesis(ws)
    assert torch.equal(small.synthesis(ws, torch.eye(3)), expected)
    half = torch.diag(torch.tensor([-1.0, -1.0, 1.0]))
    twice = half @ half
    assert torch.allclose(small.synthesis(ws, twice), expected, atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 2), (3,), (1, 1, 3, 3), (3, 4), (1, 5, 5, 2)])
def test_transforms_of_another_shape_are_refused(small: Generator, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="transform"):
        small.synthesis(small.mapping(torch.randn(1, 16)), torch.zeros(shape))


def test_latents_of_another_shape_are_refused(small: Generator) -> None:
    with pytest.raises(ValueError, match="expected z"):
        small.mapping(torch.zeros(1, 17))
    with pytest.raises(ValueError, match="expected ws"):
        small.synthesis(torch.zeros(1, 16))


def test_another_filtered_lrelu_can_be_plugged_in(small: Generator) -> None:
    calls = []

    def counting(*arguments: object) -> torch.Tensor:
        calls.append(arguments)
        return filtered_lrelu(*arguments)  # type: ignore[arg-type]

    register_filtered_lrelu("counting", counting)
    ws = small.mapping(torch.randn(1, 16))
    expected = small.synthesis(ws)
    small.synthesis.set_filtered_lrelu("counting")
    try:
        assert torch.equal(small.synthesis(ws), expected)
    finally:
        small.synthesis.set_filtered_lrelu(filtered_lrelu)
    assert len(calls) == _SMALL.num_layers + 1
    with pytest.raises(ValueError, match="no filtered_lrelu named 'none'"):
        filtered_lrelu_implementation("none")


def test_averages_follow_in_training_only(small: Generator) -> None:
    generator = random_generator(_SMALL, seed=2)
    ws = generator.mapping(torch.randn(4, 16), update_emas=True)
    assert generator.mapping.w_avg.abs().max() > 0
    before = generator.synthesis.layers[1].magnitude_ema.clone()
    generator.synthesis(ws)
    assert torch.equal(generator.synthesis.layers[1].magnitude_ema, before)
    generator.synthesis(ws, update_emas=True)
    assert not torch.equal(generator.synthesis.layers[1].magnitude_ema, before)


def test_gradients_reach_every_parameter() -> None:
    generator = random_generator(_SMALL, seed=2).requires_grad_(True)
    generator(torch.randn(2, 16)).square().mean().backward()
    for name, parameter in generator.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_scale_form_equals_modulated_weights() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(2, 5, 7, 7).double(), torch.randn(4, 5, 3, 3).double()
    style = torch.randn(2, 5).double()
    found = modulated_conv(x, weight, style, demodulate=True, input_gain=torch.tensor(0.5))
    for n in range(2):
        modulated = weight * style[n, None, :, None, None]
        modulated = modulated / modulated.square().sum(dim=(1, 2, 3), keepdim=True).sqrt()
        expected = torch.nn.functional.conv2d(x[n : n + 1] * 0.5, modulated, padding=2)
        torch.testing.assert_close(found[n : n + 1], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("radial", [False, True])
@pytest.mark.parametrize("padding", [(3, 4, 5, 6), (-3, -2, 1, -1), (30, 2, 0, 14)])
def test_filtered_lrelu_by_hand(radial: bool, padding: tuple[int, int, int, int]) -> None:
    rng = np.random.default_rng(0)
    x, bias = rng.standard_normal((9, 8)), 0.3
    up, down = rng.standard_normal(12), rng.standard_normal((4, 4) if radial else 4)
    left, right, top, bottom = padding
    raised = np.zeros((27, 24))
    raised[::3, ::3] = x + bias
    padded = np.pad(raised, ((max(top, 0), max(bottom, 0)), (max(left, 0), max(right, 0))))
    rows = slice(max(-top, 0), padded.shape[0] - max(-bottom, 0))
    padded = padded[rows, max(-left, 0) : padded.shape[1] - max(-right, 0)]
    y = signal.convolve2d(padded, np.outer(up, up) * 9, mode="valid")
    y = np.clip(np.where(y > 0, y, 0.2 * y) * 1.5, -4.0, 4.0)
    kernel = down if radial else np.outer(down, down)
    expected = signal.convolve2d(y, kernel, mode="valid")[::2, ::2]
    found = filtered_lrelu(
        torch.tensor(x)[None, None],
        torch.tensor(up),
        torch.tensor(down),
        torch.tensor([bias], dtype=torch.float64),
        3,
        2,
        padding,
        1.5,
        0.2,
        4.0,
    )
    np.testing.assert_allclose(found[0, 0].numpy(), expected, atol=1e-9)


def test_live_preset_draws_at_its_resolution() -> None:
    generator = random_generator(PRESETS["live"])
    picture = generator(torch.randn(1, generator.z_dim))
    assert picture.shape == (1, 3, 256, 256)
    assert torch.isfinite(picture).all()
    assert sum(p.numel() for p in generator.parameters()) < 5_000_000
