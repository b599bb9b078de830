"""Sampling a generator of features, and the discriminator's opinion of what class they are."""

from __future__ import annotations

from typing import Any

import torch
from monai.inferers import Inferer
from torch import nn

from scripts.inferers.ensemble import draw_latents


class ClassFeatureInferer(Inferer):
    """Noise seeds and classes to features, with the class probabilities that the discriminator gives them.

    Its source head is not asked, as published. A feature's latent vector comes from its own seed, see `draw_latents`.

    Args:
        discriminator: features to source logits (B,) and class logits (B, K), on the generator's device.
        latent_dim: of the generator.
    """

    def __init__(self, discriminator: nn.Module, latent_dim: int) -> None:
        super().__init__()
        self.discriminator = discriminator.eval()
        self.latent_dim = latent_dim

    @torch.no_grad()
    def __call__(
        self, inputs: torch.Tensor, network: Any, class_index: torch.Tensor, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Seeds (B,) and classes (B,) to standardised features (B, C, H, W) and probabilities (B, K)."""
        latents = draw_latents(inputs.tolist(), self.latent_dim).to(inputs.device)  # (B, latent_dim)
        features = network.eval()(latents, class_index)  # (B, C, H, W)
        _, logits = self.discriminator(features)  # (B, K)
        return features, logits.float().softmax(dim=1)
