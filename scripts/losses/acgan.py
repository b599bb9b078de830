"""The class loss of the auxiliary classifier GAN (Odena et al., 2017, equation 3; Mehra et al., equation 2).

The source loss (equations 2 and 1) is the binary cross-entropy of any GAN, see `scripts.losses.adversarial`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F


def class_loss(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """``-E[log P(C = c | X)]``, on logits and in fp32: one of the two parts of -L_C (equation 2).

    The discriminator's loss has it of real and of generated features, the generator's of the generated ones.

    Args:
        logits: class logits (B, K).
        classes: the features' classes, or those asked of the generator, (B,) in 0 .. K - 1.

    Returns:
        A scalar >= 0; log K where all logits are equal.
    """
    return F.cross_entropy(logits.float(), classes)
