from __future__ import annotations

import numpy as np
import pytest

from scripts.metrics.measure import average, embed, mean_of_patients, ratio, restrict

NAN = float("nan")


def test_a_ratio_is_of_sums() -> None:
    measure = ratio(np.array([1.0, 3.0, 0.0]), np.array([2.0, 10.0, 0.0]))
    assert measure.value == pytest.approx(4 / 12)
    assert measure.told.tolist() == [True, True, False]
    assert measure.alone.tolist() == pytest.approx([0.5, 0.3, NAN], nan_ok=True)
    assert measure.of(np.array([[2.0, 1, 5], [0, 0, 1]])) == pytest.approx([5 / 14, NAN], nan_ok=True)


def test_what_patients_bring_to_a_ratio_has_it_as_mean() -> None:
    measure = ratio(np.array([1.0, 3.0, 0.0]), np.array([2.0, 10.0, 0.0]))
    assert np.nanmean(measure.by_patient) == pytest.approx(4 / 12)
    assert np.isnan(ratio(np.zeros(2), np.zeros(2)).by_patient).all()


def test_a_mean_leaves_out_patients_who_say_nothing() -> None:
    measure = mean_of_patients([0.5, NAN, 0.8])
    assert measure.value == pytest.approx(0.65)
    assert measure.of(np.array([[1.0, 7, 3], [0, 1, 0]])) == pytest.approx([(0.5 + 2.4) / 4, NAN], nan_ok=True)
    assert measure.alone.tolist() == pytest.approx([0.5, NAN, 0.8], nan_ok=True)


def test_a_group_is_measured_as_if_there_were_no_others() -> None:
    hits, totals = np.array([1.0, 3, 2, 5]), np.array([2.0, 4, 7, 5])
    members = np.array([True, False, True, False])
    group = restrict(ratio(hits, totals), members)
    assert group.value == ratio(hits[members], totals[members]).value
    assert group.told.tolist() == members.tolist()
    assert np.isnan(group.by_patient[~members]).all()


def test_embedded_patients_keep_their_values_and_others_say_nothing() -> None:
    few = mean_of_patients([0.2, 0.6])
    many = embed(few, [3, 1], 5)
    assert many.value == few.value
    assert many.by_patient.tolist() == pytest.approx([NAN, 0.6, NAN, 0.2, NAN], nan_ok=True)
    assert many.of(np.array([[9.0, 1, 9, 3, 9]])) == pytest.approx([(0.6 + 0.6) / 4])


def test_an_average_is_over_the_measures_that_have_a_value() -> None:
    mean = average([mean_of_patients([0.2, NAN]), mean_of_patients([0.4, 1.0])])
    assert mean.by_patient.tolist() == pytest.approx([0.3, 1.0])
    assert mean.of(np.array([[0.0, 1]])) == pytest.approx([1.0])
    with pytest.raises(ValueError, match=r"\[1, 2\] patients"):
        average([mean_of_patients([1]), mean_of_patients([1, 2])])
