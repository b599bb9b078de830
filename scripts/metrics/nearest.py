"""How close images lie to training images: a generator that has learned them by heart gives itself away."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

THUMBNAIL_SIZE = 32
CHUNK = 64  # samples compared at a time


def make_thumbnail(image: np.ndarray, size: int = THUMBNAIL_SIZE) -> np.ndarray:
    """An image (C, X, Y) averaged to (C, size, size) float32, in which noise and sharpness count little."""
    pixels = torch.from_numpy(np.asarray(image, dtype=np.float32))
    return functional.adaptive_avg_pool2d(pixels, size).numpy()


def nearest_distances(
    samples: np.ndarray,
    references: np.ndarray,
    *,
    owners: tuple[Sequence[str], Sequence[str]] | None = None,
) -> np.ndarray:
    """Mean absolute difference of each sample from the reference nearest to it.

    Args:
        samples: (n, ...) in [-1, 1].
        references: (m, ...) of the same shape.
        owners: patients of samples and references; references of the sample's own patient are passed over.

    Returns:
        (n,) in 0..2; NaN where no reference is left.
    """
    flat, other = samples.reshape(len(samples), -1), references.reshape(len(references), -1)
    nearest = np.full(len(flat), np.nan)
    for start in range(0, len(flat), CHUNK):
        part = slice(start, start + CHUNK)
        distance = torch.cdist(torch.from_numpy(flat[part]), torch.from_numpy(other), p=1).numpy() / flat.shape[1]
        if owners is not None:
            distance[np.asarray(owners[0])[part, None] == np.asarray(owners[1])[None]] = np.inf
        closest = distance.min(axis=1, initial=np.inf)
        nearest[part] = np.where(np.isinf(closest), np.nan, closest)
    return nearest


def mean_pairwise_distance(samples: np.ndarray) -> float:
    """Mean absolute difference over all pairs of n >= 2 samples: 0 where a generator has collapsed to one image."""
    flat = torch.from_numpy(samples.reshape(len(samples), -1))
    return float(torch.pdist(flat, p=1).mean() / flat.shape[1])
