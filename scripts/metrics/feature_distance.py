"""Frechet and kernel distance between two sets of features, as FID and KID have them of Inception's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from scripts.metrics.statistics import Floats, FlooredDistance, distance_with_floor


def frechet_distance(features_a: ArrayLike, features_b: ArrayLike) -> float:
    """Squared Frechet distance between the Gaussians fitted to two samples (Heusel et al. 2017, eq. 6).

    |m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)), with unbiased covariances S = X^T X / (n - 1) of the centred
    features. tr (S_a S_b)^(1/2) is the sum of the singular values of X_a X_b^T / sqrt((n_a - 1)(n_b - 1)), so no matrix
    root is taken: always real, exact for singular covariances (n < d), and the cost is that of an
    SVD of min(n, d) on a side. (MONAI's `FIDMetric` takes the root of a d x d product that is not symmetric.)

    The value falls with n towards its limit: compare only values at the same n (`frechet_with_floor`). Features are
    (n_a, d) and (n_b, d) of 2 rows or more, the distance is >= 0, in their unit squared.
    """
    a, b = checked_features(features_a, features_b)
    shift = a.mean(0) - b.mean(0)
    root_a, root_b = _scaled_rows(a), _scaled_rows(b)
    cross = np.linalg.svd(root_a @ root_b.T, compute_uv=False).sum()
    distance = shift @ shift + (root_a**2).sum() + (root_b**2).sum() - 2 * cross
    return max(0.0, float(distance))


def checked_features(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    """Two samples as float64 matrices of the same width, each with two rows or more and no NaN.

    Raises:
        ValueError: otherwise.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1] or min(len(first), len(second)) < 2:
        raise ValueError(
            f"Features of shape {first.shape} and {second.shape}; expected (n, d) with the same d, n >= 2."
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("Features hold NaN or infinite values; check the network that made them and its input.")
    return first, second


def _scaled_rows(features: Floats) -> Floats:
    """A matrix R of min(n, d) rows with R^T R = covariance."""
    rows = (features - features.mean(0)) / np.sqrt(len(features) - 1)
    return np.asarray(np.linalg.qr(rows, mode="r")) if rows.shape[0] > rows.shape[1] else rows


def frechet_with_floor(
    real_a: ArrayLike,
    real_b: ArrayLike,
    synthetic: ArrayLike,
    *,
    patients: tuple[Sequence[str], Sequence[str], Sequence[str]] | None = None,
    seed: int = 0,
) -> FlooredDistance:
    """Frechet distance of synthetic and of other real images from `real_a` at the same n, each with a 95% interval.

    Args, returns: as in `scripts.metrics.statistics.distance_with_floor`; the lower ends are not below 0.
    """
    result = distance_with_floor(frechet_distance, real_a, real_b, synthetic, patients=patients, seed=seed)
    # np.maximum keeps NaN, the mark of "too few patients for an interval".
    low, floor_low = (float(np.maximum(0.0, end)) for end in (result.low, result.floor_low))
    return result._replace(low=low, floor_low=floor_low)


def kernel_distance(features_a: ArrayLike, features_b: ArrayLike) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel (x.y / d + 1)^3 (Binkowski et al. 2018).

    MMD^2 = mean_{i != j} k(a_i, a_j) + mean_{i != j} k(b_i, b_j) - 2 mean k(a_i, b_j). Its expectation is 0 for equal
    distributions at any n, so unlike the Frechet distance it may be negative and can be compared across n. All rows
    are used (no subsets). MONAI's `MMDMetric` differs: its kernel is linear, hence blind to variance, and it needs
    equal n. Features are (n_a, d) and (n_b, d) of 2 rows or more each. Papers give it times 1000, as our pages do.
    """
    a, b = checked_features(features_a, features_b)
    return _mean_off_diagonal(_kernel(a, a)) + _mean_off_diagonal(_kernel(b, b)) - 2 * float(_kernel(a, b).mean())


def _kernel(a: Floats, b: Floats) -> Floats:
    return (a @ b.T / a.shape[1] + 1) ** 3  # (n_a, n_b)


def _mean_off_diagonal(matrix: Floats) -> float:
    n = len(matrix)
    return float((matrix.sum() - np.trace(matrix)) / (n * (n - 1)))
