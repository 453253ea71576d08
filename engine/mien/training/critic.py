"""The adversarial part of a training: a discriminator that learns beside the generator."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mien.errors import InputError
from mien.networks.discriminator import Discriminator, gradient_penalty

_GREY = 0.4


class Critic:
    """A discriminator with its optimiser; non-saturating loss (Goodfellow et al. 2014).

    Pictures are looked at over grey: what lies off the matte is nobody's fault.

    Args:
        size: side of the pictures.
        device: where to train.
        rate: learning rate of the discriminator.
        penalty: weight of R1.
        penalty_every: R1 is asked for in every so many steps, and counts as often
            (Karras et al. 2020, *Analyzing and Improving the Image Quality of StyleGAN*,
            appendix B: lazy regularisation).
    """

    def __init__(
        self, size: int, device: torch.device, *, rate: float, penalty: float, penalty_every: int
    ) -> None:
        self.network = Discriminator(size).to(device)
        # Memories as short as lazy regularisation asks for (same place).
        share = penalty_every / (penalty_every + 1)
        self._optimiser = torch.optim.Adam(
            self.network.parameters(), lr=rate * share, betas=(0.0, 0.99**share)
        )
        self._penalty, self._penalty_every = penalty, penalty_every
        self._pair: tuple[Tensor, Tensor] | None = None

    def push(self, drawn: Tensor, truth: Tensor) -> Tensor:
        """() what the generator should make small; both are kept for :meth:`learn`.

        Args:
            drawn, truth: (N, 4, S, S), BGR and matte.
        """
        mine = _over_grey(drawn)
        self._pair = mine.detach(), _over_grey(truth)
        return F.softplus(-self.network(mine)).mean()

    def loss(self, step: int) -> Tensor:
        """() what the discriminator should make small, of the pictures pushed last."""
        if self._pair is None:
            raise ValueError("nothing was pushed yet")
        drawn, truth = self._pair
        loss = F.softplus(self.network(drawn)).mean() + F.softplus(-self.network(truth)).mean()
        if self._penalty and step % self._penalty_every == 0:
            slopes = gradient_penalty(self.network, truth)
            loss = loss + self._penalty * self._penalty_every * slopes
        return loss

    def slopes(self, step: int) -> list[Tensor]:
        """Gradients of :meth:`loss`, for processes to agree about before :meth:`move`."""
        # Those that the generator's own step left here are not the discriminator's.
        self._optimiser.zero_grad(set_to_none=True)
        self.loss(step).backward()  # type: ignore[no-untyped-call]
        return [p.grad for p in self.network.parameters() if p.grad is not None]

    def move(self) -> None:
        """Takes a step along the gradients."""
        self._optimiser.step()

    def state(self) -> dict[str, Any]:
        """All that going on needs."""
        return {
            "critic": self.network.state_dict(),
            "critic_optimiser": self._optimiser.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from a state.

        Raises:
            InputError: it holds none, or that of another network.
        """
        try:
            self.network.load_state_dict(state["critic"])
            self._optimiser.load_state_dict(state["critic_optimiser"])
        except (KeyError, RuntimeError, ValueError) as error:
            raise InputError(
                "the checkpoint holds no such discriminator", "choose another folder"
            ) from error


def _over_grey(picture: Tensor) -> Tensor:
    matte = picture[:, 3:].clamp(0, 1)
    return torch.cat([_GREY + (picture[:, :3] - _GREY) * matte, matte], dim=1)
