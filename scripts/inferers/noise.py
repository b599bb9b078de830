"""Sampling generators that start from noise; a sample comes from its own seed, whatever its batch or device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from monai.inferers import Inferer
from torch import nn

from scripts.data.boxes import draw_boxes
from scripts.networks.latents import sample_latents


@dataclass(eq=False)
class EnsembleInferer(Inferer):
    """Noise seeds to images, each by the member that is asked for it.

    Attributes:
        latent_dim: of the generators.
        resolution: side of the images in pixels.
    """

    latent_dim: int
    resolution: int

    def __call__(
        self, inputs: torch.Tensor, network: Any, member: torch.Tensor | None = None, **kwargs: Any
    ) -> torch.Tensor:
        """Seeds (B,) and members (B,), the first by default, to images (B, C, R, R) in [-1, 1]."""
        latents = draw_latents(inputs.tolist(), self.latent_dim).to(inputs.device)  # (B, latent_dim)
        members = [0] * len(inputs) if member is None else member.tolist()
        images: list[torch.Tensor] = [torch.empty(0)] * len(inputs)
        for chosen in sorted(set(members)):
            places = [n for n, m in enumerate(members) if m == chosen]
            made = network[chosen](latents[places], resolution=self.resolution, alpha=1.0).clamp(-1, 1)
            for place, image in zip(places, made, strict=True):
                images[place] = image
        return torch.stack(images)


@dataclass(eq=False)
class BoxesToImageInferer(Inferer):
    """Noise seeds and boxes to images by a progressive generator that is asked to put lesions into the boxes.

    Attributes:
        latent_dim: of the generator.
        resolution: side of the images in pixels, in which the boxes are given.
        class_count: K, channels of the condition.
        latent_distribution: as in the generator's training.
    """

    latent_dim: int
    resolution: int
    class_count: int
    latent_distribution: str = "normal"

    def __call__(
        self, inputs: torch.Tensor, network: Any, boxes: torch.Tensor, box_classes: torch.Tensor, **kwargs: Any
    ) -> torch.Tensor:
        """Seeds (B,), boxes (B, M, 4) and their classes (B, M), -1 for padding, to images (B, C, R, R) in [-1, 1]."""
        latents = draw_latents(inputs.tolist(), self.latent_dim, self.latent_distribution).to(inputs.device)
        condition = draw_boxes(boxes, box_classes, self.resolution, self.class_count)  # (B, K, R, R)
        return network(latents, resolution=self.resolution, alpha=1.0, condition=condition).clamp(-1, 1)


@dataclass(eq=False)
class ClassFeatureInferer(Inferer):
    """Noise seeds and classes to features, with the class probabilities that the discriminator gives them.

    Its source head is not asked, as published.

    Attributes:
        discriminator: features to source logits (B,) and class logits (B, K), on the generator's device.
        latent_dim: of the generator.
    """

    discriminator: nn.Module
    latent_dim: int

    @torch.no_grad()
    def __call__(
        self, inputs: torch.Tensor, network: Any, class_index: torch.Tensor, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Seeds (B,) and classes (B,) to standardised features (B, C, H, W) and probabilities (B, K)."""
        latents = draw_latents(inputs.tolist(), self.latent_dim).to(inputs.device)  # (B, latent_dim)
        features = network.eval()(latents, class_index)  # (B, C, H, W)
        _, logits = self.discriminator.eval()(features)  # (B, K)
        return features, logits.float().softmax(dim=1)


def draw_latents(seeds: Sequence[int], latent_dim: int, distribution: str = "normal") -> torch.Tensor:
    """One latent vector per seed, (B, latent_dim), on the CPU; `distribution` as for `sample_latents`."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    return torch.cat([sample_latents(1, latent_dim, distribution, generator) for generator in generators])


def prepare_noise_batch(
    batch: dict[str, Any], device: torch.device, non_blocking: bool = False, **kwargs: Any
) -> tuple[torch.Tensor, torch.Tensor, tuple[()], dict[str, torch.Tensor]]:
    """A batch for `SupervisedEvaluator`: the noise seeds are the input, what else there is goes to the inferer."""
    keys = [key for key in ("noise_seed", "member", "boxes", "box_classes") if key in batch]
    moved: dict[str, torch.Tensor] = {key: batch[key].to(device, non_blocking=non_blocking) for key in keys}
    seeds = moved.pop("noise_seed")
    return seeds, seeds, (), moved  # there is nothing to compare with
