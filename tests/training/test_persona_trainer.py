"""Latent and layers of one person are learnt from a film, survive being killed, and are kept."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("onnx", reason="needs the extra 'train'")

import onnxruntime  # noqa: E402

from mien.errors import InputError, MediaError  # noqa: E402
from mien.live_warp import input_grid  # noqa: E402
from mien.networks.live_onnx import export_generator  # noqa: E402
from mien.networks.live_tuning import tuned_weights  # noqa: E402
from mien.networks.live_weights import (  # noqa: E402
    LiveWeights,
    live_network,
    read_live_weights,
)
from mien.training.generator_trainer import WEIGHTS, GeneratorTrainer  # noqa: E402
from mien.training.persona_footage import read_footage, write_footage  # noqa: E402
from mien.training.persona_recipe import PersonaRecipe  # noqa: E402
from mien.training.persona_trainer import FOOTAGE, PersonaTrainer  # noqa: E402
from mien.training.training_run import CHECKPOINT, CURVE  # noqa: E402

from .drawn_footage import draw_footage  # noqa: E402
from .drawn_portraits import NAMES, draw_shards  # noqa: E402
from .test_generator_trainer import TINY as BASE  # noqa: E402

TINY = PersonaRecipe(
    steps=100,
    warm_up=4,
    rank=4,
    perceptual=0.0,
    identity=0.0,
    save_every=5,
    score_every=25,
    grid_every=100,
    mixed_precision=False,
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> LiveWeights:
    """A generator that has learnt to draw discs in three colours, none of them the film's."""
    folder = tmp_path_factory.mktemp("weights")
    shards = draw_shards(folder / "shards")
    with GeneratorTrainer(shards, None, folder / "run", BASE, NAMES, device="cpu") as trainer:
        trainer.train()
    return read_live_weights(folder / "run" / WEIGHTS)


def opened(folder: Path, weights: LiveWeights, recipe: PersonaRecipe = TINY) -> PersonaTrainer:
    folder.mkdir(exist_ok=True)
    if not (folder / FOOTAGE).is_file():
        write_footage(folder / FOOTAGE, draw_footage())
    rows = np.repeat(weights.latents.mean(axis=0)[None], 2, axis=0)
    coarse = weights.generator.config.num_ws // 2
    return PersonaTrainer(folder, recipe, weights, rows, coarse, device="cpu")


def test_held_out_moments_come_to_a_third_of_the_error_and_layers_do_more_than_the_latent(
    tmp_path: Path, weights: LiveWeights
) -> None:
    with opened(tmp_path / "run", weights) as trainer:
        before = trainer.score_before()["held_error"]
        pivot = trainer.train(TINY.pivot_steps)["held_error"]
        after = trainer.train()["held_error"]
        rows, vector = trainer.found()
    assert pivot < 0.5 * before
    assert after < 0.97 * pivot
    assert after < before / 3
    assert rows.shape == (weights.generator.config.num_ws, 256)
    assert len(np.unique(rows, axis=0)) == 2
    assert np.isfinite(vector).all()
    with (tmp_path / "run" / CURVE).open() as file:
        errors = [float(row["held_error"]) for row in csv.DictReader(file)]
    assert errors[-1] == pytest.approx(after, rel=1e-4)
    assert (tmp_path / "run" / "grid0000100.png").stat().st_size > 500


def test_a_killed_run_ends_with_the_same_bits(tmp_path: Path, weights: LiveWeights) -> None:
    # Cut in the first part, and killed in the second.
    recipe = replace(TINY, steps=24)
    with opened(tmp_path / "whole", weights, recipe) as whole:
        whole.train()
    with opened(tmp_path / "cut", weights, recipe) as cut:
        cut.train(4)
    with opened(tmp_path / "cut", weights, recipe) as cut:
        assert cut.step == 4
        cut.train(13)
        cut._advance()
        cut._advance()
    with opened(tmp_path / "cut", weights, recipe) as cut:
        assert cut.step == 13
        cut.train()
        ended = cut.found()
    for one, other in zip(whole.found(), ended, strict=True):
        np.testing.assert_array_equal(one, other)
    states = [
        torch.load(tmp_path / name / CHECKPOINT, weights_only=True)["network"]
        for name in ("whole", "cut")
    ]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_second_film_goes_on_from_what_the_first_gave(
    tmp_path: Path, weights: LiveWeights
) -> None:
    with opened(tmp_path / "one", weights, replace(TINY, steps=40)) as trainer:
        after = trainer.train()["held_error"]
        rows, vector = trainer.found()
    folder = tmp_path / "two"
    folder.mkdir()
    write_footage(folder / FOOTAGE, draw_footage())
    coarse = weights.generator.config.num_ws // 2
    recipe = replace(TINY, steps=10)
    with PersonaTrainer(folder, recipe, weights, rows[[0, -1]], coarse, vector, "cpu") as trainer:
        assert trainer.score_before()["held_error"] == pytest.approx(after, rel=1e-5)
        # The latent moves under the layers that are there, not under those that ship.
        assert trainer.train(2)["held_error"] < 1.2 * after


