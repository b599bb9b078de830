"""Training step of LcGAN: a pix2pix generator from lesion masks to images, and a patch discriminator.

Karki et al., Lesion Conditional Image Generation for Improved Segmentation of Intracranial Hemorrhage from CT Images,
SPIE Medical Imaging 2020, section 3.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import torch
from torch.nn import functional

from scripts.engines.adaptive_augmentation import AdaptiveAugmentation
from scripts.engines.adversarial import AdversarialStep, to_floats, update
from scripts.losses.adversarial import discriminator_bce, generator_bce
from scripts.networks.one_hot import one_hot_mask
from scripts.networks.precision import autocast
from scripts.networks.wrapping import unwrap


@dataclass(eq=False)
class LcGANStep(AdversarialStep):
    """One iteration: the discriminator is updated on a real and a generated image, then the generator on its verdict.

    The generator runs once; its image serves both updates. Dropout is its only noise.

    Attributes:
        generator: one-hot mask (B, M, S, S) to images (B, C, S, S) in [-1, 1].
        discriminator: mask and image (B, M + C, S, S) to a logit per patch.
        generator_optimizer, discriminator_optimizer: Adam 2e-4, betas (.5, .999) as published.
        mask_channels: M, classes of the one-hot mask (background, labels, and the outline where used).
        l1_weight: of the mean absolute difference from the real image; 100 in pix2pix, which the paper follows.
        augmentation: of what the discriminator sees, in both updates; none by default.
    """

    _: KW_ONLY
    mask_channels: int
    l1_weight: float = 100.0
    augmentation: AdaptiveAugmentation = field(default_factory=AdaptiveAugmentation)

    def __call__(self, engine: Any, batch: dict[str, Any]) -> dict[str, Any]:
        device = engine.state.device
        real = batch["image"].to(device, non_blocking=True, memory_format=torch.channels_last)  # (B, C, S, S)
        mask = one_hot_mask(batch["label"].to(device, non_blocking=True), self.mask_channels)  # (B, M, S, S)
        self.generator.train()
        self.discriminator.train()

        # Shared: one generator pass, and what the discriminator sees.
        with autocast(device, self.precision):
            fake = self.generator(mask)  # (B, C, S, S)
        views = [torch.cat([mask, image], dim=1) for image in (real, fake.float())]  # (B, M + C, S, S)
        augment = self.augmentation.draw(views[0], slice(self.mask_channels, None))
        real_view, fake_view = map(augment, views)

        # D: raise the real logits, lower the fake ones.
        with autocast(device, self.precision):
            logits = self.discriminator(torch.cat([real_view, fake_view.detach()]))  # (2B, 1, S', S')
        real_logits, fake_logits = logits.chunk(2)
        judgement = discriminator_bce(real_logits, fake_logits)
        update(self.discriminator_optimizer, judgement)

        # G: raise the fake logits of the updated D, and stay near the real image; D only passes the gradient on.
        self.discriminator.requires_grad_(False)
        with autocast(device, self.precision):
            logits = unwrap(self.discriminator)(fake_view)  # (B, 1, S', S')
        adversarial = generator_bce(logits)
        distance = functional.l1_loss(fake.float(), real)
        update(self.generator_optimizer, adversarial + self.l1_weight * distance)
        self.discriminator.requires_grad_(True)

        losses = to_floats(generator_bce=adversarial, l1=distance, discriminator_bce=judgement)
        total = losses["generator_bce"] + self.l1_weight * losses["l1"]
        return {"loss": total, **losses, **self.augmentation.adjust(real_logits)}

    def remake(
        self, generator: Any, batch: dict[str, Any], seeds: Sequence[int], device: torch.device
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As `RedGANStep.remake`."""
        mask = one_hot_mask(batch["label"].to(device), self.mask_channels)
        return batch["image"].to(device), generator(mask, generator.draw_noise(seeds))

    def score(self, batch: dict[str, Any], device: torch.device) -> torch.Tensor:
        """The discriminator's verdict on real images, (B,): mean logit over patches."""
        mask = one_hot_mask(batch["label"].to(device), self.mask_channels)  # (B, M, S, S)
        logits = unwrap(self.discriminator)(torch.cat([mask, batch["image"].to(device)], dim=1))
        return logits.float().mean(dim=(1, 2, 3))
