"""Losses of the auxiliary classifier GAN (Odena et al., 2017, equations 2 and 3; Mehra et al., equations 1 and 2).

The paper's log-likelihoods with the sign turned, to be minimised, on logits and in fp32. The source's is the binary
cross-entropy of any GAN with a source head; the class's is the same for discriminator and generator.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from scripts.losses.adversarial import discriminator_bce, generator_bce


def source_loss(real_logits: torch.Tensor, fake_logits: torch.Tensor) -> torch.Tensor:
    """``-L_S = -E[log P(S = real | real)] - E[log P(S = fake | fake)]``, for the discriminator (equation 1).

    Args:
        real_logits: source logits (B,) of real features.
        fake_logits: those of generated features, made without gradient to the generator.

    Returns:
        A scalar >= 0; 2 log 2 where all logits are 0.
    """
    return discriminator_bce(real_logits, fake_logits)


def fooling_loss(fake_logits: torch.Tensor) -> torch.Tensor:
    """``-E[log P(S = real | fake)]``, for the generator.

    The paper has the generator minimise L_S itself, ``E[log P(S = fake | fake)]``, whose gradient vanishes where the
    discriminator is right. This is the non-saturating form, as in the implementation that the paper follows.

    Args:
        fake_logits: source logits (B,) of generated features.

    Returns:
        A scalar >= 0; log 2 where all logits are 0.
    """
    return generator_bce(fake_logits)


def class_loss(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """``-E[log P(C = c | X)]``: one of the two parts of -L_C (equation 2).

    The discriminator's loss has it of real and of generated features, the generator's of the generated ones.

    Args:
        logits: class logits (B, K).
        classes: the features' classes, or those asked of the generator, (B,) in 0 .. K - 1.

    Returns:
        A scalar >= 0; log K where all logits are equal.
    """
    return F.cross_entropy(logits.float(), classes)
