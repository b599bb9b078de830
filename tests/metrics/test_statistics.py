from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from scripts.metrics.feature_distance import frechet_distance
from scripts.metrics.statistics import (
    average_by_patient,
    bootstrap_interval,
    distance_with_floor,
    half_sample_error,
    holm,
    mean_by_patient,
    sign_flip_test,
    standardise,
)


def test_sign_flip_by_hand() -> None:
    # Sums of the 8 patterns of 1, 2, 3: +-6, +-4, +-2, 0, 0. Two reach |6|.
    assert sign_flip_test([1, 2, 3]) == 2 / 8
    assert sign_flip_test([1, -2, 3]) == 6 / 8


@pytest.mark.parametrize("n", [5, 12])
def test_exact_sign_flip_equals_scipy(n: int) -> None:
    differences = np.random.default_rng(n).normal(0.3, 1, n).round(1)  # rounding makes ties
    expected = stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_test(differences) == pytest.approx(expected.pvalue)


def test_monte_carlo_sign_flip_agrees_with_enumeration() -> None:
    values = np.random.default_rng(1).normal(0.4, 1, 17)  # one more than is enumerated
    signs = np.array(list(itertools.product((1, -1), repeat=17)), dtype=np.int8)
    exact = np.mean(np.abs(signs @ values) >= abs(values.sum()) - 1e-9)
    assert sign_flip_test(values, permutations=20_000) == pytest.approx(exact, abs=0.012)


def test_monte_carlo_p_is_never_zero() -> None:
    assert sign_flip_test(np.ones(40), permutations=999) == 1 / 1000


def test_sign_flip_is_calibrated_under_the_null() -> None:
    rng = np.random.default_rng(2)
    p = np.array([sign_flip_test(rng.normal(size=8)) for _ in range(1000)])
    assert np.mean(p <= 0.05) == pytest.approx(12 / 256, abs=0.02)  # 12 of 256 patterns: the largest p under .05


@pytest.mark.parametrize(("n", "smallest"), [(5, 1 / 16), (6, 1 / 32)])
def test_smallest_p(n: int, smallest: float) -> None:
    assert sign_flip_test(np.arange(1, n + 1)) == smallest


def test_no_difference_at_all_gives_one() -> None:
    assert sign_flip_test(np.zeros(7)) == 1.0


@pytest.mark.parametrize("bad", [[], [1.0, float("nan")], [[1.0, 2.0]]])
def test_sign_flip_refuses(bad: list) -> None:
    with pytest.raises(ValueError, match="differences"):
        sign_flip_test(bad)


def test_interval_is_close_to_student_for_normal_values() -> None:
    values = np.random.default_rng(3).normal(5, 2, 60)
    low, high = bootstrap_interval(values)
    expected = stats.t.interval(0.95, 59, values.mean(), stats.sem(values))
    assert (low, high) == pytest.approx(expected, abs=0.08)


def test_interval_covers_better_than_plain_percentiles_at_six_patients() -> None:
    rng = np.random.default_rng(4)
    ours = plain = 0
    for seed in range(300):
        values = rng.normal(size=6)
        low, high = bootstrap_interval(values, resamples=500, seed=seed)
        ours += low <= 0 <= high
        low, high = stats.bootstrap((values,), np.mean, n_resamples=500, method="percentile").confidence_interval
        plain += low <= 0 <= high
    assert ours / 300 > 0.91
    assert plain < ours


def test_interval_of_constants() -> None:
    assert bootstrap_interval(np.full(6, 0.7)) == pytest.approx((0.7, 0.7))


@pytest.mark.parametrize(("patients", "known"), [(1, False), (5, False), (6, True)])
def test_fewer_than_six_patients_have_no_interval(patients: int, known: bool) -> None:
    assert np.isfinite(bootstrap_interval(np.arange(patients))).all() == known


def test_holm_by_hand() -> None:
    p = [0.01, 0.04, 0.03, 0.005]
    assert holm(p) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # .04 x 1 is lifted to the step before
    assert holm([]).size == 0


