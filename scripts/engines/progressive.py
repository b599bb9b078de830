"""Training step of a progressive GAN, whatever its images are, with or without a condition.

Karras et al., Progressive growing of GANs for improved quality, stability, and variation, ICLR 2018.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from scripts.data.growth import GrowthSchedule
from scripts.engines.adaptive_augmentation import AdaptiveAugmentation
from scripts.engines.adversarial import AdversarialStep, to_floats, update
from scripts.inferers.noise import draw_latents
from scripts.losses.wgan_gp import drift, gradient_penalty, wasserstein_discriminator, wasserstein_generator
from scripts.networks.latents import sample_latents
from scripts.networks.pggan import fade_images, shrink_images
from scripts.networks.precision import autocast
from scripts.networks.wrapping import unwrap


@dataclass(eq=False)
class ProgressiveStep(AdversarialStep, ABC):
    """One iteration at the resolution that the schedule gives: the discriminator is updated, then the generator.

    What is grown follows from the engine's iteration alone, so a resumed run is where an uninterrupted one would be.
    The optimisers' states are emptied in the first iteration of a resolution (Karras' implementation). The generator
    runs once; its images serve both updates. Real and generated images share the batch's condition, if there is one.

    Attributes:
        generator: latents, and a condition, to images (B, C, R, R).
        discriminator: these, and the condition, to one score per image (B, 1).
        generator_optimizer, discriminator_optimizer: Adam 1e-3, betas (0, .99) as published.
        schedule: resolution, fade and minibatch size of each iteration.
        latent_dim: of the generator.
        latent_distribution: see `sample_latents`.
        gradient_penalty_weight: 10 as published.
        drift_weight: 1e-3 as published.
        mismatch_weight: share of real images under another image's condition in what the discriminator learns to
            reject, in [0, 1): so it judges whether image and condition belong together (Reed et al., Generative
            adversarial text to image synthesis, 2016, algorithm 1, where it is .5). The gradient penalty then bounds
            the condition's gradient, too, or the scores of pairs would grow without end. 0, as Karras et al. and
            CPGGAN have it, compares images alone.
        augmentation: of what the discriminator sees, in both updates; none by default.

    Raises:
        ValueError: a mismatch weight out of range, or one with minibatches of a single image, which has no neighbour.
    """

    _: KW_ONLY
    schedule: GrowthSchedule
    latent_dim: int = 512
    latent_distribution: str = "normal"
    gradient_penalty_weight: float = 10.0
    drift_weight: float = 0.001
    mismatch_weight: float = 0.0
    augmentation: AdaptiveAugmentation = field(default_factory=AdaptiveAugmentation)

    def __post_init__(self) -> None:
        if not 0 <= self.mismatch_weight < 1:
            raise ValueError(f"mismatch_weight is {self.mismatch_weight}, expected a number from 0 to below 1, as 0.5.")
        if self.mismatch_weight and min(self.schedule.batch_sizes.values()) < 2:
            raise ValueError(
                f"mismatch_weight is {self.mismatch_weight} and a minibatch has 1 image: expected 2 or more, since "
                "each gets its neighbour's condition. Raise the batch sizes, or pass mismatch_weight 0."
            )

    @property
    def annotation_channels(self) -> int:
        """The last channels of an image that are annotation, whose levels augmentation must not change."""
        return 0

    @abstractmethod
    def read(self, batch: dict[str, Any], device: torch.device) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Real images (B, C, S, S) in [-1, 1] at full size and their condition (B, K, S, S), moved to the device."""

    def __call__(self, engine: Any, batch: dict[str, Any]) -> dict[str, Any]:
        device = engine.state.device
        growth = self.schedule.at(engine.state.iteration - 1)
        size: dict[str, Any] = {"resolution": growth.resolution, "alpha": growth.alpha}
        if growth.is_first:
            self.generator_optimizer.state.clear()
            self.discriminator_optimizer.state.clear()
        self.generator.train()
        self.discriminator.train()

        # Shared: real images at this resolution, faded like the generated ones, and one generator pass.
        real, condition = self.read(batch, device)  # (B, C, S, S), (B, K, S, S) or None
        real = fade_images(shrink_images(real, growth.resolution), growth.alpha)  # (B, C, R, R)
        latent = sample_latents(len(real), self.latent_dim, self.latent_distribution).to(device)  # (B, latent_dim)
        mixing = torch.rand(len(real), 1, 1, 1).to(device)
        if condition is None:
            condition = real[:, :0]  # (B, 0, R, R)
            made_from = {}
        else:
            condition = F.adaptive_max_pool2d(condition, growth.resolution)  # (B, K, R, R)
            made_from = {"condition": condition}
        with autocast(device, self.precision):
            fake = self.generator(latent, **size, **made_from)  # (B, C, R, R)

        # Shared: what the discriminator sees of both, image and condition changed together.
        channels = real.shape[1]
        judge = partial(self._judge, channels=channels, resolution=growth.resolution, alpha=growth.alpha)
        views = [torch.cat([image, condition], dim=1) for image in (real, fake)]  # (B, C + K, R, R)
        augment = self.augmentation.draw(views[0], slice(channels - self.annotation_channels))
        real_view, fake_view = map(augment, views)

        # D: raise real scores, lower fake ones; gradients of norm 1 between the two, scores near 0.
        with autocast(device, self.precision):
            real_scores = judge(real_view)  # (B, 1)
            rejected_scores = made_scores = judge(fake_view.detach())
            if condition.shape[1] and self.mismatch_weight:
                wrong = condition.roll(1, 0)  # each image under its neighbour's condition
                mismatched_scores = judge(augment(torch.cat([real, wrong], dim=1)))
                rejected_scores = torch.lerp(made_scores, mismatched_scores, self.mismatch_weight)
                wrong_view = augment(torch.cat([fake, wrong], dim=1))
                penalty = gradient_penalty(judge, real_view, wrong_view, mixing=mixing)  # of images and conditions
            else:
                real_image, shown = real_view[:, :channels], real_view[:, channels:]
                penalty = gradient_penalty(
                    lambda image: judge(torch.cat([image, shown], dim=1)),
                    real_image,
                    fake_view[:, :channels],
                    mixing=mixing,
                )
        distance = wasserstein_discriminator(real_scores, rejected_scores)
        judgement = distance + self.gradient_penalty_weight * penalty + self.drift_weight * drift(real_scores)
        update(self.discriminator_optimizer, judgement)

        # G: raise the same images' scores under the updated D, which only passes the gradient on.
        self.discriminator.requires_grad_(False)
        with autocast(device, self.precision):
            fake_scores = judge(fake_view)
        adversarial = wasserstein_generator(fake_scores)
        update(self.generator_optimizer, adversarial)
        self.discriminator.requires_grad_(True)

        losses = to_floats(
            loss=judgement,
            discriminator_wasserstein=distance,
            gradient_penalty=penalty,
            generator_wasserstein=adversarial,
        )
        boundary = (real_scores.detach().mean() + made_scores.detach().mean()) / 2
        course = {"resolution": growth.resolution, "alpha": growth.alpha}
        return {**losses, **course, **self.augmentation.adjust(real_scores, boundary)}

    def remake(
        self, generator: nn.Module, batch: dict[str, Any], seeds: Sequence[int], device: torch.device
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As `RedGANStep.remake`, at full size and with annotation channels."""
        real, condition = self.read(batch, device)
        latent = draw_latents(seeds, self.latent_dim, self.latent_distribution).to(device)  # (B, latent_dim)
        options = {} if condition is None else {"condition": condition}
        made = generator(latent, resolution=self.schedule.image_size, alpha=1.0, **options)
        return real, made.clamp(-1, 1)

    def score(self, batch: dict[str, Any], device: torch.device) -> torch.Tensor:
        """The discriminator's verdict on real images at full size, (B,)."""
        real, condition = self.read(batch, device)
        options = {} if condition is None else {"condition": condition}
        scores = unwrap(self.discriminator)(real, resolution=self.schedule.image_size, alpha=1.0, **options)
        return scores.float()[:, 0]

    def _judge(self, view: torch.Tensor, *, channels: int, resolution: int, alpha: float) -> torch.Tensor:
        """The discriminator's scores (B, 1) of images and their conditions, (B, channels + K, R, R)."""
        condition = view[:, channels:]
        shown = {"condition": condition} if condition.shape[1] else {}
        return self.discriminator(view[:, :channels], resolution=resolution, alpha=alpha, **shown)
