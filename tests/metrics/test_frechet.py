from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from scripts.metrics.frechet import frechet_distance, frechet_with_floor


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
