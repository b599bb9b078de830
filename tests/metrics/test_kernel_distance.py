from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics.pairwise import polynomial_kernel

from scripts.metrics.kernel_distance import kernel_distance
from scripts.metrics.statistics import distance_with_floor


def test_by_hand() -> None:
    # d = 1, k(x, y) = (xy + 1)^3. a = {0, 1}: k(0, 1) = 1. b = {1, 2}: k(1, 2) = 27.
    # Cross: k(0, 1) = 1, k(0, 2) = 1, k(1, 1) = 8, k(1, 2) = 27: mean 37 / 4.
    assert kernel_distance([[0.0], [1.0]], [[1.0], [2.0]]) == pytest.approx(1 + 27 - 2 * 37 / 4)


def test_equals_a_plain_double_loop_at_unequal_n() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(7, 3)), rng.normal(1, 2, size=(11, 3))

    def within(x: np.ndarray) -> float:
        k = polynomial_kernel(x, degree=3, gamma=1 / 3, coef0=1)
        return float(np.mean([k[i, j] for i in range(len(x)) for j in range(len(x)) if i != j]))

    expected = within(a) + within(b) - 2 * polynomial_kernel(a, b, degree=3, gamma=1 / 3, coef0=1).mean()
    assert kernel_distance(a, b) == pytest.approx(expected)


@pytest.mark.parametrize("n", [4, 40])
def test_is_unbiased_at_any_n(n: int) -> None:
    rng = np.random.default_rng(1)
    values = [kernel_distance(rng.normal(size=(n, 5)), rng.normal(size=(2 * n, 5))) for _ in range(1000)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(1000)
    assert min(values) < 0


def test_sees_a_difference_in_variance_only() -> None:
    rng = np.random.default_rng(2)
    assert kernel_distance(rng.normal(0, 1, (400, 4)), rng.normal(0, 2, (400, 4))) > 1


def test_floor_lies_around_zero_and_shift_above_it() -> None:
    rng = np.random.default_rng(3)
    samples = rng.normal(size=(80, 6)), rng.normal(size=(80, 6)), rng.normal(1, 1, (90, 6))
    result = distance_with_floor(kernel_distance, *samples)
    assert result.floor_low < 0 < result.floor_high
    assert result.low > result.floor_high
    assert result.n == 80
