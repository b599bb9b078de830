"""Elastic distortion: a smooth random displacement of every pixel."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d

from scripts.transforms.augmentation import Draws, take

REFERENCE_SIZE = 240  # pixels; the side of BraTS slices, at which the published alpha and sigma hold
NEGLIGIBLE = 1e-7  # of a smoothing matrix' largest singular value


class RandElastic:
    """Distorts square slices by alpha times Gaussian-smoothed noise from [-1, 1].

    Simard, Steinkraus and Platt, Best practices for convolutional neural networks applied to visual document analysis,
    ICDAR 2003, section 2; Mehra et al. (Feature AC-GAN), Table 1: alpha 720, sigma 24. The spread of a displacement is

        sqrt(1/3) alpha / (2 sqrt(pi) sigma)

    pixels along each axis, 4.9 for these numbers, a fiftieth of the image's side. To mean the same at S pixels, sigma
    is multiplied by S / 240 and alpha by its square.

    `Rand2DElasticd` of MONAI is another distortion: normal offsets of a coarse grid, as large as a number drawn for
    each image, joined by cubic interpolation. It has no alpha, and a spacing in place of sigma.

    Args:
        alpha: size of the displacement, at 240 pixels.
        sigma: of the smoothing, in pixels of an image of 240.

    Raises:
        ValueError: a negative alpha, or a sigma that isn't positive.
    """

    def __init__(self, alpha: float = 720.0, sigma: float = 24.0) -> None:
        if alpha < 0 or sigma <= 0:
            raise ValueError(f"alpha is {alpha} and sigma {sigma}, expected 0 or more, and more than 0.")
        self.alpha = float(alpha)
        self.sigma = float(sigma)

    def __call__(self, points: torch.Tensor, draws: Draws) -> torch.Tensor:
        """A move of `scripts.transforms.augmentation`: from p to p + displacement(p)."""
        size = points.shape[-1]
        edge = 1 - 1 / size  # the centres of the outermost pixels
        inside = points.clamp(-edge, edge)
        displacements = torch.stack([self.draw(size, draw) for draw in draws])  # (B, 2, S, S)
        return inside + take(displacements * (2 / size), inside, mode="bilinear")

    def draw(self, size: int, source: np.random.Generator | np.random.RandomState) -> torch.Tensor:
        """A displacement (2, S, S) in pixels, along X and along Y, for slices of S pixels."""
        scale = size / REFERENCE_SIZE
        noise = source.uniform(-1, 1, (2, size, size)).astype(np.float32)
        return self.alpha * scale**2 * smooth_noise(torch.from_numpy(noise), self.sigma * scale)


def smooth_noise(noise: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian smoothing of planes, with zeros around them (SciPy's `gaussian_filter` in mode "constant").

    It is a product with two matrices, since at sigma 24 (pixels) the kernel is nearly as long as an image's side. So
    smooth a result has few degrees of freedom, and the matrices' rank is a tenth of the side.

    Shapes: (N, X, Y) float32 -> the same.
    """
    (left_x, right_x), (left_y, right_y) = (_gaussian_matrix(size, sigma) for size in noise.shape[1:])
    return left_x @ (right_x @ noise @ right_y.T) @ left_y.T


@lru_cache(maxsize=8)
def _gaussian_matrix(size: int, sigma: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Matrices (size, rank) and (rank, size) whose product is that of SciPy's Gaussian filter along one axis."""
    impulses = np.eye(size, dtype=np.float64)
    left, values, right = np.linalg.svd(gaussian_filter1d(impulses, sigma, axis=0, mode="constant"))
    rank = int((values > NEGLIGIBLE * values[0]).sum())
    factors = left[:, :rank] * values[:rank], right[:rank]
    return torch.from_numpy(factors[0].astype(np.float32)), torch.from_numpy(factors[1].astype(np.float32))
