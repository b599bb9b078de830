"""Training step of the Feature AC-GAN: features of a class, and a discriminator that tells source and class.

Mehra, Soliman and Sahoo, Data augmentation using feature generation for volumetric medical images, section 3.2; Odena,
Olah and Shlens, Conditional image synthesis with auxiliary classifier GANs, ICML 2017.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from scripts.engines.adversarial import AdversarialStep, to_floats, update
from scripts.losses.adversarial import discriminator_bce, generator_bce
from scripts.losses.wgan_gp import gradient_penalty, wasserstein_discriminator, wasserstein_generator
from scripts.networks.latents import sample_latents
from scripts.networks.precision import autocast
from scripts.networks.wrapping import unwrap

ADVERSARIAL = ("bce", "wgan_gp")


@dataclass(eq=False)
class FeatureACGANStep(AdversarialStep):
    """One iteration: the discriminator is updated on real and generated features, then the generator on its verdict.

    The generator runs once; its features serve both updates. As many are generated as the batch has real ones, of
    classes that are equally frequent, however frequent they are in the data.

    The discriminator sees real and generated features in one batch, in both updates. In batches of their own, as in the
    implementation that the paper follows, its batch norm takes away the very levels and spreads in which they differ:
    on TCGA-LGG the generated ones then lay 26 times as far from real ones as held-out ones did, now 5 times.

    The generator minimises the non-saturating form of its loss of the source, as in the implementation that the paper
    follows. The paper has it minimise L_S itself, whose gradient vanishes where the discriminator is right.

    The accuracies of the output are the discriminator's on this batch before its update, in training mode.

    Attributes:
        generator: latent (B, latent_dim) and class (B,) to standardised features (B, C, H, W).
        discriminator: these to source logits (B,) and class logits (B, K).
        generator_optimizer, discriminator_optimizer: Adam, learning rate .002 as published (.0002 in Odena et al.),
            betas (.5, .999).
        class_count: K.
        latent_dim: of the generator.
        adversarial: "bce" as published, or "wgan_gp" (Xian et al., 2018), where the source logit is a score.
        class_weight: of the class loss in the generator's update; 1 as published (.01 in Xian et al., where a
            classifier that is trained apart judges; so the discriminator's class loss always counts in full).
        discriminator_updates: discriminator updates per generator update; 1 as published, 5 in Gulrajani et al. and in
            Xian's code. The generator's losses are reported in every iteration.
        gradient_penalty_weight: with "wgan_gp"; 10 in Xian et al.

    Raises:
        ValueError: another adversarial loss, no update of the discriminator, or "wgan_gp" with batch norm in the
            discriminator, where the penalty, each sample's own, has no meaning (Gulrajani et al., section 4).
    """

    _: KW_ONLY
    class_count: int
    latent_dim: int = 100
    adversarial: str = "bce"
    class_weight: float = 1.0
    discriminator_updates: int = 1
    gradient_penalty_weight: float = 10.0

    def __post_init__(self) -> None:
        if self.adversarial not in ADVERSARIAL:
            raise ValueError(f"adversarial is {self.adversarial!r}, expected one of {list(ADVERSARIAL)}. Choose one.")
        if self.discriminator_updates < 1:
            raise ValueError(f"discriminator_updates is {self.discriminator_updates}, expected 1 or more. Pass 1 or 5.")
        normalised = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in self.discriminator.modules())
        if self.adversarial == "wgan_gp" and normalised:
            raise ValueError(
                "The discriminator has batch norm, expected none with adversarial 'wgan_gp', whose gradient penalty is "
                "of each sample alone. Build it with batch_norm=False."
            )

    def __call__(self, engine: Any, batch: dict[str, Any]) -> dict[str, Any]:
        device = engine.state.device
        real = batch["feature"].to(device, non_blocking=True).float()  # (B, C, H, W)
        real_classes = batch["class"].to(device, non_blocking=True)  # (B,)
        self.generator.train()
        self.discriminator.train()

        # Shared: one generator pass, for as many features of equally frequent classes.
        fake_classes = draw_classes(len(real), self.class_count).to(device)  # (B,)
        latent = sample_latents(len(real), self.latent_dim).to(device)  # (B, latent_dim)
        mixing = torch.rand(len(real), 1, 1, 1).to(device)
        with autocast(device, self.precision):
            fake = self.generator(latent, fake_classes)  # (B, C, H, W)

        # D: tell real from fake, and the class of both.
        with autocast(device, self.precision):
            sources, logits = self.discriminator(torch.cat([real, fake.detach()]))  # (2B,), (2B, K)
        (real_source, fake_source), (real_logits, fake_logits) = sources.chunk(2), logits.float().chunk(2)
        source, penalty = self._judge(real, fake, real_source, fake_source, mixing)
        classified = F.cross_entropy(real_logits, real_classes) + F.cross_entropy(fake_logits, fake_classes)  # -L_C
        update(self.discriminator_optimizer, source + self.gradient_penalty_weight * penalty + classified)
        real_accuracy, fake_accuracy = _accuracy(real_logits, real_classes), _accuracy(fake_logits, fake_classes)

        # G: features that the updated D takes for real and for the class asked; D only passes the gradient on.
        self.discriminator.requires_grad_(False)
        with autocast(device, self.precision):
            sources, logits = unwrap(self.discriminator)(torch.cat([real, fake]))
        fake_source, fake_logits = sources.chunk(2)[1], logits.float().chunk(2)[1]  # (B,), (B, K)
        fooling = generator_bce(fake_source) if self.adversarial == "bce" else wasserstein_generator(fake_source)
        asked = F.cross_entropy(fake_logits, fake_classes)
        total = fooling + self.class_weight * asked
        if engine.state.iteration % self.discriminator_updates == 0:
            update(self.generator_optimizer, total)
        self.discriminator.requires_grad_(True)

        return to_floats(
            loss=total,
            generator_source=fooling,
            generator_class=asked,
            discriminator_source=source,
            discriminator_class=classified,
            gradient_penalty=penalty,
            real_class_accuracy=real_accuracy,
            fake_class_accuracy=fake_accuracy,
        )

    def _judge(
        self,
        real: torch.Tensor,
        fake: torch.Tensor,
        real_source: torch.Tensor,
        fake_source: torch.Tensor,
        mixing: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The discriminator's loss of the source, and the gradient penalty, 0 with "bce"."""
        if self.adversarial == "bce":
            return discriminator_bce(real_source, fake_source), real_source.new_zeros((), dtype=torch.float32)
        with autocast(real.device, self.precision):
            critic = unwrap(self.discriminator)
            penalty = gradient_penalty(lambda x: critic(x)[0], real, fake, mixing=mixing)
        return wasserstein_discriminator(real_source, fake_source), penalty


def draw_classes(count: int, class_count: int, generator: torch.Generator | None = None) -> torch.Tensor:
    """Classes (count,) in 0 .. class_count - 1 to ask of the generator, each as often as the others, up to one.

    Which ones is drawn, on the CPU, so that a seed gives the same ones on every device.
    """
    first = torch.randint(class_count, (1,), generator=generator)
    return (torch.arange(count) + first) % class_count  # (count,)


def _accuracy(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    return (logits.argmax(dim=1) == classes).float().mean()
