"""Sampling the members of an ensemble of unconditional generators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.inferers import Inferer

from scripts.networks.latents import sample_latents


class EnsembleInferer(Inferer):
    """Noise seeds to images, each by the member that is asked for it.

    An image's latent vector comes from its own seed, so it doesn't depend on its batch or the device.

    Args:
        latent_dim: of the generators.
        resolution: side of the images in pixels.
    """

    def __init__(self, latent_dim: int, resolution: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.resolution = resolution

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


def draw_latents(seeds: Sequence[int], latent_dim: int, distribution: str = "normal") -> torch.Tensor:
    """One latent vector per seed, (B, latent_dim), on the CPU; `distribution` as for `sample_latents`."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    return torch.cat([sample_latents(1, latent_dim, distribution, generator) for generator in generators])


def prepare_latent_batch(
    batch: dict[str, Any], device: torch.device, non_blocking: bool = False, **kwargs: Any
) -> tuple[torch.Tensor, torch.Tensor, tuple[()], dict[str, torch.Tensor]]:
    """A batch for `SupervisedEvaluator`: the noise seeds are the input; there is nothing to compare with."""
    seeds, member = (batch[key].to(device, non_blocking=non_blocking) for key in ("noise_seed", "member"))
    return seeds, seeds, (), {"member": member}