def test_others_change_less_when_that_is_asked_for(tmp_path: Path, weights: LiveWeights) -> None:
    """How much the layers change what a known latent draws, with the regulariser and without."""
    base = live_network(weights)
    footage = draw_footage()
    condition = torch.from_numpy(footage.conditions[:8])
    grids = torch.from_numpy(
        np.stack([input_grid(footage.conditions[n], footage.transforms[n]) for n in range(8)])
    )
    changed = {}
    for keep in (0.0, 8.0):
        recipe = replace(TINY, steps=40, pivot_share=0.1, keep=keep, keep_every=1)
        with opened(tmp_path / f"keep{keep}", weights, recipe) as trainer:
            trainer.train()
            tuned = live_network(tuned_weights(weights, trainer.found()[1]))
        with torch.no_grad():
            w = base.w(condition, base.latents[:1].expand(8, -1))
            changed[keep] = float((tuned.draw(w, grids) - base.draw(w, grids)).abs().mean())
    assert changed[8.0] < 0.5 * changed[0.0]


def test_features_of_the_identity_network_take_part(tmp_path: Path, weights: LiveWeights) -> None:
    recipe = replace(TINY, steps=4, perceptual=1.0, identity=1.0)
    with opened(tmp_path / "with", weights, recipe) as trainer:
        there = float(trainer.loss(0).detach())
        trainer.train()
        assert np.isfinite(trainer.found()[1]).all()
    with opened(tmp_path / "without", weights) as trainer:
        assert there > float(trainer.loss(0).detach()) + 0.01


def test_the_folded_file_draws_what_training_drew(tmp_path: Path, weights: LiveWeights) -> None:
    with opened(tmp_path / "run", weights, replace(TINY, steps=30)) as trainer:
        trainer.train()
        batch = trainer._deck.pick(trainer._deck.held[:1])
        with torch.no_grad():
            wanted = trainer._draw(trainer.average.rows, trainer.average.vector, batch)[0]
        rows, vector = trainer.found()
    network = live_network(weights)
    with torch.no_grad():
        ws = torch.stack(
            [network.w(batch.conditions, torch.from_numpy(row)[None])[0] for row in rows]
        )[None]
    path = tmp_path / "mira.onnx"
    export_generator(tuned_weights(weights, vector), path)
    session = onnxruntime.InferenceSession(path)
    name = next(one.name for one in session.get_inputs() if one.name != "ws")
    (drawn,) = session.run(None, {"ws": ws.numpy(), name: batch.grids.numpy()})
    # The file holds FP16 weights.
    np.testing.assert_allclose(drawn[0], wanted.clamp(0, 1).numpy(), atol=0.02)
    assert np.abs(drawn[0] - network.draw(ws, batch.grids)[0].detach().numpy()).mean() > 0.01


def test_what_cannot_be_learnt_from_is_said(tmp_path: Path, weights: LiveWeights) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    write_footage(folder / FOOTAGE, draw_footage(moments=12))
    with pytest.raises(MediaError, match="only 12 moments"):
        opened(folder, weights)
    (folder / FOOTAGE).write_bytes(b"\0" * 40)
    with pytest.raises(MediaError, match="cannot be read"):
        opened(folder, weights)
    with opened(tmp_path / "other", weights, replace(TINY, steps=8)) as trainer:
        trainer.train(2)
    with pytest.raises(InputError, match="trained with rank = 4"):
        opened(tmp_path / "other", weights, replace(TINY, steps=8, rank=2))
    for changes in ({"pivot_share": 2.0}, {"rank": 0}, {"keep": -1.0}, {"layer_rate": -1.0}):
        with pytest.raises(ValueError):
            replace(TINY, **changes)


def test_moments_come_back_from_their_file_and_neighbours_are_held_out_together(
    tmp_path: Path, weights: LiveWeights
) -> None:
    footage = draw_footage(50)
    write_footage(tmp_path / "f.safetensors", footage)
    again = read_footage(tmp_path / "f.safetensors")
    np.testing.assert_array_equal(again.pictures, footage.pictures)
    with opened(tmp_path / "run", weights) as trainer:
        assert trainer._deck.held.tolist() == [8, 9, 10, 11, 28, 29, 30, 31]
        assert not set(trainer._deck.held) & set(trainer._deck.learnt)
