"""How often readers are right, and how far they agree beyond chance."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from sklearn.metrics import cohen_kappa_score


def compute_share(count: int, total: int) -> tuple[float, float, float]:
    """A share of independent trials and its exact 95% interval (Clopper and Pearson 1934), which is never too narrow.

    Returns:
        (share, low, high) in [0, 1]; all NaN where total is 0.

    Raises:
        ValueError: count or total out of range.
    """
    if not 0 <= count <= total:
        raise ValueError(f"count is {count} of {total}; expected a number from 0 to the total.")
    if total == 0:
        return float("nan"), float("nan"), float("nan")
    interval = stats.binomtest(count, total).proportion_ci(confidence_level=0.95, method="exact")
    return count / total, float(interval.low), float(interval.high)


def compute_cohen_kappa(a: Sequence[Hashable], b: Sequence[Hashable]) -> float:
    """Agreement of two readers of the same n items beyond chance (Cohen 1960): (p_o - p_e) / (1 - p_e).

    p_o is the share of equal answers, p_e the share expected from each reader's own frequencies.

    Returns:
        Kappa in [-1, 1]; NaN without items, or where both readers always give the same one answer.

    Raises:
        ValueError: lists of different length.
    """
    if len(a) != len(b):
        raise ValueError(f"{len(a)} and {len(b)} answers; expected those of both readers to the same items.")
    return float(cohen_kappa_score(a, b)) if len({*a, *b}) > 1 else float("nan")


def compute_fleiss_kappa(counts: ArrayLike) -> float:
    """Agreement of several readers beyond chance (Fleiss 1971).

    With P_i the share of agreeing pairs of readers on item i, and p_j the share of all answers that are j:
    (mean P_i - sum p_j^2) / (1 - sum p_j^2). It does not ask who gave which answer, so that for two readers it is
    Scott's pi, not Cohen's kappa.

    Args:
        counts: (items, answers) how many readers gave each answer; every row has the same sum, two or more.

    Returns:
        Kappa, at most 1; NaN without items, or where all answers are the same.

    Raises:
        ValueError: not a table, or items with different numbers of readers, or one reader.
    """
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError(f"counts have shape {table.shape}; expected (items, answers).")
    if not len(table):
        return float("nan")
    readers = table.sum(axis=1)
    if (readers != readers[0]).any() or readers[0] < 2:
        raise ValueError(f"The items have {sorted(set(readers.astype(int)))} readers; expected the same two or more.")
    n = readers[0]
    observed = ((table**2).sum(axis=1) - n) / (n * (n - 1))
    expected = float(((table.sum(axis=0) / table.sum()) ** 2).sum())
    return float((observed.mean() - expected) / (1 - expected)) if expected < 1 else float("nan")
