"""The generator's training learns, survives being killed, and agrees over processes."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from safetensors.torch import load_file  # noqa: E402

from mien.errors import InputError, MediaError, OutputError  # noqa: E402
from mien.networks.live_weights import read_live_weights  # noqa: E402
from mien.training.generator_recipe import (  # noqa: E402
    GeneratorRecipe,
    generator_recipe_from,
    read_generator_recipe,
)
from mien.training.generator_trainer import WEIGHTS, GeneratorTrainer  # noqa: E402
from mien.training.portrait_shards import write_portraits  # noqa: E402
from mien.training.training_run import CHECKPOINT, CURVE  # noqa: E402

from .drawn_portraits import NAMES, draw_shards, draw_take  # noqa: E402

TINY = GeneratorRecipe(
    steps=60,
    batch=4,
    learning_rate=1e-2,
    warm_up=4,
    ema=0.9,
    channel_base=256,
    channel_max=16,
    num_layers=4,
    save_every=5,
    score_every=20,
    grid_every=60,
    refresh_every=0,
    mixed_precision=False,
)


def _train(
    shards: Path, out: Path, recipe: GeneratorRecipe = TINY, until: int | None = None
) -> int:
    with GeneratorTrainer(shards, shards, out, recipe, NAMES, device="cpu") as trainer:
        trainer.train(until)
        return trainer.step


def test_a_run_begins_where_another_ended(tmp_path: Path) -> None:
    shards = draw_shards(tmp_path / "shards")
    _train(shards, tmp_path / "first", until=40)
    begin = tmp_path / "first" / WEIGHTS

    def run(name: str, recipe: GeneratorRecipe, begin: Path | None) -> GeneratorTrainer:
        out = tmp_path / name
        return GeneratorTrainer(shards, shards, out, recipe, NAMES, "cpu", begin)

    with run("first", TINY, None) as first:
        wanted = first.score()["held_error"]
    with run("plain", TINY, None) as plain:
        assert plain.score()["held_error"] > 1.2 * wanted
    with run("second", TINY, begin) as second:
        # Weights were rounded to half precision on the way.
        assert second.score()["held_error"] == pytest.approx(wanted, rel=0.02)
        assert second.step == 0
        second.train(2)
    with run("second", TINY, begin) as again:
        assert again.step == 2
    with pytest.raises(InputError, match="other networks"):
        run("third", replace(TINY, channel_max=12), begin)


def test_the_loss_falls_by_a_third_and_the_error_by_half(tmp_path: Path) -> None:
    shards = draw_shards(tmp_path / "shards")
    with GeneratorTrainer(shards, None, tmp_path / "run", TINY, NAMES, device="cpu") as trainer:
        first = trainer.score()
        last = trainer.train()
    assert last["held_error"] < 0.5 * first["held_error"]
    with (tmp_path / "run" / CURVE).open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert losses[-1] < 0.65 * losses[0]
    assert (tmp_path / "run" / "grid0000060.png").stat().st_size > 1000
    assert read_live_weights(tmp_path / "run" / WEIGHTS).names == ("ada", "bram", "stranger200")


def test_a_killed_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    shards = draw_shards(tmp_path / "shards")
    _train(shards, tmp_path / "whole", until=14)
    _train(shards, tmp_path / "cut", until=7)
    # Killed on the way: what was done since the last checkpoint is done again.
    state = torch.load(tmp_path / "cut" / CHECKPOINT, weights_only=True)
    with GeneratorTrainer(shards, shards, tmp_path / "cut", TINY, NAMES, device="cpu") as killed:
        killed._advance()
        killed._advance()
    assert state["step"] == 7
    _train(shards, tmp_path / "cut", until=14)
    whole, cut = (
        torch.load(tmp_path / name / CHECKPOINT, weights_only=True) for name in ("whole", "cut")
    )
    for part in ("network", "average"):
        for name, tensor in whole[part].items():
            assert torch.equal(tensor, cut[part][name]), name
    one, other = (load_file(tmp_path / name / WEIGHTS) for name in ("whole", "cut"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_shards_that_appear_meanwhile_are_taken_in(tmp_path: Path) -> None:
    shards = draw_shards(tmp_path / "shards")
    recipe = replace(TINY, refresh_every=3)
    with GeneratorTrainer(shards, None, tmp_path / "run", recipe, NAMES, device="cpu") as trainer:
        trainer.train(2)
        write_portraits(shards / "later.safetensors", draw_take(9))
        trainer.train(4)
        assert trainer.shards() == ["take0.safetensors", "take1.safetensors", "later.safetensors"]
    # The order in which they came is part of the run.
    write_portraits(shards / "aa.safetensors", draw_take(10))
    with GeneratorTrainer(shards, None, tmp_path / "run", recipe, NAMES, device="cpu") as trainer:
        assert trainer.shards() == ["take0.safetensors", "take1.safetensors", "later.safetensors"]


def test_a_run_can_be_made_longer_but_not_otherwise_changed(tmp_path: Path) -> None:
    shards = draw_shards(tmp_path / "shards")
    _train(shards, tmp_path / "run", until=3)
    assert _train(shards, tmp_path / "run", replace(TINY, steps=100), until=4) == 4
    with pytest.raises(InputError, match="trained with batch = 4"):
        _train(shards, tmp_path / "run", replace(TINY, batch=8))


def test_what_is_missing_or_taken_is_said(tmp_path: Path) -> None:
    shards = draw_shards(tmp_path / "shards")
    _train(shards, tmp_path / "run", until=2)
    with (
        GeneratorTrainer(shards, None, tmp_path / "run", TINY, NAMES, device="cpu"),
        pytest.raises(OutputError, match="another process trains"),
    ):
        _train(shards, tmp_path / "run")
    (shards / "take1.safetensors").unlink()
    with pytest.raises(MediaError, match=r"take1\.safetensors"):
        _train(shards, tmp_path / "run")


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    shards = draw_shards(tmp_path / "shards")
    _train(shards, tmp_path / "one", until=3)
    script = (
        "import sys; sys.path.insert(0, sys.argv[3])\n"
        "from pathlib import Path\n"
        "from tests.training.test_generator_trainer import TINY, NAMES\n"
        "from mien.training.generator_trainer import GeneratorTrainer\n"
        "from torch import distributed\n"
        "with GeneratorTrainer(Path(sys.argv[1]), None, Path(sys.argv[2]), TINY, NAMES,"
        " device='cpu') as trainer:\n"
        "    trainer.train(3)\n"
        # Who leaves while the other still talks to it may be ended by the library.
        "distributed.barrier()\n"
        "distributed.destroy_process_group()\n"
    )
    root = str(Path(__file__).parents[2])
    rendezvous = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(shards), str(tmp_path / "two"), root],
            env={**os.environ, **rendezvous, "WORLD_SIZE": "2", "RANK": str(rank)},
            stderr=subprocess.PIPE,
        )
        for rank in range(2)
    ]
    for worker in workers:
        _, errors = worker.communicate(timeout=600)
        assert worker.returncode == 0, errors.decode()
    one, two = (load_file(tmp_path / name / WEIGHTS) for name in ("one", "two"))
    # The loss is a mean over what each process sees of the face, so they agree closely only.
    for name in ("encoder.fc0.weight", "latents"):
        moved = (one[name].float() - two[name].float()).abs().mean()
        assert moved < 5e-3, name


def _free_port() -> int:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_a_recipe_is_read_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text("steps = 5\nlearning_rate = 1\n")
    assert read_generator_recipe(path) == GeneratorRecipe(steps=5, learning_rate=1.0)
    for text, said in (
        ("step = 5", "unknown key 'step'"),
        ("steps = 0", "at least 1"),
        ("cast_share = 2.0", "0..1"),
        ("steps = '5'", "write it like"),
        ("steps = ", "cannot be read"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=said):
            read_generator_recipe(path)
    assert generator_recipe_from(TINY.to_json()) == TINY
