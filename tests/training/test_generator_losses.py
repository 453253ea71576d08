"""Losses that can be added to the generator's: features, and a discriminator with R1."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("onnx", reason="needs the extra 'train'")

from torch import nn  # noqa: E402

from mien.errors import InputError  # noqa: E402
from mien.networks.discriminator import Discriminator, gradient_penalty  # noqa: E402
from mien.networks.live_weights import read_live_weights  # noqa: E402
from mien.training.critic import Critic  # noqa: E402
from mien.training.generator_trainer import WEIGHTS, GeneratorTrainer  # noqa: E402
from mien.training.training_run import CHECKPOINT  # noqa: E402

from .drawn_portraits import NAMES, draw_shards  # noqa: E402
from .test_generator_trainer import TINY  # noqa: E402

BOTH = replace(TINY, perceptual=0.1, adversarial=0.05, r1_every=2)


class Linear(nn.Module):
    """A discriminator whose gradient is the same everywhere."""

    def __init__(self, slope: torch.Tensor) -> None:
        super().__init__()
        self.slope = nn.Parameter(slope)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return (pictures * self.slope).sum(dim=(1, 2, 3))


def test_the_penalty_of_a_plane_is_half_its_squared_slope() -> None:
    plane = Linear(torch.full((4, 2, 2), 0.5))
    penalty = gradient_penalty(plane, torch.rand(3, 4, 2, 2))
    assert float(penalty.detach()) == pytest.approx(16 * 0.25 / 2)
    penalty.backward()
    assert torch.allclose(plane.slope.grad, plane.slope)  # d(s^2 / 2) / ds


def test_a_discriminator_learns_to_tell_and_its_judgement_pulls() -> None:
    torch.manual_seed(0)
    critic = Critic(16, torch.device("cpu"), rate=3e-3, penalty=0.1, penalty_every=4)
    truth = torch.rand(8, 4, 16, 16)
    truth[:, 3] = 1.0
    drawn = truth * torch.tensor([0.6, 1.0, 1.0, 1.0])[:, None, None]
    first = float(critic.push(drawn, truth).detach())
    for step in range(60):
        critic.push(drawn, truth)
        critic.slopes(step)
        critic.move()
    with torch.no_grad():
        assert critic.network(truth).min() > critic.network(drawn).max()
    pulled = drawn.clone().requires_grad_()
    loss = critic.push(pulled, truth)
    assert float(loss.detach()) > first
    (slope,) = torch.autograd.grad(loss, pulled)
    # More blue is what the drawn ones lack.
    assert slope[:, 0].mean() < 0


@pytest.mark.parametrize("size", [8, 32, 128])
def test_any_size_gives_one_score_a_picture(size: int) -> None:
    assert Discriminator(size, channels=6, most=12)(torch.rand(3, 4, size, size)).shape == (3,)


def test_a_killed_run_with_all_losses_ends_with_the_same_bits(tmp_path: Path) -> None:
    shards = draw_shards(tmp_path / "shards")

    def train(name: str, until: int) -> dict[str, object]:
        with GeneratorTrainer(shards, None, tmp_path / name, BOTH, NAMES, device="cpu") as trainer:
            trainer.train(until)
        state: dict[str, object] = torch.load(tmp_path / name / CHECKPOINT, weights_only=True)
        return state

    whole = train("whole", 8)
    train("cut", 3)
    cut = train("cut", 8)
    for one, other in (
        (whole["network"], cut["network"]),
        (whole["average"], cut["average"]),
        (whole["further"]["critic"], cut["further"]["critic"]),
    ):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_both_losses_take_part_and_neither_moves_the_first_weights(tmp_path: Path) -> None:
    shards = draw_shards(tmp_path / "shards")
    losses, first = [], []
    for name, recipe in (
        ("off", TINY),
        ("features", replace(TINY, perceptual=0.1)),
        ("critic", replace(TINY, adversarial=0.05)),
    ):
        with GeneratorTrainer(
            shards, None, tmp_path / name, recipe, NAMES, device="cpu"
        ) as trainer:
            first.append(trainer.network.state_dict()["generator.synthesis.input.weight"].clone())
            losses.append(float(trainer.loss(0).detach()))
            assert bool(trainer.further_state()) == (name == "critic")
    assert torch.equal(first[0], first[1])
    assert torch.equal(first[0], first[2])
    assert losses[1] > losses[0] + 1e-3
    assert losses[2] > losses[0] + 1e-3


def test_the_plain_decoder_learns_by_the_same_command_and_says_what_it_is(tmp_path: Path) -> None:
    shards = draw_shards(tmp_path / "shards")
    recipe = replace(TINY, decoder="conv", steps=40)
    with GeneratorTrainer(shards, None, tmp_path / "run", recipe, NAMES, device="cpu") as trainer:
        first = trainer.score()["held_error"]
        assert trainer.train()["held_error"] < 0.7 * first
    assert read_live_weights(tmp_path / "run" / WEIGHTS).decoder == "conv"
    with pytest.raises(InputError, match="decoder = conv"):
        GeneratorTrainer(
            shards, None, tmp_path / "run", replace(recipe, decoder="stylegan3"), NAMES, "cpu"
        )
    with pytest.raises(ValueError, match="decoder is one of"):
        replace(TINY, decoder="mlp")


def test_a_run_from_before_these_losses_goes_on_and_what_differs_is_said(tmp_path: Path) -> None:
    shards = draw_shards(tmp_path / "shards")
    run = tmp_path / "run"
    with GeneratorTrainer(shards, None, run, TINY, NAMES, device="cpu") as trainer:
        trainer.train(2)
    state = torch.load(run / CHECKPOINT, weights_only=True)
    del state["further"]
    for name in ("perceptual", "adversarial", "adversarial_rate", "r1", "r1_every", "decoder"):
        del state["recipe"][name]
    torch.save(state, run / CHECKPOINT)
    with GeneratorTrainer(shards, None, run, TINY, NAMES, device="cpu") as trainer:
        assert trainer.step == 2
    with pytest.raises(InputError, match=r"adversarial = 0\.0"):
        GeneratorTrainer(shards, None, run, replace(TINY, adversarial=0.1), NAMES, device="cpu")
    for changes in ({"perceptual": -1.0}, {"adversarial_rate": 0.0}, {"r1_every": 0}):
        with pytest.raises(ValueError):
            replace(TINY, **changes)
