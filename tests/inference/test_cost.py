"""Work counted from the layer table."""

from __future__ import annotations

import pytest

from mien.inference import synthesis_cost
from mien.networks import PRESETS


@pytest.mark.parametrize(
    ("preset", "convolution", "filters"),
    # Counted independently, with the mapping and the styles in it: within half a percent.
    [("t256", 231.8, 6.8), ("t512", 272.5, 12.6), ("t1024", 285.6, 22.3), ("r256", 100.8, 29.8)],
)
def test_the_published_sizes_cost_what_was_counted_before(
    preset: str, convolution: float, filters: float
) -> None:
    cost = synthesis_cost(PRESETS[preset])
    assert cost.convolution_gmac == pytest.approx(convolution, rel=0.015)
    assert cost.filter_gmac == pytest.approx(filters, rel=0.01)
    assert cost.gmac == cost.convolution_gmac + cost.filter_gmac


def test_narrow_channels_are_the_main_lever() -> None:
    assert synthesis_cost(PRESETS["live"]).gmac < synthesis_cost(PRESETS["t256"]).gmac / 10
