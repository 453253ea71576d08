"""The network starts as the identity, keeps its bounds and its price."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from mien.networks.refiner import (  # noqa: E402
    INPUT_CHANNELS,
    Refiner,
    RefinerConfig,
    compose,
    multiply_adds,
)

SMALL = RefinerConfig(widths=(8, 12), depths=(1, 1))


def test_an_untrained_refiner_changes_next_to_nothing() -> None:
    torch.manual_seed(1)
    inputs = torch.rand(2, INPUT_CHANNELS, 32, 32)
    inputs[:, 3:6] = inputs[:, :3]
    outputs = Refiner(SMALL, 32)(inputs)
    assert torch.equal(outputs[:, :3], torch.zeros(2, 3, 32, 32))
    torch.testing.assert_close(compose(inputs, outputs), inputs[:, :3])


def test_outputs_stay_in_bounds_and_the_border_stays_the_frame() -> None:
    torch.manual_seed(2)
    network = Refiner(SMALL, 32)
    torch.nn.init.normal_(network.head.weight, std=5.0)
    outputs = network(torch.rand(1, INPUT_CHANNELS, 32, 32))
    assert outputs[:, :3].abs().max() <= SMALL.reach
    assert outputs[:, :3].abs().max() > 0.1
    assert ((outputs[:, 3] >= 0) & (outputs[:, 3] <= 1)).all()
    for edge in (outputs[..., 0, :], outputs[..., -1, :], outputs[..., 0], outputs[..., -1]):
        assert torch.equal(edge[:, :3], torch.zeros_like(edge[:, :3]))
        assert torch.equal(edge[:, 3:], torch.ones_like(edge[:, 3:]))


def test_a_closed_gate_shows_the_performer() -> None:
    inputs = torch.rand(1, INPUT_CHANNELS, 8, 8)
    outputs = torch.zeros(1, 4, 8, 8)
    torch.testing.assert_close(compose(inputs, outputs), inputs[:, 3:6])


def test_the_network_as_shipped_costs_less_than_a_billion_multiply_adds() -> None:
    assert multiply_adds(RefinerConfig()) < 1.0e9
    # Counted by hand for one convolution: the stem of SMALL at 16 x 16.
    stem = 16 * 16 * 9 * 4 * INPUT_CHANNELS * 8
    assert multiply_adds(SMALL, 32) > stem


@pytest.mark.parametrize(
    "settings",
    [{"widths": (8,)}, {"widths": (2, 8), "depths": (1, 1)}, {"reach": 0.0}, {"depths": (0,) * 4}],
)
def test_impossible_shapes_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        RefinerConfig(**settings)  # type: ignore[arg-type]


def test_a_crop_that_cannot_be_halved_often_enough_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 4"):
        Refiner(SMALL, 30)
