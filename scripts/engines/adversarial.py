"""What the training steps of all GANs share: two players with their optimisers, and how a loss updates one of them."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import torch
from torch import nn


@dataclass(eq=False)
class AdversarialStep:
    """Generator and discriminator of one iteration; a system's step says what they see and who is updated when.

    Attributes:
        generator_optimizer: of the generator's parameters.
        discriminator_optimizer: of the discriminator's.
        precision: of the forward passes, see `choose_precision`.
    """

    generator: nn.Module
    discriminator: nn.Module
    generator_optimizer: torch.optim.Optimizer
    discriminator_optimizer: torch.optim.Optimizer
    _: KW_ONLY
    precision: torch.dtype = torch.float32


def update(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    """One step of an optimiser down the gradient of a scalar."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def to_floats(**scalars: torch.Tensor) -> dict[str, float]:
    """Scalars as numbers, which leave the device together."""
    return dict(zip(scalars, torch.stack([scalar.detach() for scalar in scalars.values()]).tolist(), strict=True))
