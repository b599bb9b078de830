"""How far patches of images are from those of other images at every scale, without any network."""

from __future__ import annotations

import torch
import torch.nn.functional as F

PATCH = 7  # pixels along each side
COARSEST = 16  # pixels along each side of the last level
PATCHES_PER_IMAGE = 64
DIRECTIONS = 128


def sliced_wasserstein(real: torch.Tensor, made: torch.Tensor) -> float:
    """Sliced Wasserstein distance of the patches of two sets of images, the mean over the levels of their pyramids.

    Karras et al., Progressive growing of GANs, ICLR 2018, section 5: patches of 7x7 pixels from each image and
    level of a Laplacian pyramid down to 16 pixels, projected on random directions; along each the distance is the mean
    difference of the sorted values. It sees sharpness, contrast, noise and variety, not anatomy.

    Deviations: both sets are in units of the real patches' mean and standard deviation per channel, where each is in
    its own there, which hides brightness and contrast; the pyramid averages 2x2 pixels; 64 patches and 128 directions
    in place of 128 and 512. Places and directions are the same in every call, so that values can be compared.

    Args:
        real, made: (N, C, S, S) each, N >= 1.

    Returns:
        >= 0, in standard deviations; 0 for equal sets.
    """
    generator = torch.Generator().manual_seed(0)
    distances = []
    for ours, theirs in zip(_pyramid(real.float().cpu()), _pyramid(made.float().cpu()), strict=True):
        count, channels, size, _ = ours.shape
        patch = min(PATCH, size)
        corners = torch.randint(size - patch + 1, (2, count, PATCHES_PER_IMAGE), generator=generator)
        directions = F.normalize(torch.randn(DIRECTIONS, patch**2 * channels, generator=generator), dim=1)
        real_patches, made_patches = (_cut(level, corners, patch) for level in (ours, theirs))  # (N', patch^2, C)
        deviation, mean = torch.std_mean(real_patches, dim=(0, 1))
        values = [
            (directions @ ((patches - mean) / deviation.clamp(min=1e-8)).flatten(1).T).sort(dim=1).values
            for patches in (real_patches, made_patches)
        ]  # (DIRECTIONS, N') each
        distances.append((values[0] - values[1]).abs().mean())
    return torch.stack(distances).mean().item()


def _pyramid(images: torch.Tensor) -> list[torch.Tensor]:
    """What each halving of the size takes from the images, finest first, and what is left in the end."""
    levels = []
    while images.shape[-1] >= 2 * COARSEST:
        smaller = F.avg_pool2d(images, 2)
        levels.append(images - F.interpolate(smaller, size=images.shape[-2:], mode="nearest"))
        images = smaller
    return [*levels, images]


def _cut(images: torch.Tensor, corners: torch.Tensor, patch: int) -> torch.Tensor:
    """Patches (N * n, patch^2, C) of images (N, C, S, S) at corners (2, N, n)."""
    rows, columns = corners[..., None] + torch.arange(patch)  # (N, n, patch) each
    number = torch.arange(len(images))[:, None, None, None]
    cut = images.movedim(1, 3)[number, rows[..., None], columns[..., None, :]]  # (N, n, patch, patch, C)
    return cut.flatten(0, 1).flatten(1, 2)
