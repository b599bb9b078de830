"""How close images lie to others: a generator that has learned its training images by heart gives itself away."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch.nn import functional

THUMBNAIL_SIZE = 64
SHIFT = 2  # pixels of a thumbnail, in steps of one, along each axis
CELL = 4  # shifted thumbnails are averaged over cells of so many pixels
CELLS = (THUMBNAIL_SIZE - 2 * SHIFT) // CELL  # along each axis


def make_thumbnail(image: np.ndarray, size: int = THUMBNAIL_SIZE) -> np.ndarray:
    """An image (C, X, Y) averaged to (C, size, size) float32, in which noise and sharpness count little."""
    pixels = torch.from_numpy(np.asarray(image, dtype=np.float32))
    return functional.adaptive_avg_pool2d(pixels, size).numpy()


def image_distances(samples: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Distance of each image from each of others, whichever of its mirror images and small shifts is nearest.

    ``sqrt(2 - 2 r)``, r the correlation of the pixels of all channels: neither brightness nor contrast counts.
    Of the sample's 4 mirror images (along x, y, both) and 25 shifts of up to 2 pixels the one with the highest r
    counts, compared by cells of 4 x 4 pixels. So 0 is a copy, and images without anything in common are at 1.41.

    Args:
        samples: (n, C, 64, 64), see `make_thumbnail`.
        references: (m, C, 64, 64).

    Returns:
        (n, m) float32 in 0..2.
    """
    middle = _cells(torch.from_numpy(references))[:, :, SHIFT::CELL, SHIFT::CELL][:, :, :CELLS, :CELLS]
    return _distances(_views(torch.from_numpy(samples)), middle.flatten(1))


def feature_distances(samples: np.ndarray, references: np.ndarray) -> np.ndarray:
    """As `image_distances`, of features (n, V, F) of V views of each image from the first of (m, V, F): (n, m)."""
    views, others = (torch.from_numpy(np.asarray(each, dtype=np.float32)) for each in (samples, references))
    return _distances(views.unbind(1), others[:, 0])


def nearest_distances(
    samples: np.ndarray,
    references: np.ndarray,
    *,
    owners: tuple[Sequence[str], Sequence[str]] | None = None,
) -> np.ndarray:
    """Distance of each image from the reference nearest to it, see `image_distances`.

    Args:
        samples: (n, C, 64, 64), see `make_thumbnail`.
        references: (m, C, 64, 64).
        owners: patients of samples and references; references of the sample's own patient are passed over.

    Returns:
        (n,) in 0..2; NaN where no reference is left.
    """
    distances = image_distances(samples, references)
    if owners is not None:
        distances[np.asarray(owners[0])[:, None] == np.asarray(owners[1])] = np.inf
    nearest = distances.min(axis=1, initial=np.inf)
    return np.where(np.isinf(nearest), np.nan, nearest)


def mean_pairwise_distance(samples: np.ndarray) -> float:
    """Mean absolute difference over all pairs of n >= 2 samples: 0 where a generator has collapsed to one image."""
    flat = torch.from_numpy(samples.reshape(len(samples), -1))
    return float(torch.pdist(flat, p=1).mean() / flat.shape[1])


def _views(images: torch.Tensor) -> Iterator[torch.Tensor]:
    """The cells (n, C * CELLS * CELLS) of every mirror image and shift."""
    for flips in ((), (2,), (3,), (2, 3)):
        cells = _cells(images.flip(flips))
        for x in range(2 * SHIFT + 1):
            for y in range(2 * SHIFT + 1):
                yield cells[:, :, x::CELL, y::CELL][:, :, :CELLS, :CELLS].flatten(1)


def _cells(images: torch.Tensor) -> torch.Tensor:
    """Means over a cell that begins at each pixel."""
    return functional.avg_pool2d(images, CELL, stride=1)


def _distances(views: Iterable[torch.Tensor], references: torch.Tensor) -> np.ndarray:
    against = _standardise(references).T.contiguous()
    closest = torch.full((), -1.0)
    for view in views:
        closest = torch.maximum(closest, _standardise(view) @ against)  # (n, m) correlations
    return (2 - 2 * closest).clamp_min(0).sqrt().numpy()


def _standardise(rows: torch.Tensor) -> torch.Tensor:
    """Rows (n, D) with mean 0 and norm 1; a constant row becomes 0."""
    centred = rows - rows.mean(dim=1, keepdim=True)
    return centred / centred.norm(dim=1, keepdim=True).clamp_min(1e-6)
