from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from scripts.data.contract import DatasetError
from scripts.data.smote import draw_interpolations, find_neighbours


def rows(count: int = 23, values: int = 40) -> np.ndarray:
    return np.random.default_rng(4).normal(5, 2, (count, values)).astype(np.float32)


@pytest.mark.parametrize("block_values", [1, 200, 10**6])
def test_neighbours_are_scikit_learns_whatever_the_block(block_values: int) -> None:
    data = rows()
    expected = NearestNeighbors(n_neighbors=6).fit(data).kneighbors(data, return_distance=False)[:, 1:]
    found = find_neighbours(data.__getitem__, len(data), 5, block_values=block_values)
    np.testing.assert_array_equal(found, expected)


def test_copies_of_a_row_are_neighbours_of_each_other_not_of_themselves() -> None:
    data = np.concatenate([rows(4), rows(4)])
    found = find_neighbours(data.__getitem__, 8, 1)
    assert found[:, 0].tolist() == [4, 5, 6, 7, 0, 1, 2, 3]


def test_rows_are_bases_equally_often_and_neighbours_are_near() -> None:
    data = rows()
    near = find_neighbours(data.__getitem__, 23, 5)
    points = draw_interpolations(data.__getitem__, 23, 23 * 20 + 7)
    assert Counter(Counter(point.base for point in points).values()) == {20: 16, 21: 7}
    assert all(point.neighbour in near[point.base] for point in points)
    drawn = Counter((point.base, point.neighbour) for point in points)
    assert len(drawn) > 0.9 * 23 * 5  # all five of each, not the nearest alone
    shares = [point.share for point in points]
    assert 0 <= min(shares) < 0.05
    assert 0.95 < max(shares) < 1
    assert np.mean(shares) == pytest.approx(0.5, abs=0.05)


def test_the_seed_decides() -> None:
    data = rows()
    draws = [draw_interpolations(data.__getitem__, 23, 9, seed=seed) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_few_rows_have_fewer_neighbours_and_one_has_none() -> None:
    data = rows(2)
    points = draw_interpolations(data.__getitem__, 2, 3)
    assert {(point.base, point.neighbour) for point in points} == {(0, 1), (1, 0)}
    assert draw_interpolations(data.__getitem__, 1, 0) == []
    with pytest.raises(DatasetError, match="SMOTE has 1 real training features"):
        draw_interpolations(data.__getitem__, 1, 3)
