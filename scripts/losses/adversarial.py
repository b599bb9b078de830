"""Binary cross-entropy of a discriminator's logits (Goodfellow et al., 2014; pix2pix, equation 1; LcGAN, equation 1).

Logits may have any shape: both average over patches and images, and compute a scalar >= 0 in fp32.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F


def discriminator_bce(real_logits: torch.Tensor, fake_logits: torch.Tensor) -> torch.Tensor:
    """``-mean(log D(x, y)) - mean(log(1 - D(x, G(x))))``, with D the sigmoid of the logits (LcGAN, equation 1).

    It isn't halved, as in Hesse's implementation, which LcGAN used; pix2pix halves it (section 3.3): 2 log 2 where all
    logits are 0. The fake images are made without gradient to the generator.
    """
    return F.softplus(-real_logits.float()).mean() + F.softplus(fake_logits.float()).mean()


def generator_bce(fake_logits: torch.Tensor) -> torch.Tensor:
    """``-mean(log D(x, G(x)))``, the non-saturating form of the generator's part (pix2pix, section 3.3).

    Log 2 where all logits are 0.
    """
    return F.softplus(-fake_logits.float()).mean()
