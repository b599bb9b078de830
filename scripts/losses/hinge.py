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

    0 where every real logit is >= 1 and every fake one <= -1. Fake images are made without gradient to the generator.
    """
    real = torch.stack([F.relu(1 - scale[-1].float()).mean() for scale in real_outputs])  # (scales,)
    fake = torch.stack([F.relu(1 + scale[-1].float()).mean() for scale in fake_outputs])  # (scales,)
    return real.mean() + fake.mean()


def generator_hinge(fake_outputs: Outputs) -> torch.Tensor:
    """``-mean(D(fake))``, averaged over scales: its gradient per logit is the same wherever the logit lies."""
    return -torch.stack([scale[-1].float().mean() for scale in fake_outputs]).mean()
