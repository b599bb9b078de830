from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from scripts.metrics.box_detection import (
    Froc,
    false_positives_per_slice,
    mean_average_precision,
    sensitivity,
)
from scripts.metrics.box_matching import Matches
from scripts.metrics.classification import ClassScores, auc
from scripts.metrics.comparison import (
    Noise,
    compare_trainings,
    estimate,
    p_value,
    smallest_p,
    subtract,
    training_noise,
)
from scripts.metrics.detection import precision_recall_measures
from scripts.metrics.measure import Measure, average, mean_of_patients
from scripts.metrics.statistics import bootstrap_interval, bootstrap_replicates, expanded_percentiles, sign_flip_test


def random_matches(seed: int, *, patients: int = 12, truths: int = 60, strays: int = 90, skill: float = 0.6) -> Matches:
    """Matches of one class with two slices per patient; the last patient has no truths."""
    rng = np.random.default_rng([seed, 1])
    owners = np.random.default_rng(0).integers(0, patients - 1, truths)  # of the truths: the same for all seeds
    found = np.flatnonzero(rng.random(truths) < skill)
    order = rng.permutation(len(found) + strays)
    scores = np.concatenate([rng.beta(4, 2, len(found)), rng.beta(2, 3, strays)])
    return Matches(
        1,
        tuple(str(number) for number in range(patients)),
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
    _, recall = precision_recall_measures(outcomes)
    score = estimate(sensitivity(matches, threshold=0.4))
    assert score == pytest.approx(estimate(recall))
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
    difference = subtract(good, bad)
    own = (good.by_patient - bad.by_patient)[:11]
    assert np.isnan(good.by_patient[11])
    assert p_value(difference) == sign_flip_test(own) < 0.05
    found = estimate(difference)
    assert found.value == pytest.approx(good.value - bad.value)
    assert found.patients == 11
    assert 0 < found.low < found.value < found.high


@pytest.mark.parametrize(("own", "p"), [(0.1, 2**-6), (-0.1, 1)])
def test_patients_who_contradict_the_difference_do_not_back_it(own: float, p: float) -> None:
    first, second = (
        Measure(lambda weights, value=value: np.full(len(weights), value), np.ones(7, dtype=bool), np.full(7, value))
        for value in (0.6, 0.5)
    )
    difference = subtract(replace(first, by_patient=second.by_patient + own), second)
    assert (difference.value, p_value(difference)) == pytest.approx((0.1, p))


def test_pairing_narrows_the_interval() -> None:
    first, second = (mean_average_precision(random_matches(7, skill=skill)) for skill in (0.6, 0.65))
    paired = estimate(subtract(first, second), resamples=400)
    widths = [score.high - score.low for score in (estimate(first), estimate(second))]
    assert paired.high - paired.low < 0.9 * np.hypot(*widths)


def test_a_detector_against_itself() -> None:
    matches = random_matches(8)
    for measure in (mean_average_precision(matches), sensitivity(matches), Froc(matches).sensitivity(2)):
        nothing = subtract(measure, measure)
        assert estimate(nothing)[:3] == (0, 0, 0)
        assert p_value(nothing) == 1


def test_detectors_on_other_patients_are_refused() -> None:
    with pytest.raises(ValueError, match="12 and 5 patients"):
        subtract(sensitivity(random_matches(1)), sensitivity(random_matches(1, patients=5)))
    nothing = sensitivity(random_matches(1, truths=0))
    assert np.isnan(p_value(subtract(nothing, nothing)))


def test_intervals_of_the_papers_test_set_take_seconds() -> None:
    matches = random_matches(9, patients=36, truths=3000, strays=97_000, skill=0.8)
    start = time.perf_counter()
    for measure in (mean_average_precision(matches), sensitivity(matches), Froc(matches).sensitivity(4)):
        assert estimate(measure).patients >= 35
    assert time.perf_counter() - start < 10  # about one on an idle core


def trainings(values: Sequence[float]) -> list[Measure]:
    return [mean_of_patients([value]) for value in values]


def test_noise_between_trainings_is_that_of_welchs_test() -> None:
    first, second = [0.1, 0.3, 0.25], [0.2, 0.21]
    noise = training_noise(trainings(first), trainings(second))
    expected = stats.ttest_ind(first, second, equal_var=False)
    assert np.mean(first) - np.mean(second) == pytest.approx(expected.statistic * noise.error)
    assert noise.freedom == pytest.approx(expected.df)
    low, high = expected.confidence_interval(0.95)
    assert noise.half_width(0.95) == pytest.approx((high - low) / 2)
    equal = training_noise(trainings([0.2, 0.2]), trainings([0.1, 0.1]))
    assert (equal.error, equal.half_width(0.95)) == (0, 0)
    alone = training_noise(trainings([0.1]), trainings(second))
    assert np.isnan(alone.error)
    assert alone.half_width(0.95) == 0


def test_noise_widens_both_halves_in_squares() -> None:
    own = np.random.default_rng(0).gamma(2, 1, 20)
    noise = Noise(0.4, 4)
    found = compare_trainings(mean_of_patients(own), noise, tests=5)
    for level, ends in ((0.95, (found.low, found.high)), (0.99, (found.adjusted_low, found.adjusted_high))):
        low, high = expanded_percentiles(bootstrap_replicates(own), 20, level)
        half = stats.t.ppf((1 + level) / 2, 4) * 0.4
        expected = own.mean() - np.hypot(own.mean() - low, half), own.mean() + np.hypot(high - own.mean(), half)
        assert ends == pytest.approx(expected)


def test_unknown_noise_leaves_the_interval_of_the_patients() -> None:
    own = np.random.default_rng(0).normal(size=9)
    found = compare_trainings(mean_of_patients(own), Noise(float("nan"), 0))
    assert (found.low, found.high) == pytest.approx(bootstrap_interval(own))
    assert np.isnan(found.detectable)


def test_five_patients_have_no_interval() -> None:
    found = compare_trainings(mean_of_patients([1, 2, 3, 4, 5]), Noise(0.1, 4))
    assert np.isnan(found[:6]).all()
    assert found.patients == 5


def test_smallest_p_is_that_of_patients_who_agree() -> None:
    for patients in (6, 10, 16, 40):
        assert smallest_p(patients, 1) == pytest.approx(sign_flip_test(np.arange(1, patients + 1)), rel=1e-9)
    assert smallest_p(6, 7) == 7 / 32
    assert smallest_p(6, 70) == 1


def simulate(rng: np.random.Generator, gain: float) -> list[list[Measure]]:
    """Four arms of three trainings on 20 patients; the first one gains. Patients differ by .05, trainings by .03."""
    arms = []
    for number in range(4):
        patients = rng.normal(0, 0.05, 20) + (gain if number == 0 else 0)
        arms.append([mean_of_patients(patients + rng.normal(0, 0.03)) for _ in range(3)])
    return arms


@pytest.mark.parametrize("deviations", [(0.02, 0.02), (0.06, 0.02)])
def test_intervals_of_noise_alone_cover_whichever_arms_are_noisy(deviations: tuple[float, ...]) -> None:
    rng, covered, widths = np.random.default_rng(4), 0, []
    for _ in range(2000):
        arms = [trainings(rng.normal(0, deviation, 4)) for deviation in deviations]
        width = training_noise(arms[0], arms[1]).half_width(0.95)
        covered += abs(average(arms[0]).value - average(arms[1]).value) <= width
        widths.append(width)
    assert 0.93 < covered / 2000 < 0.97
    exact = stats.norm.ppf(0.975) * np.hypot(*deviations) / 2  # were the deviations known
    assert np.mean(widths) < 1.6 * exact


def test_widened_interval_covers_where_trainings_differ() -> None:
    rng = np.random.default_rng(1)
    widened = patients_alone = 0
    for _ in range(300):
        arms = simulate(rng, 0.0)
        difference = subtract(average(arms[0]), average(arms[1]))
        found = compare_trainings(difference, training_noise(arms[0], arms[1]), resamples=500)
        widened += found.low <= 0 <= found.high
        alone = estimate(difference, resamples=500)
        patients_alone += alone.low <= 0 <= alone.high
    assert patients_alone / 300 < 0.86
    assert 0.93 < widened / 300 <= 1


def test_detectable_difference_is_found_in_four_of_five_studies() -> None:
    rng = np.random.default_rng(2)
    detectable, found = [], 0
    for gain in (0.0, 1.0):
        for _ in range(150):
            arms = simulate(rng, gain * float(np.mean(detectable or 0)))
            difference = subtract(average(arms[0]), average(arms[1]))
            told = compare_trainings(difference, training_noise(arms[0], arms[1]), tests=5, resamples=500)
            if gain:
                found += 5 * p_value(difference) < 0.05 and told.low > 0
            else:
                detectable.append(told.detectable)
    assert 0.7 < found / 150 < 0.9


def test_measures_of_six_trainings_are_compared_in_a_second() -> None:
    """Three seeds of two arms, 50 patients, 3000 slices."""
    detectors = [random_matches(n, patients=50, truths=3000, strays=27_000, skill=0.8) for n in range(6)]
    rng = np.random.default_rng(0)
    owners = np.arange(3000) % 50
    second = rng.uniform(0, 1, (6, 3000))
    names = [f"{owner:02}" for owner in owners]
    graders = [
        ClassScores(["a", "b"], [str(n) for n in range(3000)], names, owners % 2, np.stack([1 - p, p], axis=1))
        for p in second
    ]
    for trainings in ([mean_average_precision(each) for each in detectors], [auc(each) for each in graders]):
        start = time.perf_counter()
        found = compare_trainings(subtract(average(trainings[:3]), average(trainings[3:])), Noise(0.1, 4))
        assert found.patients == 50
        assert time.perf_counter() - start < 5  # under .8 on an idle core
