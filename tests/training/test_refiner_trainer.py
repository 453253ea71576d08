"""Training learns, survives being killed, and says when it cannot go on."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from safetensors.torch import load_file  # noqa: E402

from mien.errors import InputError, MediaError, OutputError  # noqa: E402
from mien.training.recipe import RefinerRecipe  # noqa: E402
from mien.training.refiner_batches import Deck  # noqa: E402
from mien.training.refiner_loss import (  # noqa: E402
    refiner_loss,
    region_error,
    region_error_less_tone,
)
from mien.training.refiner_trainer import WEIGHTS, RefinerTrainer  # noqa: E402
from mien.training.shards import find_shards, write_shard  # noqa: E402
from mien.training.training_run import CHECKPOINT, CURVE  # noqa: E402

from .conftest import SIZE, draw_sample  # noqa: E402

TINY = RefinerRecipe(
    steps=40,
    batch=4,
    learning_rate=4e-3,
    warm_up=4,
    ema=0.9,
    widths=(8, 12),
    depths=(1, 1),
    save_every=5,
    score_every=10,
    grid_every=40,
    tone_match=1.0,
    persona_tone=0.0,
)


_open: list[RefinerTrainer] = []


@pytest.fixture(autouse=True)
def _close_all() -> Iterator[None]:
    yield
    while _open:
        _open.pop().close()


def _trainer(shards: Path, out: Path, recipe: RefinerRecipe = TINY) -> RefinerTrainer:
    """A trainer; the one before it has ended, as a process would."""
    while _open:
        _open.pop().close()
    _open.append(RefinerTrainer(shards, shards, out, recipe, device="cpu"))
    return _open[-1]


def _weights(out: Path) -> dict[str, torch.Tensor]:
    state = torch.load(out / CHECKPOINT, weights_only=True)
    return {**state["network"], **{f"ema.{k}": v for k, v in state["average"].items()}}


def test_the_error_falls_to_less_than_a_third(shards: Path, tmp_path: Path) -> None:
    """The smoke training: the persona lacks one light from above, which is easily learnt.

    Its tone is off as well and stays so: a refiner keeps the tone that it finds.
    """
    scores = _trainer(shards, tmp_path / "run").train()
    assert scores["toneless_refined"] < 0.33 * scores["toneless_mesh"]
    with (tmp_path / "run" / CURVE).open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [10, 20, 30, 40]
    assert float(rows[-1]["loss"]) < 0.7 * float(rows[0]["loss"])
    assert (tmp_path / "run" / "grid0000040.png").is_file()
    shipped = load_file(tmp_path / "run" / WEIGHTS)
    assert all(tensor.dtype == torch.float16 for tensor in shipped.values())


def test_a_run_that_was_killed_goes_on_bit_for_bit(shards: Path, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    _trainer(shards, whole).train()
    # Killed at step 17: what came after the checkpoint of step 15 is lost.
    first = _trainer(shards, cut)
    first.save = lambda: None if first.step > 15 else RefinerTrainer.save(first)  # type: ignore[method-assign]
    first.train(until=17)
    second = _trainer(shards, cut)
    assert second.step == 15
    second.train()
    one, other = _weights(whole), _weights(cut)
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name
    with (whole / CURVE).open() as a, (cut / CURVE).open() as b:
        left, right = list(csv.DictReader(a)), list(csv.DictReader(b))
    for before, after in zip(left, right, strict=True):
        before.pop("seconds"), after.pop("seconds")
        assert before == after


def test_being_asked_to_stop_saves_and_leaves(shards: Path, tmp_path: Path) -> None:
    trainer = _trainer(shards, tmp_path / "run")
    trainer.train(should_stop=lambda: trainer.step >= 3)
    assert trainer.step == 3
    assert _trainer(shards, tmp_path / "run").step == 3


def test_shards_that_come_later_wait_until_they_are_asked_for(shards: Path, tmp_path: Path) -> None:
    _trainer(shards, tmp_path / "run").train(until=5)
    write_shard(shards / "take9.safetensors", [draw_sample(99)])
    again = _trainer(shards, tmp_path / "run", replace(TINY, refresh_every=6))
    assert len(again._deck) == 6
    # After step 6; a run that leaves does not look for more.
    again.train(until=7)
    assert len(again._deck) == 7
    assert len(_trainer(shards, tmp_path / "run")._deck) == 7


def test_two_trainers_do_not_share_a_folder(shards: Path, tmp_path: Path) -> None:
    _trainer(shards, tmp_path / "run")
    with pytest.raises(OutputError, match="another process"):
        RefinerTrainer(shards, None, tmp_path / "run", TINY, device="cpu")


def test_another_recipe_does_not_go_on_with_a_run(shards: Path, tmp_path: Path) -> None:
    _trainer(shards, tmp_path / "run").train(until=2)
    with pytest.raises(InputError, match="batch = 4"):
        _trainer(shards, tmp_path / "run", replace(TINY, batch=3))


@pytest.mark.parametrize(
    "changed", [{"warm_up": 5}, {"ema": 0.8}, {"clip": 2.0}, {"weight_decay": 0.5}]
)
def test_what_shapes_the_weights_stays_as_it_was(
    shards: Path, tmp_path: Path, changed: dict[str, float]
) -> None:
    _trainer(shards, tmp_path / "run").train(until=1)
    (name,) = changed
    with pytest.raises(InputError, match=f"{name} = .*the recipe says {changed[name]}"):
        _trainer(shards, tmp_path / "run", replace(TINY, **changed))


def test_a_run_can_be_made_longer(shards: Path, tmp_path: Path) -> None:
    _trainer(shards, tmp_path / "run").train(until=2)
    longer = _trainer(shards, tmp_path / "run", replace(TINY, steps=50, grid_every=7, threads=2))
    longer.train(until=3)
    assert longer.step == 3


@pytest.mark.parametrize("name", [CHECKPOINT, WEIGHTS])
def test_a_file_that_cannot_be_written_is_named(shards: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "run" / f"{name}.part").mkdir(parents=True)
    with pytest.raises(OutputError, match=f"{name} cannot be written"):
        _trainer(shards, tmp_path / "run").train(until=1)


def test_a_broken_checkpoint_is_named(shards: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / CHECKPOINT).write_bytes(b"PK broken")
    with pytest.raises(InputError, match="cannot be read"):
        _trainer(shards, tmp_path / "run")


def test_a_checkpoint_of_another_format_is_refused(shards: Path, tmp_path: Path) -> None:
    _trainer(shards, tmp_path / "run").train(until=2)
    path = tmp_path / "run" / CHECKPOINT
    torch.save({**torch.load(path, weights_only=True), "format": 3}, path)
    with pytest.raises(InputError, match="another format"):
        _trainer(shards, tmp_path / "run")


def test_a_take_that_is_gone_is_named(shards: Path, tmp_path: Path) -> None:
    _trainer(shards, tmp_path / "run").train(until=2)
    (shards / "take1.safetensors").unlink()
    with pytest.raises(MediaError, match="take1"):
        _trainer(shards, tmp_path / "run")


def test_a_batch_depends_on_its_step_alone(shards: Path) -> None:
    deck, other = Deck(find_shards(shards)), Deck(find_shards(shards))
    assert torch.equal(deck.batch(7, 4, 1).inputs, other.batch(7, 4, 1).inputs)
    assert not torch.equal(deck.batch(7, 4, 1).inputs, deck.batch(8, 4, 1).inputs)


def test_processes_share_a_batch_between_them(shards: Path) -> None:
    deck = Deck(find_shards(shards), persona_tone=0.1)
    whole = deck.batch(7, 5, 1)
    for rank in range(2):
        part = deck.batch(7, 5, 1, (rank, 2))
        assert len(part.inputs) == 3 - rank
        for name in ("inputs", "truth", "weights", "swapped"):
            assert torch.equal(getattr(part, name), getattr(whole, name)[rank::2]), name


def test_all_pictures_of_a_sample_are_varied_alike(shards: Path) -> None:
    """Outside the face the three pictures are one; they must stay one."""
    batch = Deck(find_shards(shards)).batch(3, 16, 5)
    outside = batch.swapped == 0
    for picture in (batch.inputs[:, 3:6], batch.truth):
        apart = (picture - batch.inputs[:, :3]).abs() * outside
        # One unit in the last place: vectorised and remaining elements round apart.
        assert float(apart.max()) < 1e-6


def test_the_truth_takes_the_mean_colour_of_the_composite(shards: Path) -> None:
    paths = find_shards(shards)
    plain, matched = Deck(paths).pick([0]), Deck(paths, tone_match=1.0).pick([0])
    face = (plain.swapped > 0.99).expand_as(plain.truth)[0]
    goal = plain.inputs[0, :3][face].reshape(3, -1).mean(dim=1)
    # 1 code value of rounding.
    torch.testing.assert_close(
        matched.truth[0][face].reshape(3, -1).mean(dim=1), goal, atol=1 / 255, rtol=0
    )
    outside = (plain.swapped == 0).expand_as(plain.truth)[0]
    assert torch.equal(matched.truth[0][outside], plain.truth[0][outside])


def test_losses_are_nought_for_the_truth_and_count_code_values() -> None:
    truth = 0.1 + torch.rand(2, 3, SIZE, SIZE) * 0.5
    whole = torch.ones(2, 1, SIZE, SIZE)
    assert float(refiner_loss(truth, truth, whole)) == 0.0
    shifted = truth + 10 / 255
    torch.testing.assert_close(region_error(shifted, truth, whole), torch.full((2,), 10.0))
    tinted = truth + torch.tensor([5.0, -3.0, 9.0])[:, None, None] / 255
    assert float(region_error_less_tone(tinted, truth.clone(), whole).max()) < 1e-3
    half = shifted.clone()
    half[..., : SIZE // 2] = truth[..., : SIZE // 2]
    # Half the picture is off by 10: off by 5 everywhere once the mean is right.
    torch.testing.assert_close(region_error_less_tone(half, truth, whole), torch.full((2,), 5.0))
    # A constant shift has no gradient: what is left is the plain L1.
    assert float(refiner_loss(shifted, truth, whole)) == pytest.approx(10 / 255, rel=1e-3)
