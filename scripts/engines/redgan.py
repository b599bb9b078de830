"""Training step of Red-GAN: SPADE generator, multi-scale discriminator and a frozen segmenter as third player.

Qasim et al., Red-GAN: Attacking class imbalance via conditioned generation, MIDL 2020, section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import torch
from torch import nn

from scripts.engines.adaptive_augmentation import AdaptiveAugmentation
from scripts.engines.adversarial import AdversarialStep, to_floats, update
from scripts.losses.feature_matching import feature_matching
from scripts.losses.hinge import discriminator_hinge, generator_hinge
from scripts.networks.multiscale_discriminator import split_outputs
from scripts.networks.one_hot import one_hot_mask
from scripts.networks.precision import autocast
from scripts.networks.wrapping import freeze, unwrap


@dataclass(eq=False)
class RedGANStep(AdversarialStep):
    """One iteration: the generator is updated on the discriminator's verdict, then the discriminator.

    The discriminator sees mask, image and the segmenter's last-layer maps (logits) of that image. The generator runs
    once per iteration (the published code runs it twice, with the same weights), the segmenter once on the real and
    once on the fake images. The frozen segmenter passes gradients on to the generator.

    Attributes:
        generator: (mask, class) to images (B, C, S, S).
        discriminator: list of feature maps per scale of (B, M + C + K, S, S).
        generator_optimizer: Adam 1e-4, betas (0, 0.9) as published.
        discriminator_optimizer: Adam 4e-4, betas (0, 0.9).
        mask_channels: M, classes of the one-hot mask (background, labels, outline).
        segmenter: the third player, images to logits (B, K, S, S); None for plain SPADE.
        feature_matching_weight: 10 as published.
        clamp_segmenter_input: the authors' code clamps the fake image to the real images' range before the
            segmenter; no gradient flows where the clamp acts. The paper doesn't mention it.
        use_class: False for a generator without class.
        augmentation: of what the discriminator sees, in both updates; none by default.
    """

    _: KW_ONLY
    mask_channels: int
    segmenter: nn.Module | None = None
    feature_matching_weight: float = 10.0
    clamp_segmenter_input: bool = False
    use_class: bool = True
    augmentation: AdaptiveAugmentation = field(default_factory=AdaptiveAugmentation)

    def __post_init__(self) -> None:
        if self.segmenter is not None:
            freeze(self.segmenter)

    def __call__(self, engine: Any, batch: dict[str, Any]) -> dict[str, Any]:
        device = engine.state.device
        real = batch["image"].to(device, non_blocking=True, memory_format=torch.channels_last)  # (B, C, S, S)
        mask = one_hot_mask(batch["label"].to(device, non_blocking=True), self.mask_channels)  # (B, M, S, S)
        class_index = batch["class_index"].to(device, non_blocking=True) if self.use_class else None  # (B,)
        self.generator.train()
        self.discriminator.train()

        # Shared: one generator pass, and what the discriminator sees beside the images.
        with autocast(device, self.precision):
            fake = self.generator(mask, class_index)  # (B, C, S, S)
            with torch.no_grad():
                real_view = self._view(mask, real)  # (B, M + C + K, S, S)
            fake_view = self._view(mask, fake)
        is_image = slice(self.mask_channels, self.mask_channels + real.shape[1])
        augment = self.augmentation.draw(real_view, is_image)
        real_view, fake_view = augment(real_view), augment(fake_view)

        # G: raise the fakes' logits and match the real images' features; D only passes the gradient on.
        self.discriminator.requires_grad_(False)
        with autocast(device, self.precision):
            fake_outputs, real_outputs = self._judge(unwrap(self.discriminator), fake_view, real_view, class_index)
            adversarial = generator_hinge(fake_outputs)
            matching = feature_matching(real_outputs, fake_outputs)
        update(self.generator_optimizer, adversarial + self.feature_matching_weight * matching)
        self.discriminator.requires_grad_(True)

        # D: raise the real logits, lower those of the same fakes.
        with autocast(device, self.precision):
            fake_outputs, real_outputs = self._judge(self.discriminator, fake_view.detach(), real_view, class_index)
            judgement = discriminator_hinge(real_outputs, fake_outputs)
        update(self.discriminator_optimizer, judgement)

        losses = to_floats(generator_hinge=adversarial, feature_matching=matching, discriminator_hinge=judgement)
        total = losses["generator_hinge"] + self.feature_matching_weight * losses["feature_matching"]
        real_logits = torch.cat([scale[-1].flatten(1) for scale in real_outputs], dim=1)  # (B, patches of all scales)
        return {"loss": total, **losses, **self.augmentation.adjust(real_logits)}

    def remake(
        self, generator: nn.Module, batch: dict[str, Any], seeds: Sequence[int], device: torch.device
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Real images and what a generator makes under their conditions from noise seeds: (B, C, S, S), in [-1, 1]."""
        mask = one_hot_mask(batch["label"].to(device), self.mask_channels)
        class_index = batch["class_index"].to(device) if self.use_class else None
        return batch["image"].to(device), generator(mask, class_index).clamp(-1, 1)

    def score(self, batch: dict[str, Any], device: torch.device) -> torch.Tensor:
        """The discriminator's verdict on real images, (B,): mean logit over places, then over scales."""
        mask = one_hot_mask(batch["label"].to(device), self.mask_channels)  # (B, M, S, S)
        class_index = batch["class_index"].to(device) if self.use_class else None  # (B,)
        scales = unwrap(self.discriminator)(self._view(mask, batch["image"].to(device)), class_index)
        return torch.stack([maps[-1].float().mean(dim=(1, 2, 3)) for maps in scales]).mean(dim=0)

    def _view(self, mask: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Mask, image and, with a third player, its maps of the image: what the discriminator judges."""
        if self.segmenter is None:
            return torch.cat([mask, image], dim=1)  # (B, M + C, S, S)
        shown = image.clamp(-1, 1) if self.clamp_segmenter_input else image
        return torch.cat([mask, image, self.segmenter(shown).to(image.dtype)], dim=1)  # (B, M + C + K, S, S)

    def _judge(
        self, discriminator: nn.Module, fake_view: torch.Tensor, real_view: torch.Tensor, class_index: Any
    ) -> Any:
        """Fake and real views as one batch, so that the discriminator runs once."""
        classes = None if class_index is None else class_index.repeat(2)  # (2B,)
        return split_outputs(discriminator(torch.cat([fake_view, real_view]), classes))
