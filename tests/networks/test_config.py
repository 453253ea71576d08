"""Settings from files are checked before they build anything."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.errors import ModelError
from mien.networks import PRESETS, GeneratorConfig
from mien.networks.stylegan3.layout import designed_constants, tensor_shapes

_R512: dict[str, Any] = {
    "z_dim": 512,
    "c_dim": 0,
    "w_dim": 512,
    "img_resolution": 512,
    "img_channels": 3,
    "mapping_kwargs": {"num_layers": 2},
    "channel_base": 65536,
    "channel_max": 1024,
    "conv_kernel": 1,
    "use_radial_filters": True,
    "magnitude_ema_beta": 0.9988915792636801,
}


def test_settings_of_files_in_the_wild_are_understood() -> None:
    config = GeneratorConfig.from_init_kwargs(_R512)
    assert config.channel_max == 1024
    assert config.mapping_layers == 2
    assert config.use_radial_filters


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_settings_survive_json(name: str) -> None:
    config = PRESETS[name]
    assert (
        GeneratorConfig.from_init_kwargs(json.loads(json.dumps(config.to_init_kwargs()))) == config
    )


def test_whole_floats_count_as_integers() -> None:
    assert (
        GeneratorConfig.from_init_kwargs({**_R512, "img_resolution": 512.0}).img_resolution == 512
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"img_resolution": 500}, "power of two"),
        ({"img_resolution": 1 << 20}, "img_resolution must lie in"),
        ({"channel_max": 10**9}, "channel_max must lie in"),
        ({"z_dim": "512"}, "z_dim should be a number"),
        ({"z_dim": True}, "z_dim should be a number"),
        ({"w_dim": 512.5}, "whole number"),
        ({"w_dim": float("nan")}, "whole number"),
        ({"use_radial_filters": 1}, "true or false"),
        ({"conv_kernel": 2}, "odd"),
        ({"num_critical": 14}, "num_critical"),
        ({"first_cutoff": -1.0}, "positive"),
        ({"last_stopband_rel": float("inf")}, "positive"),
        ({"first_cutoff": 1e-300}, "first_cutoff"),
        ({"first_stopband": 1.0}, "first_stopband"),
        ({"first_cutoff": 300.0, "first_stopband": 400.0}, "first_cutoff"),
        ({"last_stopband_rel": 1e300}, "last_stopband_rel"),
        ({"mapping_kwargs": 3}, "should be a table"),
        ({"style_mixing": 0.5}, "unknown settings: style_mixing"),
        ({"mapping_kwargs": {"embed_features": 9}}, "unknown settings: embed_features"),
        ({"conv_clamp": -1.0}, "conv_clamp"),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        GeneratorConfig.from_init_kwargs({**_R512, **changes})


_positive = st.floats(0.1, 300.0) | st.integers(1, 64)
_RARE = (
    "first_cutoff",
    "first_stopband",
    "last_stopband_rel",
    "num_layers",
    "num_critical",
    "filter_size",
    "lrelu_upsampling",
    "margin_size",
    "x",
)
_values = st.one_of(
    _positive,
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers()),
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*_R512, *_RARE]), _values))
def test_any_settings_give_a_configuration_or_a_clear_error(changes: dict[str, Any]) -> None:
    with contextlib.suppress(ModelError):
        config = GeneratorConfig.from_init_kwargs({**_R512, **changes})
        assert config.num_ws == config.num_layers + 2
        constants = designed_constants(config)
        assert all(np.isfinite(values).all() for values in constants.values())
        assert set(constants) <= set(tensor_shapes(config))
