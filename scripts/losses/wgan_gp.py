"""Wasserstein losses with gradient penalty (Gulrajani et al., Improved Training of Wasserstein GANs, 2017, equation 3).

All are computed in fp32 and give a scalar. Scores may have any shape; they are averaged.
"""

from __future__ import annotations

from collections.abc import Callable

import torch


def wasserstein_discriminator(real_scores: torch.Tensor, fake_scores: torch.Tensor) -> torch.Tensor:
    """``mean(D(fake)) - mean(D(real))``, minus the estimated Wasserstein distance (equation 3, first part).

    The fake images are made without gradient to the generator.
    """
    return fake_scores.float().mean() - real_scores.float().mean()


def wasserstein_generator(fake_scores: torch.Tensor) -> torch.Tensor:
    """``-mean(D(fake))``, the generator's part, of any sign."""
    return -fake_scores.float().mean()


def drift(real_scores: torch.Tensor) -> torch.Tensor:
    """``mean(D(real)^2)`` >= 0, which keeps the scores from drifting away from 0 (Karras et al., 2018, appendix A.1).

    The weight (0.001 as published) is the caller's.
    """
    return real_scores.float().square().mean()


def gradient_penalty(
    critic: Callable[[torch.Tensor], torch.Tensor],
    real: torch.Tensor,
    fake: torch.Tensor,
    *,
    mixing: torch.Tensor,
) -> torch.Tensor:
    """``mean((|grad D(x)| - 1)^2)`` at ``x = mixing * real + (1 - mixing) * fake`` (equation 3, last part).

    The norm is each image's, over channels and pixels. No gradient reaches ``real`` and ``fake``. The critic runs under
    the caller's autocast, its gradient without; a minibatch statistic in the critic joins the images' gradients, as in
    Karras' implementation. The weight (10 as published) is the caller's.

    Args:
        critic: images to one score each.
        real: real images (B, C, X, Y).
        fake: as many generated ones.
        mixing: (B, 1, 1, 1), uniform in [0, 1], drawn by the caller.

    Returns:
        A scalar >= 0, whose gradient reaches the critic's weights.
    """
    with torch.autocast(real.device.type, enabled=False):
        mixed = torch.lerp(fake.detach().float(), real.detach().float(), mixing.float())  # (B, C, X, Y)
    mixed.requires_grad_()
    scores = critic(mixed)
    with torch.autocast(real.device.type, enabled=False):
        (gradient,) = torch.autograd.grad(scores.float().sum(), mixed, create_graph=True)  # (B, C, X, Y)
        norms = torch.linalg.vector_norm(gradient.flatten(1), dim=1)  # (B,)
        return (norms - 1).square().mean()
