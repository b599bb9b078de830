"""Elastic distortion: a smooth random displacement of every pixel."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable
from monai.utils import convert_to_tensor
from scipy.ndimage import gaussian_filter1d
from torch.nn import functional

REFERENCE_SIZE = 240  # pixels; the side of BraTS slices, at which the published alpha and sigma hold


class RandElasticd(Randomizable, MapTransform):
    """Distorts square slices by alpha times Gaussian-smoothed noise from [-1, 1], the same for all keys.

    Simard, Steinkraus and Platt, Best practices for convolutional neural networks applied to visual document analysis,
    ICDAR 2003, section 2; Mehra et al. (Feature AC-GAN), Table 1: alpha 720, sigma 24. The spread of a displacement is

        sqrt(1/3) alpha / (2 sqrt(pi) sigma)

    pixels along each axis, 4.9 for these numbers, a fiftieth of the image's side. To mean the same at S pixels, sigma
    is multiplied by S / 240 and alpha by its square.

    `Rand2DElasticd` of MONAI is another distortion: normal offsets of a coarse grid, as large as a number drawn for
    each image, joined by cubic interpolation. It has no alpha, and a spacing in place of sigma.

    Images are interpolated linearly, the key "label" takes the nearest value, and what comes from outside is the
    nearest pixel of the edge. Results are plain tensors.

    Args:
        keys: arrays (C, S, S).
        alpha: size of the displacement, at 240 pixels.
        sigma: of the smoothing, in pixels of an image of 240.

    Raises:
        ValueError: a negative alpha, or a sigma that isn't positive.
    """

    def __init__(self, keys: KeysCollection, alpha: float = 720.0, sigma: float = 24.0) -> None:
        MapTransform.__init__(self, keys)
        if alpha < 0 or sigma <= 0:
            raise ValueError(f"alpha is {alpha} and sigma {sigma}, expected 0 or more, and more than 0.")
        self.alpha = float(alpha)
        self.sigma = float(sigma)
        self.displacement = torch.zeros(2, 1, 1)

    def randomize(self, data: torch.Tensor) -> None:
        """Draws the displacement (2, S, S) for an array (C, S, S)."""
        scale = data.shape[-1] / REFERENCE_SIZE
        noise = self.R.uniform(-1, 1, (2, *data.shape[1:])).astype(np.float32)
        smooth = smooth_noise(torch.from_numpy(noise), self.sigma * scale)
        self.displacement = self.alpha * scale**2 * smooth

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        distorted = dict(data)
        self.randomize(distorted[next(iter(self.key_iterator(distorted)))])
        for key in self.key_iterator(distorted):
            mode = "nearest" if key == "label" else "bilinear"
            distorted[key] = displace(distorted[key], self.displacement, mode=mode)
        return distorted


def smooth_noise(noise: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian smoothing of planes, with zeros around them (SciPy's `gaussian_filter` in mode "constant").

    It is a product with two matrices, since at sigma 24 (pixels) the kernel is nearly as long as an image's side.

    Shapes: (N, X, Y) float32 -> the same.
    """
    along_x, along_y = (_gaussian_matrix(size, sigma) for size in noise.shape[1:])
    return along_x @ noise @ along_y.T


def displace(array: torch.Tensor, displacement: torch.Tensor, *, mode: str) -> torch.Tensor:
    """Takes the value of each pixel p of an array (C, X, Y) from p + displacement(p), and keeps the array's type.

    Args:
        displacement: (2, X, Y) in pixels, along X and along Y.
        mode: "bilinear" or "nearest". Outside the array is the nearest pixel of its edge.
    """
    plain: torch.Tensor = convert_to_tensor(array, track_meta=False)
    sides = torch.tensor(plain.shape[1:])
    pixels = torch.meshgrid(*(torch.arange(side) for side in sides), indexing="ij")
    points = torch.stack(pixels) + displacement  # (2, X, Y)
    normalised = (2 * points + 1) / sides[:, None, None] - 1  # -1 and 1 are the outer edges of the pixels
    grid = normalised.flip(0).permute(1, 2, 0)[None]  # (1, X, Y, 2), the last axis first
    moved = functional.grid_sample(plain[None].float(), grid, mode=mode, padding_mode="border", align_corners=False)
    return moved[0].to(plain.dtype)


@lru_cache(maxsize=8)
def _gaussian_matrix(size: int, sigma: float) -> torch.Tensor:
    """The matrix (size, size) of SciPy's Gaussian filter along one axis."""
    impulses = np.eye(size, dtype=np.float64)
    return torch.from_numpy(gaussian_filter1d(impulses, sigma, axis=0, mode="constant").astype(np.float32))
