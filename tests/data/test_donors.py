from __future__ import annotations

import numpy as np
import pytest

from scripts.data.contract import DatasetError
from scripts.data.donors import TRIES, LesionDonors


def test_other_patients_come_before_other_slices_and_never_the_slice_itself() -> None:
    able = np.array([True, True, False, True])
    generator = np.random.default_rng(0)
    donors = LesionDonors(able, ["a", "a", "b", "b"])
    assert donors.draw(0, generator) == [3]
    assert sorted(donors.draw(2, generator)) == [0, 1]
    alone = LesionDonors(able, ["a"] * 4)
    assert sorted(alone.draw(0, generator)) == [1, 3]
    assert LesionDonors(np.array([True, False]), ["a", "a"]).draw(0, generator) == []


def test_all_others_are_drawn_equally_often_without_repetition() -> None:
    donors = LesionDonors(np.ones(31, dtype=bool), [str(n) for n in range(31)])
    drawn = [donors.draw(0, np.random.default_rng(seed)) for seed in range(300)]
    assert all(len(set(each)) == TRIES for each in drawn)
    first = np.bincount([each[0] for each in drawn], minlength=31)
    assert first[0] == 0
    assert ((first[1:] - 10) ** 2 / 10).sum() < 58.3  # 99.9% of the chi-square distribution, 29 degrees of freedom


def test_a_data_set_without_real_lesions_is_refused() -> None:
    with pytest.raises(DatasetError, match="copy_paste_probability is above 0, but no real training slice has a"):
        LesionDonors(np.zeros(3, dtype=bool), ["a", "b", "c"])
