"""Hinge losses of a multi-scale patch discriminator (SPADE, section 3; Lim & Ye, Geometric GAN, 2017).

Both take what ``MultiScaleDiscriminator`` returns: per scale the list of its layers' outputs, of which the last are the
logits. Each scale's patches and images are averaged, then the scales. Both compute in fp32.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

Outputs = Sequence[Sequence[torch.Tensor]]


def discriminator_hinge(real_outputs: Outputs, fake_outputs: Outputs) -> torch.Tensor:
    """``mean(max(0, 1 - D(real))) + mean(max(0, 1 + D(fake)))``, averaged over scales.

    Args:
        real_outputs: the discriminator's outputs for real images.
        fake_outputs: those for generated images, made without gradient to the generator.

    Returns:
        A scalar, 0 where every real logit is >= 1 and every fake one <= -1.
    """
    real = torch.stack([F.relu(1 - scale[-1].float()).mean() for scale in real_outputs])  # (scales,)
    fake = torch.stack([F.relu(1 + scale[-1].float()).mean() for scale in fake_outputs])  # (scales,)
    return real.mean() + fake.mean()


def generator_hinge(fake_outputs: Outputs) -> torch.Tensor:
    """``-mean(D(fake))``, averaged over scales: its gradient per logit is the same wherever the logit lies.

    Args:
        fake_outputs: the discriminator's outputs for generated images.

    Returns:
        A scalar of any sign.
    """
    return -torch.stack([scale[-1].float().mean() for scale in fake_outputs]).mean()
