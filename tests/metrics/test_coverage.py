from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from scripts.metrics.coverage import compare_neighbourhoods, coverage, order_members

LINE = np.array([[0.0], [1.0], [3.0], [7.0]])  # radii at k = 1: 1, 1, 2, 4; at k = 2: 3, 2, 3, 6


def test_balls_reach_to_the_kth_nearest_other_real_sample():
    assert coverage(LINE, [[1.5]], k=1) == 2 / 4  # within 1 of the sample at 1, within 2 of that at 3
    assert coverage(LINE, [[1.5]], k=2) == 1
    assert coverage(LINE, [[-3.0]], k=2) == 1 / 4  # just in the ball of 0; 4 away from 1, whose radius is 2
    assert coverage(LINE, [[-3.01]], k=2) == 0
    assert coverage(LINE, [[-1.0], [11.0]], k=1) == 2 / 4


def test_it_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    real, synthetic = rng.normal(size=(60, 8)), rng.normal(0.7, 0.6, size=(25, 8))
    radii = NearestNeighbors(n_neighbors=6).fit(real).kneighbors(real)[0][:, -1]  # the nearest is the sample itself
    nearest = NearestNeighbors(n_neighbors=1).fit(synthetic).kneighbors(real)[0][:, 0]
    expected = float((nearest <= radii).mean())
    assert 0.1 < expected < 0.9
    assert coverage(real, synthetic) == expected


def test_copies_of_the_real_samples_cover_them_even_where_all_are_duplicates():
    assert coverage(LINE, LINE, k=1) == 1
    assert coverage(np.ones((7, 3)), np.ones((1, 3))) == 1
    assert coverage(np.ones((7, 3)), np.full((1, 3), 1.001)) == 0


def test_precision_recall_and_density_count_balls():
    """Real radii at k = 1: 1, 1, 2, 4; synthetic ones: 1.5, 1.5 and 17."""
    found = compare_neighbourhoods(LINE, [[1.5], [3.0], [20.0]], k=1)
    # 1.5 lies in the balls of 1 and 3, 3 in those of 3 and 7 (on its edge), 20 in none.
    assert (found.precision, found.density, found.coverage) == (2 / 3, 4 / 3, 3 / 4)
    # 0 lies in the ball of 1.5 (on its edge), 1 and 3 in it, too, and 7 in that of 20.
    assert found.recall == 1
    with pytest.raises(ValueError, match="k is 3 for 3"):
        compare_neighbourhoods(LINE, [[1.5], [3.0], [20.0]], k=3)


def islands(*places: int) -> list[list[float]]:
    """One synthetic sample on each of these islands: pairs of real samples that are far from all others."""
    return [[100.0 * place] for place in places]


REAL = [[100.0 * place + side] for place in range(7) for side in (-1, 1)]


def order(*members: list[list[float]], k: int = 1):
    owners = [number for number, images in enumerate(members) for _ in images]
    return order_members(REAL, [image for images in members for image in images], owners, k=k)


def test_of_two_good_members_that_overlap_greedy_takes_only_one_first():
    chosen = order(islands(0, 1, 2, 3), islands(1, 2, 3, 3), islands(0, 1, 2, 2), islands(4, 4, 5, 5))
    assert chosen.single == [4 / 7, 3 / 7, 3 / 7, 2 / 7]
    assert chosen.order == [0, 3, 1, 2]  # 1 and 2 add nothing then; the lower number comes first
    assert chosen.coverage == [4 / 7, 6 / 7, 6 / 7, 6 / 7]


def test_identical_members_come_in_their_own_order():
    chosen = order(islands(0, 1), islands(0, 1), islands(0, 1))
    assert (chosen.order, chosen.coverage) == ([0, 1, 2], [2 / 7] * 3)


def test_members_are_cut_to_the_smallest():
    chosen = order(islands(0, 1, 2, 3, 4), islands(5, 6))
    assert chosen.images_per_member == 2
    assert (chosen.single, chosen.coverage) == ([2 / 7, 2 / 7], [2 / 7, 4 / 7])


def test_members_keep_their_numbers():
    chosen = order_members(REAL, islands(0, 1, 1), [9, 4, 4], k=1)
    assert (chosen.order, chosen.single) == ([4, 9], [1 / 7, 1 / 7])


def test_greedy_is_within_1_minus_1_over_e_of_the_best_choice():
    rng = np.random.default_rng(1)
    real = rng.normal(size=(80, 2))
    synthetic = [rng.normal(rng.normal(size=2), 0.3, size=(6, 2)) for _ in range(7)]
    owners = np.repeat(np.arange(7), 6)
    chosen = order_members(real, np.concatenate(synthetic), owners.tolist())
    for size, reached in enumerate(chosen.coverage, start=1):
        choices = combinations(synthetic, size)
        best = max(coverage(real, np.concatenate(choice)) for choice in choices)
        assert reached == coverage(real, np.concatenate([synthetic[m] for m in chosen.order[:size]]))
        assert (1 - 1 / np.e) * best <= reached <= best


@pytest.mark.parametrize("k", [0, 4])
def test_k_beyond_the_other_samples_is_refused(k):
    with pytest.raises(ValueError, match=f"k is {k} for 4 real samples, expected 1..3"):
        coverage(LINE, LINE, k=k)


def test_features_that_cannot_be_compared_are_refused():
    with pytest.raises(ValueError, match=r"Features of shape \(4, 1\) and \(1, 2\)"):
        coverage(LINE, [[0.0, 0.0]], k=1)
    with pytest.raises(ValueError, match="NaN"):
        coverage(LINE, [[np.nan]], k=1)
    with pytest.raises(ValueError, match="1 members for 2 synthetic samples"):
        order_members(LINE, [[0.0], [1.0]], [0], k=1)
