"""A persona's change of the generator: what it holds, and that it is folded in as meant."""

from __future__ import annotations

import numpy as np
import pytest

from mien.errors import ModelError
from mien.networks.checkpoint import Checkpoint
from mien.networks.live_tuning import (
    first_tuning,
    rank_of,
    tuned_changes,
    tuned_tensors,
    tuned_weights,
    tuning_size,
)
from mien.networks.live_weights import LiveWeights
from mien.networks.stylegan3.config import GeneratorConfig
from mien.networks.stylegan3.layout import tensor_shapes

CONFIG = GeneratorConfig.from_init_kwargs(
    {
        **GeneratorConfig().to_init_kwargs(),
        "img_resolution": 32,
        "img_channels": 4,
        "z_dim": 8,
        "w_dim": 8,
        "channel_base": 256,
        "channel_max": 12,
        "num_layers": 4,
        "num_critical": 1,
    }
)


def weights() -> LiveWeights:
    random = np.random.default_rng(1)
    tensors = {
        name: np.asarray(random.normal(size=shape), np.float32)
        for name, shape in tensor_shapes(CONFIG).items()
    }
    return LiveWeights(
        names=("ada",),
        latents=np.zeros((1, 8), np.float32),
        encoder={},
        generator=Checkpoint(init_kwargs=CONFIG.to_init_kwargs(), tensors=tensors),
        step=0,
    )


def test_a_first_tuning_changes_nothing_and_can_be_learnt_from() -> None:
    vector = first_tuning(CONFIG, 3, seed=2)
    before = weights()
    after = tuned_weights(before, vector)
    for name, tensor in before.generator.tensors.items():
        np.testing.assert_array_equal(tensor, after.generator.tensors[name])
    # Of a product one factor must not be nought, or neither ever learns.
    assert (vector != 0).sum() == sum(
        change.rank * int(np.prod(change.shape[1:])) for change in tuned_changes(CONFIG, 3)
    )


def test_a_change_has_the_rank_that_it_says_and_spares_the_input() -> None:
    vector = np.random.default_rng(3).normal(size=tuning_size(CONFIG, 2)).astype(np.float32)
    before, after = weights(), tuned_weights(weights(), vector)
    changed = set()
    for name, tensor in before.generator.tensors.items():
        delta = after.generator.tensors[name] - tensor
        if delta.any():
            changed.add(name)
        if name.endswith("weight") and delta.any():
            assert np.linalg.matrix_rank(delta.reshape(len(delta), -1), tol=1e-3) <= 2
    assert changed == {change.name for change in tuned_changes(CONFIG, 2)}
    assert not any("input" in name or "mapping" in name for name in changed)


def test_a_vector_tells_its_rank_or_is_refused() -> None:
    for rank in (1, 4, 8):
        assert rank_of(CONFIG, tuning_size(CONFIG, rank)) == rank
    for size in (1, tuning_size(CONFIG, 4) + 1, 1 << 20):
        with pytest.raises(ModelError, match="change no generator"):
            rank_of(CONFIG, size)


def test_parts_of_the_vector_meet_without_gap_or_overlap() -> None:
    end = 0
    for change in tuned_changes(CONFIG, 5):
        assert change.start == end
        end += change.size
    assert end == tuning_size(CONFIG, 5)


def test_torch_and_numpy_fold_alike() -> None:
    torch = pytest.importorskip("torch", reason="needs the extra 'train'")
    vector = np.random.default_rng(4).normal(size=tuning_size(CONFIG, 3)).astype(np.float32)
    tensors = weights().generator.tensors
    there = {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}
    mine = dict(tuned_tensors(CONFIG, tensors, vector, 3))
    theirs = dict(tuned_tensors(CONFIG, there, torch.from_numpy(vector), 3))
    assert mine.keys() == theirs.keys()
    for name, tensor in mine.items():
        # Sums of three products; the order may differ.
        np.testing.assert_allclose(tensor, theirs[name].numpy(), atol=1e-5)