def test_holm_rejects_what_its_stepwise_definition_rejects() -> None:
    for seed in range(20):
        p = np.random.default_rng(seed).uniform(0, 0.1, 7)
        rejected = np.zeros(7, bool)
        for step, index in enumerate(np.argsort(p)):
            if p[index] > 0.05 / (7 - step):
                break
            rejected[index] = True
        assert ((holm(p) <= 0.05) == rejected).all()


def test_corrections_refuse_what_is_no_probability() -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        holm([0.1, float("nan")])


def test_average_by_patient_by_hand() -> None:
    names, means = average_by_patient(["b", "a", "b", "c", "a"], [1.0, 4.0, 2.0, np.nan, np.nan])
    assert names == ["b", "a", "c"]
    np.testing.assert_allclose(means, [1.5, 4.0, np.nan])


def test_mean_by_patient_by_hand() -> None:
    found = mean_by_patient(["b", "a", "b", "c", "a"], [1.0, 4.0, 2.0, np.nan, np.nan])  # of 1.5 and 4
    assert (found.value, found.n) == (2.75, 2)
    assert np.isnan([found.low, found.high]).all()  # of two patients


def test_a_mean_of_nothing_is_not_known() -> None:
    for patients, values in (([], []), (["a"], [np.nan])):
        found = mean_by_patient(patients, values)
        assert found.n == 0
        assert np.isnan(found[:3]).all()


def test_half_sample_error_of_a_difference_of_means() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(0, 1, (80, 1)), rng.normal(0, 3, (120, 1))
    error = half_sample_error(lambda x, y: float(x.mean() - y.mean()), a, b, resamples=2000)
    assert error == pytest.approx(np.sqrt(a.var() / 80 + b.var() / 120), rel=0.06)


def test_half_sample_error_takes_patients_as_units() -> None:
    values = np.random.default_rng(6).normal(size=(40, 1)).repeat(10, axis=0)  # ten identical slices per patient
    patients = [str(index // 10) for index in range(400)]

    def difference(x: np.ndarray, y: np.ndarray) -> float:
        return float(x.mean() - y.mean())

    by_patient = half_sample_error(difference, values, values + 1, patients=(patients, patients), resamples=1000)
    by_slice = half_sample_error(difference, values, values + 1, resamples=1000)
    assert by_patient == pytest.approx(by_slice * np.sqrt(10), rel=0.1)


def test_floor_is_taken_at_the_same_n() -> None:
    sizes: list[tuple[int, int]] = []

    def distance(a: np.ndarray, b: np.ndarray) -> float:
        sizes.append((len(a), len(b)))
        return 0.0

    rng = np.random.default_rng(7)
    result = distance_with_floor(distance, rng.normal(size=(30, 2)), rng.normal(size=(50, 2)), rng.normal(size=(90, 2)))
    assert result.n == 30
    assert set(sizes) == {(30, 30), (15, 15)}


def test_intervals_cover_the_expected_distance() -> None:
    rng = np.random.default_rng(8)

    def draw(shift: float) -> np.ndarray:
        return rng.normal(shift, 1, (60, 4))

    expected = np.mean([frechet_distance(draw(0), draw(0.5)) for _ in range(300)])
    runs = [distance_with_floor(frechet_distance, draw(0), draw(0), draw(0.5), resamples=40) for _ in range(60)]
    assert np.mean([run.low <= expected <= run.high for run in runs]) > 0.85
    assert np.mean([run.floor_high < run.value for run in runs]) > 0.85


def test_floor_refuses_patients_of_another_length() -> None:
    with pytest.raises(ValueError, match="3 patients for 4 rows"):
        distance_with_floor(frechet_distance, *[np.eye(4)] * 3, patients=(list("abcd"), list("abc"), list("abcd")))


def test_samples_are_standardised_by_the_reference_alone() -> None:
    reference = np.array([[0.0, 5.0], [4.0, 5.0]])  # mean 2 and 5, deviation 2 and 0
    (own, other) = standardise(reference, reference, np.array([[6.0, 8.0]]))
    np.testing.assert_array_equal(own, [[-1, 0], [1, 0]])
    np.testing.assert_array_equal(other, [[2, 3]])
