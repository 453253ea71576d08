"""The network starts as the identity, keeps its bounds and its price."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from mien.networks.refiner import (  # noqa: E402
    Refiner,
    RefinerConfig,
    compose,
    multiply_adds,
)
from mien.refiner_view import INPUT_CHANNELS  # noqa: E402

SMALL = RefinerConfig(widths=(8, 12), depths=(1, 1))


def test_an_untrained_refiner_changes_nothing() -> None:
    torch.manual_seed(1)
    inputs = torch.rand(2, INPUT_CHANNELS, 32, 32)
    log_gain = Refiner(SMALL)(inputs)
    assert torch.equal(log_gain, torch.zeros(2, 3, 8, 8))
    assert torch.equal(compose(inputs, log_gain), inputs[:, :3])


def test_what_it_says_stays_in_bounds() -> None:
    torch.manual_seed(2)
    network = Refiner(SMALL)
    torch.nn.init.normal_(network.gain.weight, std=5.0)
    log_gain = network(torch.rand(1, INPUT_CHANNELS, 64, 64))
    assert 0.1 < log_gain.abs().max() <= 2 * SMALL.reach


def test_the_tone_of_the_face_stays_what_it_was() -> None:
    torch.manual_seed(4)
    network = Refiner(SMALL)
    torch.nn.init.normal_(network.gain.weight)
    torch.nn.init.constant_(network.gain.bias, 0.5)
    inputs = torch.rand(2, INPUT_CHANNELS, 32, 32)
    inputs[:, 6] = 0.0
    inputs[0, 6, 8:24, 8:24] = 1.0
    log_gain = network(inputs)
    inner = log_gain[0, :, 2:6, 2:6]
    assert inner.abs().max() > 0.01
    torch.testing.assert_close(inner.mean(dim=(1, 2)), torch.zeros(3), atol=1e-6, rtol=0)
    # Without a patch there is nothing to be even with; still, all is finite.
    assert torch.isfinite(log_gain[1]).all()


def test_the_gain_acts_where_it_reaches() -> None:
    inputs = torch.full((1, INPUT_CHANNELS, 16, 16), 0.5)
    inputs[:, -1] = 0.0
    inputs[:, -1, :, :8] = 1.0
    picture = compose(inputs, torch.full((1, 3, 4, 4), math.log(1.2)))
    torch.testing.assert_close(picture[0, :, 12, 12], torch.full((3,), 0.5))
    torch.testing.assert_close(picture[0, :, 12, 3], torch.full((3,), 0.6))


def test_the_performer_is_seen_in_coarse_patches_only() -> None:
    """Two performers with the same mean in each patch are one to the network."""
    torch.manual_seed(3)
    network = Refiner(SMALL)
    torch.nn.init.normal_(network.gain.weight)
    inputs = torch.rand(1, INPUT_CHANNELS, 32, 32)
    other = inputs.clone()
    tiles = other[:, 3:6].unfold(2, 4, 4).unfold(3, 4, 4).mean(dim=(4, 5))
    other[:, 3:6] = tiles.repeat_interleave(4, 2).repeat_interleave(4, 3)
    one, same = network(inputs), network(other)
    assert one.abs().max() > 0.01
    torch.testing.assert_close(one, same)
    other[:, 3:6] += 0.2
    assert (network(other) - one).abs().max() > 1e-4


def test_the_network_as_shipped_is_small() -> None:
    assert multiply_adds(RefinerConfig()) < 0.05e9
    # Counted by hand for one convolution: the stem of SMALL at 16 x 16.
    stem = 16 * 16 * 9 * 4 * INPUT_CHANNELS * 8
    assert multiply_adds(SMALL, 32) > stem


@pytest.mark.parametrize(
    "settings",
    [{"widths": (8,)}, {"widths": (2, 8), "depths": (1, 1)}, {"reach": 0.0}, {"depths": (0,) * 3}],
)
def test_impossible_shapes_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        RefinerConfig(**settings)  # type: ignore[arg-type]


def test_a_view_that_cannot_be_halved_often_enough_is_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 4"):
        Refiner(SMALL)(torch.zeros(1, INPUT_CHANNELS, 30, 32))
