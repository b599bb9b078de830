"""Binary cross-entropy losses of a patch discriminator on logits (Goodfellow et al. 2014; LcGAN, equation 1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def discriminator_bce(real_logits: torch.Tensor, fake_logits: torch.Tensor) -> torch.Tensor:
    """``mean(-log sigmoid(D(real))) + mean(-log(1 - sigmoid(D(fake))))``, the negative of LcGAN's equation 1.

    Not halved: so in Hesse's implementation, which the paper used; Isola et al. (pix2pix) halve it. Computes in fp32.

    Args:
        real_logits: of real images, any shape.
        fake_logits: of generated images, made without gradient to the generator.

    Returns:
        A scalar >= 0.
    """
    return F.softplus(-real_logits.float()).mean() + F.softplus(fake_logits.float()).mean()


def generator_bce(fake_logits: torch.Tensor) -> torch.Tensor:
    """``mean(-log sigmoid(D(fake)))``: the non-saturating form, whose gradient is largest where D is sure. In fp32.

    Args:
        fake_logits: of generated images, any shape.

    Returns:
        A scalar >= 0.
    """
    return F.softplus(-fake_logits.float()).mean()
