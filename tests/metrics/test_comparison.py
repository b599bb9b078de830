from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from scripts.metrics.box_detection import (
    Froc,
    false_positives_per_slice,
    mean_average_precision,
    sensitivity,
)
from scripts.metrics.box_matching import Matches, join_matches
from scripts.metrics.comparison import compare, estimate
from scripts.metrics.detection import precision_recall_with_interval
from scripts.metrics.measure import Measure, average
from scripts.metrics.statistics import bootstrap_interval, sign_flip_test


def random_matches(seed: int, *, patients: int = 12, truths: int = 60, strays: int = 90, skill: float = 0.6) -> Matches:
    """Matches of one class with two slices per patient; the last patient has no truths."""
    rng = np.random.default_rng([seed, 1])
    owners = np.random.default_rng(0).integers(0, patients - 1, truths)  # of the truths: the same for all seeds
    found = np.flatnonzero(rng.random(truths) < skill)
    order = rng.permutation(len(found) + strays)
    scores = np.concatenate([rng.beta(4, 2, len(found)), rng.beta(2, 3, strays)])
    return join_matches(
        1,
        [str(number) for number in range(patients)],
        np.full(patients, 2),
        scores=scores[order],
        classes=np.zeros(len(order), dtype=np.intp),
        owners=np.concatenate([owners[found], rng.integers(0, patients, strays)])[order],
        truths=np.concatenate([found, np.full(strays, -1)])[order],
        true_classes=np.zeros(truths, dtype=np.intp),
        true_owners=owners,
        areas=np.ones(truths),
    )


def test_interval_of_sensitivity_equals_that_of_recall() -> None:
    matches = random_matches(1)
    outcomes: dict[str, list[str]] = {name: [] for name in matches.patients}
    for owner, score in zip(matches.true_owners, matches.found_at, strict=True):
        outcomes[str(owner)].append("true_positive" if score >= 0.4 else "missed")
    _, recall = precision_recall_with_interval(outcomes)
    score = estimate(sensitivity(matches, threshold=0.4), resamples=5000)
    assert score == pytest.approx(recall)
    assert score.patients == 11  # the one without truths is left out


def test_interval_of_false_positives_with_as_many_slices_each_is_that_of_a_mean() -> None:
    measure = false_positives_per_slice(random_matches(2))
    score = estimate(measure, resamples=2000, seed=3)
    assert (score.low, score.high) == pytest.approx(bootstrap_interval(measure.by_patient, resamples=2000, seed=3))
    assert score.patients == 12


def test_more_patients_narrow_the_interval_of_map() -> None:
    few, many = (
        estimate(mean_average_precision(random_matches(3, patients=n, truths=5 * n, strays=8 * n)), resamples=300)
        for n in (10, 160)
    )
    assert few.low < few.value < few.high
    assert 0.15 < (many.high - many.low) / (few.high - few.low) < 0.4  # the root of 16, and Student's t


def test_undefined_measure_has_no_interval() -> None:
    score = estimate(sensitivity(random_matches(4, truths=0)))
    assert np.isnan(score[:3]).all()
    assert score.patients == 0


def test_resamples_without_truths_are_left_out() -> None:
    matches = random_matches(5, patients=6, truths=1, strays=20, skill=1)
    score = estimate(mean_average_precision(matches), resamples=200)
    assert np.isfinite(score[:3]).all()


def test_comparison_tests_patients_and_leaves_out_those_without_truths() -> None:
    good, bad = (sensitivity(random_matches(6, skill=skill)) for skill in (0.9, 0.3))
    found = compare(good, bad)
    own = (good.by_patient - bad.by_patient)[:11]
    assert np.isnan(good.by_patient[11])
    assert found.p == sign_flip_test(own) < 0.05
    assert found.difference == pytest.approx(good.value - bad.value)
    assert found.patient_difference == pytest.approx(own.mean())
    assert found.patients == 11
    assert 0 < found.low < found.difference < found.high


@pytest.mark.parametrize(("own", "p"), [(0.1, 2**-6), (-0.1, 1)])
def test_patients_who_contradict_the_difference_do_not_back_it(own: float, p: float) -> None:
    first, second = (
        Measure(lambda weights, value=value: np.full(len(weights), value), np.ones(7, dtype=bool), np.full(7, value))
        for value in (0.6, 0.5)
    )
    found = compare(replace(first, by_patient=second.by_patient + own), second)
    assert (found.difference, found.patient_difference, found.p) == pytest.approx((0.1, own, p))


def test_pairing_narrows_the_interval() -> None:
    first, second = (mean_average_precision(random_matches(7, skill=skill)) for skill in (0.6, 0.65))
    paired = compare(first, second, resamples=400)
    widths = [score.high - score.low for score in (estimate(first), estimate(second))]
    assert paired.high - paired.low < 0.9 * np.hypot(*widths)


def test_a_detector_against_itself() -> None:
    matches = random_matches(8)
    for measure in (mean_average_precision(matches), sensitivity(matches), Froc(matches).sensitivity(2)):
        found = compare(measure, measure)
        assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_trainings_of_a_detector_are_averaged() -> None:
    first, second, other = (sensitivity(random_matches(seed)) for seed in (1, 2, 3))
    found = compare(average([first, second]), other)
    assert found.difference == pytest.approx((first.value + second.value) / 2 - other.value)


def test_detectors_on_other_patients_are_refused() -> None:
    with pytest.raises(ValueError, match="12 and 5 patients"):
        compare(sensitivity(random_matches(1)), sensitivity(random_matches(1, patients=5)))
    nothing = sensitivity(random_matches(1, truths=0))
    assert np.isnan(compare(nothing, nothing).p)


def test_intervals_of_the_papers_test_set_take_seconds() -> None:
    matches = random_matches(9, patients=36, truths=3000, strays=97_000, skill=0.8)
    start = time.perf_counter()
    for measure in (mean_average_precision(matches), sensitivity(matches), Froc(matches).sensitivity(4)):
        assert estimate(measure).patients >= 35
    assert time.perf_counter() - start < 10  # about one on an idle core
