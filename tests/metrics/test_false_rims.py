from __future__ import annotations

import numpy as np
import pytest

from scripts.metrics.false_rims import rim_share


def square(rim: int) -> np.ndarray:
    """Label 3, 8 x 8, with a rim of label 2 so many pixels wide around it, on background."""
    label = np.zeros((24, 24), int)
    label[8 - rim : 16 + rim, 8 - rim : 16 + rim] = 2
    label[8:16, 8:16] = 3
    return label


def test_a_thin_rim_counts_whole():
    assert rim_share(square(1), 3) == pytest.approx((10 * 10 - 64) / 100)


def test_a_wide_region_is_no_rim():
    assert rim_share(square(4), 3) == 0


def test_a_sharp_edge_has_none():
    assert rim_share(square(0), 3) == 0


def test_thin_lesions_that_lie_between_nothing_do_not_count():
    label = np.zeros((12, 12), int)
    label[5] = 2
    assert rim_share(label, 3) == 0
    assert np.isnan(rim_share(np.zeros((4, 4), int), 3))
