"""Samples laid out in the plane so that neighbours stay neighbours: t-SNE (van der Maaten and Hinton, 2008)."""

from __future__ import annotations

import numpy as np
from sklearn.manifold import TSNE

LARGEST_PERPLEXITY = 30.0
FEWEST_SAMPLES = 4


def embed_tsne(samples: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Places of samples in the plane; those of one call are comparable, those of two calls are not.

    Starts from the first two principal components, so that the layout keeps coarse distances too. The perplexity is
    the smaller of 30 and (n - 1) / 3, the most that n samples allow.

    Args:
        samples: (n, ...), n >= 4.
        seed: of the optimisation.

    Returns:
        (n, 2) float32.

    Raises:
        ValueError: fewer than 4 samples, or samples that are all the same.
    """
    flat = np.asarray(samples, dtype=np.float32).reshape(len(samples), -1)
    if len(flat) < FEWEST_SAMPLES:
        raise ValueError(f"{len(flat)} images to lay out, expected {FEWEST_SAMPLES} or more. Raise most_images.")
    if not np.ptp(flat, axis=0).any():
        raise ValueError(f"All {len(flat)} images are the same, so they have no layout. Check the generator.")
    perplexity = min(LARGEST_PERPLEXITY, (len(flat) - 1) / 3)
    return TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(flat)
