from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm
from sklearn.metrics.pairwise import polynomial_kernel

from scripts.metrics.feature_distance import frechet_distance, frechet_with_floor, kernel_distance
from scripts.metrics.statistics import distance_with_floor


def test_of_one_dimension_by_hand() -> None:
    # Means 1 and 4; unbiased variances 2 and 8: 9 + 2 + 8 - 2 sqrt(16).
    assert frechet_distance([[0.0], [2.0]], [[2.0], [6.0]]) == pytest.approx(11.0)


def test_of_commuting_covariances_is_the_closed_form() -> None:
    rng = np.random.default_rng(0)
    x = np.linalg.qr(rng.normal(size=(50, 5)) - 0)[0]
    x = np.linalg.qr(x - x.mean(0))[0] * np.sqrt(49)  # centred, covariance exactly 1
    sigma_a, sigma_b = np.array([1, 2, 3, 4, 5.0]), np.array([2, 2, 1, 7, 0.0])
    expected = 5 * 0.3**2 + ((sigma_a - sigma_b) ** 2).sum()
    assert frechet_distance(x * sigma_a, x * sigma_b + 0.3) == pytest.approx(expected)


@pytest.mark.parametrize(("n_a", "n_b", "d"), [(200, 150, 6), (40, 90, 20)])
def test_equals_the_matrix_root(n_a: int, n_b: int, d: int) -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(size=(n_a, d)) @ rng.normal(size=(d, d))
    b = rng.normal(size=(n_b, d)) @ rng.normal(size=(d, d)) + 1
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    shift = a.mean(0) - b.mean(0)
    expected = shift @ shift + np.trace(cov_a + cov_b - 2 * sqrtm(cov_a @ cov_b).real)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


def test_singular_covariances() -> None:
    # 10 rows in 300 dimensions, orthogonal supports: the cross term is 0, the traces add.
    a, b = np.zeros((10, 300)), np.zeros((10, 300))
    a[:, :10], b[:, 100:110] = np.eye(10), 2 * np.eye(10)
    shift = 10 * 0.1**2 + 10 * 0.2**2
    assert frechet_distance(a, b) == pytest.approx(shift + np.cov(a.T).trace() + np.cov(b.T).trace())


def test_is_zero_for_itself_and_symmetric() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(30, 8)), rng.normal(size=(25, 8))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a))


def test_floor_of_high_dimensional_halves_is_far_from_zero() -> None:
    rng = np.random.default_rng(3)
    real_a, real_b, same = rng.normal(size=(3, 50, 256))
    result = frechet_with_floor(real_a, real_b, same)
    assert result.floor == pytest.approx(337, rel=0.1)  # measured independently, papers/NOTES.md
    assert result.low <= result.floor <= result.high


def test_floor_interval_is_not_negative_and_unknown_for_three_rows() -> None:
    rng = np.random.default_rng(4)
    assert frechet_with_floor(*rng.normal(size=(3, 12, 1))).floor_low >= 0
    assert np.isnan(frechet_with_floor(*rng.normal(size=(3, 3, 1))).low)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.ones((3, 2)), np.ones((3, 4)), "same d"),
        (np.ones((1, 2)), np.ones((3, 2)), "n >= 2"),
        (np.full((3, 2), np.nan), np.ones((3, 2)), "NaN"),
    ],
)
def test_refuses(a: np.ndarray, b: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        frechet_distance(a, b)


def test_kernel_distance_by_hand() -> None:
    # d = 1, k(x, y) = (xy + 1)^3. a = {0, 1}: k(0, 1) = 1. b = {1, 2}: k(1, 2) = 27.
    # Cross: k(0, 1) = 1, k(0, 2) = 1, k(1, 1) = 8, k(1, 2) = 27: mean 37 / 4.
    assert kernel_distance([[0.0], [1.0]], [[1.0], [2.0]]) == pytest.approx(1 + 27 - 2 * 37 / 4)


def test_kernel_distance_equals_a_plain_double_loop_at_unequal_n() -> None:
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
