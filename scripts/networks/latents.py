"""Latent vectors that generators start from."""

from __future__ import annotations

import torch

DISTRIBUTIONS = ("normal", "uniform")


def sample_latents(
    count: int, latent_dim: int, distribution: str = "normal", generator: torch.Generator | None = None
) -> torch.Tensor:
    """Latent vectors (count, latent_dim) on the CPU, so that a seed gives the same ones on every device.

    Their distribution is "normal" for N(0, 1) or "uniform" for [-1, 1], where Han et al. (2019) found no difference.

    Raises:
        ValueError: another distribution.
    """
    if distribution == "normal":
        return torch.randn(count, latent_dim, generator=generator)
    if distribution == "uniform":
        return torch.rand(count, latent_dim, generator=generator) * 2 - 1
    raise ValueError(f"latent_distribution is {distribution!r}, expected one of {list(DISTRIBUTIONS)}. Choose one.")
