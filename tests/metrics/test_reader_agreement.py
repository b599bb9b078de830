from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from scripts.metrics.reader_agreement import compute_cohen_kappa, compute_fleiss_kappa, compute_share


def test_share_has_the_exact_interval():
    share, low, high = compute_share(31, 50)
    assert share == 0.62
    # the ends at which 31 or more, or 31 or fewer, of 50 have a probability of 2.5%
    assert stats.binom.sf(30, 50, low) == pytest.approx(0.025)
    assert stats.binom.cdf(31, 50, high) == pytest.approx(0.025)


def test_share_of_nothing_and_of_all():
    assert all(math.isnan(value) for value in compute_share(0, 0))
    share, low, high = compute_share(5, 5)
    assert (share, high) == (1, 1)
    assert low == pytest.approx(0.025 ** (1 / 5))
    with pytest.raises(ValueError, match="count is 6 of 5"):
        compute_share(6, 5)


def test_cohen_by_hand():
    # 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: p_o .7, p_e .5 * .6 + .5 * .4 = .5, kappa .4
    a = ["yes"] * 25 + ["no"] * 25
    b = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert compute_cohen_kappa(a, b) == pytest.approx(0.4)


def test_cohen_where_chance_explains_all():
    assert math.isnan(compute_cohen_kappa(["real"] * 4, ["real"] * 4))
    assert math.isnan(compute_cohen_kappa([], []))
    assert compute_cohen_kappa(["real", "made"], ["made", "real"]) == -1
    with pytest.raises(ValueError, match="3 and 2 answers"):
        compute_cohen_kappa([1, 1, 1], [1, 1])


def test_fleiss_reproduces_its_textbook_example():
    # 14 readers, 10 items, 5 answers, as in Wikipedia's article on Fleiss' kappa: .210
    counts = [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
    assert compute_fleiss_kappa(counts) == pytest.approx(0.210, abs=5e-4)


def test_fleiss_by_hand():
    # three readers agree on two items and differ on one: P = 1, 1, 1/3; answers 5 and 4 of 9
    expected = (25 + 16) / 81
    assert compute_fleiss_kappa([[3, 0], [0, 3], [2, 1]]) == pytest.approx((7 / 9 - expected) / (1 - expected))
    assert math.isnan(compute_fleiss_kappa([[3, 0], [3, 0]]))
    assert math.isnan(compute_fleiss_kappa(np.zeros((0, 2))))


@pytest.mark.parametrize("counts", [[[3, 0], [1, 1]], [[1, 0]], [1, 2]])
def test_fleiss_refuses_other_tables(counts):
    with pytest.raises(ValueError, match="expected"):
        compute_fleiss_kappa(counts)
