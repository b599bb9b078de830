"""Feature matching of a multi-scale discriminator (pix2pixHD, equation 4)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F


def feature_matching(
    real_outputs: Sequence[Sequence[torch.Tensor]], fake_outputs: Sequence[Sequence[torch.Tensor]]
) -> torch.Tensor:
    """Mean absolute difference of the discriminator's intermediate outputs for real and generated images.

    Summed over the layers, logits excluded, averaged over the scales; no gradient reaches the real side. The weight
    (10 in SPADE and Red-GAN) is the caller's. Computes in fp32.

    Args:
        real_outputs: per scale the list of layer outputs for real images, the last being the logits.
        fake_outputs: the same for the images generated from the same masks.

    Returns:
        A scalar >= 0.
    """
    differences = [
        F.l1_loss(fake.float(), real.detach().float())
        for real_scale, fake_scale in zip(real_outputs, fake_outputs, strict=True)
        for real, fake in zip(real_scale[:-1], fake_scale[:-1], strict=True)
    ]
    return torch.stack(differences).sum() / len(real_outputs)
