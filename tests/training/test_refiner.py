"""The network starts as the identity, keeps its bounds and its price."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from mien.networks.refiner import (  # noqa: E402
    INPUT_CHANNELS,
    Mending,
    Refiner,
    RefinerConfig,
    compose,
    multiply_adds,
)

SMALL = RefinerConfig(widths=(8, 12), depths=(1, 1), gain_level=1)
MENDING = RefinerConfig(widths=(8, 12), depths=(1, 1), gain_level=1, mend=True)


@pytest.mark.parametrize("config", [SMALL, MENDING])
def test_an_untrained_refiner_changes_nothing(config: RefinerConfig) -> None:
    torch.manual_seed(1)
    inputs = torch.rand(2, INPUT_CHANNELS, 32, 32)
    mending = Refiner(config)(inputs)
    assert (mending.residual is not None) == config.mend
    assert torch.equal(mending.gain, torch.zeros_like(mending.gain))
    assert torch.equal(compose(inputs, mending), inputs[:, :3])


def test_what_it_says_stays_in_bounds() -> None:
    torch.manual_seed(2)
    network = Refiner(MENDING)
    torch.nn.init.normal_(network.gain.weight, std=5.0)
    torch.nn.init.normal_(network.residual.weight, std=5.0)
    mending = network(torch.rand(1, INPUT_CHANNELS, 64, 64))
    assert mending.gain.shape == (1, 3, 8, 8)
    assert 0.1 < mending.gain.abs().max() <= MENDING.gain_reach
    assert mending.residual is not None
    assert mending.residual.shape == (1, 3, 64, 64)
    assert 0.1 < mending.residual.abs().max() <= MENDING.residual_reach


def test_gain_and_residual_act_where_they_reach() -> None:
    inputs = torch.full((1, INPUT_CHANNELS, 16, 16), 0.5)
    inputs[:, -2:] = 0.0
    inputs[:, -2, :, :8] = 1.0
    inputs[:, -1, :8] = 1.0
    gain = torch.full((1, 3, 2, 2), math.log(1.2))
    picture = compose(inputs, Mending(gain, torch.full((1, 3, 16, 16), 0.1)))
    torch.testing.assert_close(picture[0, :, 12, 12], torch.full((3,), 0.5))
    torch.testing.assert_close(picture[0, :, 12, 3], torch.full((3,), 0.6))
    torch.testing.assert_close(picture[0, :, 3, 12], torch.full((3,), 0.6))
    torch.testing.assert_close(picture[0, :, 3, 3], torch.full((3,), 0.7))


def test_the_performer_is_seen_in_coarse_patches_only() -> None:
    """Two performers with the same mean in each patch are one to the network."""
    torch.manual_seed(3)
    network = Refiner(SMALL)
    torch.nn.init.normal_(network.gain.weight)
    inputs = torch.rand(1, INPUT_CHANNELS, 32, 32)
    other = inputs.clone()
    tiles = other[:, 3:6].unfold(2, 8, 8).unfold(3, 8, 8).mean(dim=(4, 5))
    other[:, 3:6] = tiles.repeat_interleave(8, 2).repeat_interleave(8, 3)
    one, same = network(inputs).gain, network(other).gain
    assert one.abs().max() > 0.01
    torch.testing.assert_close(one, same)
    other[:, 3:6] += 0.2
    assert (network(other).gain - one).abs().max() > 1e-4


def test_the_network_as_shipped_costs_less_than_a_billion_multiply_adds() -> None:
    assert multiply_adds(RefinerConfig()) < 0.15e9
    assert multiply_adds(RefinerConfig(mend=True)) < 1.0e9
    # Counted by hand for one convolution: the stem of SMALL at 16 x 16.
    stem = 16 * 16 * 9 * 4 * INPUT_CHANNELS * 8
    assert multiply_adds(SMALL, 32) > stem


@pytest.mark.parametrize(
    "settings",
    [
        {"widths": (8,)},
        {"widths": (2, 8), "depths": (1, 1)},
        {"widths": (8, 8), "depths": (1, 1)},
        {"gain_level": 4},
        {"gain_reach": 0.0},
        {"residual_reach": 1.5},
        {"depths": (0,) * 4},
    ],
)
def test_impossible_shapes_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        RefinerConfig(**settings)  # type: ignore[arg-type]


def test_a_crop_that_cannot_be_halved_often_enough_is_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 8"):
        Refiner(SMALL)(torch.zeros(1, INPUT_CHANNELS, 30, 32))
