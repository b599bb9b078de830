"""Kernel distance between two sets of features (KID where the features are Inception's), with its floor."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from scripts.metrics.frechet import checked_features
from scripts.metrics.statistics import Floats


def kernel_distance(features_a: ArrayLike, features_b: ArrayLike) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel (x.y / d + 1)^3 (Binkowski et al. 2018).

    MMD^2 = mean_{i != j} k(a_i, a_j) + mean_{i != j} k(b_i, b_j) - 2 mean k(a_i, b_j). Its expectation is 0 for equal
    distributions at any n, so unlike the Frechet distance it may be negative and can be compared across n. All rows
    are used (no subsets). MONAI's `MMDMetric` differs: its kernel is linear, hence blind to variance, and it needs
    equal n.

    Args:
        features_a: (n_a, d), n_a >= 2.
        features_b: (n_b, d), n_b >= 2; n_b need not be n_a.

    Returns:
        The squared discrepancy; about 0 or slightly negative for equal distributions.
    """
    a, b = checked_features(features_a, features_b)
    return _mean_off_diagonal(_kernel(a, a)) + _mean_off_diagonal(_kernel(b, b)) - 2 * float(_kernel(a, b).mean())


def _kernel(a: Floats, b: Floats) -> Floats:
    return (a @ b.T / a.shape[1] + 1) ** 3  # (n_a, n_b)


def _mean_off_diagonal(matrix: Floats) -> float:
    n = len(matrix)
    return float((matrix.sum() - np.trace(matrix)) / (n * (n - 1)))
