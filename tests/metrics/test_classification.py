from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    matthews_corrcoef,
    recall_score,
    roc_auc_score,
)

from scripts.metrics.classification import (
    MEASURES,
    ClassScores,
    accuracy,
    auc,
    balanced_accuracy,
    class_accuracy,
    join_scores,
    mcc,
    vote,
)
from scripts.metrics.comparison import estimate, p_value, subtract
from scripts.metrics.measure import average
from scripts.metrics.statistics import bootstrap_interval


def random_scores(seed: int, *, patients: int = 12, classes: int = 2, skill: float = 0.5) -> ClassScores:
    """Patients of all classes in turn, with 1 to 6 slices each; the seed changes the predictions alone."""
    counts = np.random.default_rng(0).integers(1, 7, patients)
    owners = np.repeat(np.arange(patients), counts)
    truths = owners % classes
    logits = np.random.default_rng(seed).normal(size=(len(owners), classes)) + skill * np.eye(classes)[truths]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    probabilities = probabilities.round(1)  # with ties
    probabilities[:, -1] = 1 - probabilities[:, :-1].sum(axis=1)
    return ClassScores(
        [f"grade {n}" for n in range(classes)],
        [f"p{owner:02}#{n}" for n, owner in enumerate(owners)],
        [f"p{owner:02}" for owner in owners],
        truths,
        np.abs(probabilities) / np.abs(probabilities).sum(axis=1, keepdims=True),
    )


def area(truths: np.ndarray, probabilities: np.ndarray) -> float:
    if probabilities.shape[1] == 2:
        return roc_auc_score(truths, probabilities[:, 1])
    return roc_auc_score(truths, probabilities, multi_class="ovr", average="macro")


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_measures_equal_scikit_learn(classes: int) -> None:
    scores = random_scores(classes, classes=classes)
    truths, predictions = scores.truths, scores.predictions
    assert accuracy(scores).value == pytest.approx(accuracy_score(truths, predictions))
    assert balanced_accuracy(scores).value == pytest.approx(balanced_accuracy_score(truths, predictions))
    assert mcc(scores).value == pytest.approx(matthews_corrcoef(truths, predictions))
    assert auc(scores).value == pytest.approx(area(truths, scores.probabilities))
    recalls = [class_accuracy(scores, n).value for n in range(classes)]
    assert recalls == pytest.approx(recall_score(truths, predictions, average=None).tolist())
    assert (scores.confusion == confusion_matrix(truths, predictions)).all()


@pytest.mark.parametrize("classes", [2, 3])
def test_weights_stand_for_patients_drawn_several_times(classes: int) -> None:
    scores = random_scores(5, classes=classes)
    weights = np.random.default_rng(1).integers(0, 4, (6, 12)).astype(float)
    for row in weights:
        rows = np.repeat(np.arange(len(scores.truths)), row[scores.owners].astype(int))
        truths, probabilities = scores.truths[rows], scores.probabilities[rows]
        predictions = probabilities.argmax(axis=1)
        assert accuracy(scores).of(row[None]) == pytest.approx(accuracy_score(truths, predictions))
        assert balanced_accuracy(scores).of(row[None]) == pytest.approx(balanced_accuracy_score(truths, predictions))
        assert mcc(scores).of(row[None]) == pytest.approx(matthews_corrcoef(truths, predictions))
        assert auc(scores).of(row[None]) == pytest.approx(area(truths, probabilities))


def test_the_papers_gain_is_none() -> None:
    """Table 3's accuracies per class, .95 and .05 against .569 and .384, on 362 and 208 slices."""

    def published(right: tuple[int, int]) -> ClassScores:
        truths = np.repeat([0, 1], [362, 208])
        predictions = np.concatenate([np.arange(362) >= right[0], np.arange(208) < right[1]]).astype(int)
        names = [str(n) for n in range(570)]
        return ClassScores(["HGG", "LGG"], names, names, truths, np.eye(2)[predictions])

    before, after = published((344, 10)), published((206, 80))
    assert accuracy(before).value == pytest.approx(0.61, abs=0.02)
    assert balanced_accuracy(before).value == pytest.approx(0.5, abs=0.005)
    assert balanced_accuracy(after).value == pytest.approx(0.477, abs=0.002)


def test_a_set_without_a_class_has_accuracy_alone() -> None:
    scores = random_scores(1, patients=6)
    kept = np.flatnonzero(scores.truths == 0)
    alone = ClassScores(
        scores.classes,
        [scores.sources[n] for n in kept],
        [scores.patients[n] for n in kept],
        scores.truths[kept],
        scores.probabilities[kept],
    )
    assert accuracy(alone).value == class_accuracy(alone, 0).value
    assert all(np.isnan(measure(alone).value) for measure in (balanced_accuracy, auc, mcc))
    assert np.isnan(estimate(balanced_accuracy(alone)).low)
    assert np.isnan(p_value(subtract(balanced_accuracy(alone), balanced_accuracy(alone))))


def test_resamples_that_lack_a_class_are_left_out() -> None:
    """Six patients of which one is of class 1: without him there is no balanced accuracy."""
    names = list("abcdef")
    scores = ClassScores(["x", "y"], names, names, np.array([0, 0, 0, 0, 0, 1]), np.eye(2)[[0, 1, 0, 1, 0, 1]])
    measure = balanced_accuracy(scores)
    drawn = np.array([[1.0, 1, 1, 1, 1, 1], [2, 1, 1, 1, 1, 0], [0, 2, 0, 2, 0, 2]])
    assert measure.of(drawn) == pytest.approx([0.8, np.nan, 0.5], nan_ok=True)
    score = estimate(measure, resamples=200)
    assert 0.5 <= score.low < 0.8 < score.high <= 1


def test_constant_predictions_have_no_correlation_and_half_the_area() -> None:
    scores = random_scores(1)
    constant = replace(scores, probabilities=np.tile([0.7, 0.3], (len(scores.truths), 1)))
    assert (balanced_accuracy(constant).value, auc(constant).value, mcc(constant).value) == (0.5, 0.5, 0.0)


def test_own_values_of_patients_have_the_measure_as_mean() -> None:
    scores = random_scores(3, classes=3)
    for measure in (accuracy, balanced_accuracy, partial(class_accuracy, class_index=1)):
        assert np.nanmean(measure(scores).by_patient) == pytest.approx(measure(scores).value)


def test_interval_with_one_slice_each_is_that_of_a_mean() -> None:
    scores = vote(random_scores(2))
    right = (scores.predictions == scores.truths).astype(float)
    score = estimate(accuracy(scores), resamples=500, seed=3)
    assert (score.low, score.high) == pytest.approx(bootstrap_interval(right, resamples=500, seed=3))


@pytest.mark.parametrize("names", [("accuracy",), ("balanced_accuracy",)])
def test_p_is_that_of_exchanging_the_arms_in_patients(names: tuple[str]) -> None:
    """All 2^8 ways to exchange two classifiers' predictions of patients, the measure computed anew each time."""
    first, second = (random_scores(seed, patients=8, skill=skill) for seed, skill in ((1, 1.5), (2, 0.0)))
    measure = MEASURES[names[0]]
    differences = []
    for exchanged in itertools.product([False, True], repeat=8):
        chosen = np.array(exchanged)[first.owners][:, None]
        arms = [
            replace(first, probabilities=np.where(chosen, b.probabilities, a.probabilities))
            for a, b in ((first, second), (second, first))
        ]
        differences.append(measure(arms[0]).value - measure(arms[1]).value)
    extreme = np.abs(differences) >= abs(differences[0]) - 1e-12
    difference = subtract(measure(first), measure(second))
    assert difference.value == pytest.approx(differences[0])
    assert np.nanmean(difference.by_patient) == pytest.approx(differences[0])
    assert p_value(difference) == pytest.approx(extreme.mean())


def test_comparison_of_trainings_is_paired() -> None:
    first = [random_scores(seed, patients=30, skill=2.5) for seed in (1, 2)]
    second = [random_scores(seed, patients=30, skill=0.2) for seed in (3, 4)]
    measures = [average([balanced_accuracy(scores) for scores in arm]) for arm in (first, second)]
    difference = subtract(*measures)
    means = [np.mean([balanced_accuracy(scores).value for scores in arm]) for arm in (first, second)]
    assert difference.value == pytest.approx(means[0] - means[1])
    assert estimate(difference, resamples=200).low > 0
    assert p_value(difference) < 0.01
    area = subtract(*(average([auc(scores) for scores in arm]) for arm in (first, second)))
    assert estimate(area, resamples=50).low > 0
    assert np.isnan(p_value(area))


def scores_of(patients: str, truths: list[int], second: list[float]) -> ClassScores:
    probabilities = np.array([[1 - p, p] for p in second])
    return ClassScores(
        ["x", "y"], [str(n) for n in range(len(truths))], list(patients), np.array(truths), probabilities
    )


def test_votes_by_hand() -> None:
    scores = scores_of("baaa", [1, 0, 0, 0], [0.9, 0.6, 0.6, 0.0])
    mean = vote(scores)
    assert (mean.patients, mean.sources, mean.truths.tolist()) == (["a", "b"], ["a", "b"], [0, 1])
    assert mean.probabilities[:, 1] == pytest.approx([0.4, 0.9])
    majority = vote(scores, "majority")
    assert majority.probabilities[:, 1] == pytest.approx([(2 + 0.2) / 3.5, (1 + 0.45) / 1.5])
    assert (mean.predictions.tolist(), majority.predictions.tolist()) == ([0, 1], [1, 1])


def test_the_mean_settles_a_tied_majority() -> None:
    assert vote(scores_of("aa", [1, 1], [0.6, 0.1]), "majority").predictions.tolist() == [0]
    assert vote(scores_of("aa", [1, 1], [0.9, 0.4]), "majority").predictions.tolist() == [1]


def test_votes_refuse_contradictions() -> None:
    with pytest.raises(ValueError, match=r"'a' has slices of the classes \['x', 'y'\]"):
        vote(scores_of("aab", [0, 1, 1], [0.5, 0.5, 0.5]))
    with pytest.raises(ValueError, match="expected one of mean, majority"):
        vote(scores_of("ab", [0, 1], [0.5, 0.5]), "median")


@pytest.mark.parametrize("faulty", [np.nan, 1.5, -0.5])
def test_numbers_that_are_no_probabilities_are_refused(faulty: float) -> None:
    with pytest.raises(ValueError, match="probabilities of 1 are"):
        scores_of("ab", [0, 1], [0.5, faulty])


def test_sizes_that_disagree_are_refused() -> None:
    with pytest.raises(ValueError, match="expected indices"):
        scores_of("ab", [0, 2], [0.5, 0.5])
    with pytest.raises(ValueError, match="2 slices of 2 classes, 1 patients"):
        ClassScores(["x", "y"], ["1", "2"], ["a"], np.array([0, 1]), np.eye(2))
    with pytest.raises(ValueError, match="class_index is 2"):
        class_accuracy(scores_of("ab", [0, 1], [0.5, 0.5]), 2)


def test_the_area_counts_pairs_within_a_fold() -> None:
    """Each fold ranks perfectly, but one gives higher numbers: ranked together, 1 of 12 pairs is lost."""
    low = scores_of("abc", [0, 0, 1], [0.1, 0.2, 0.3])
    high = scores_of("defg", [0, 1, 1, 1], [0.6, 0.7, 0.8, 0.9])
    joined = join_scores([low, high])
    assert auc(joined).value == auc(vote(joined)).value == 1
    together = ClassScores(joined.classes, joined.sources, joined.patients, joined.truths, joined.probabilities)
    assert auc(together).value == pytest.approx(11 / 12)
    reversed_low = scores_of("abc", [0, 0, 1], [0.3, 0.2, 0.1])
    assert auc(join_scores([reversed_low, high])).value == pytest.approx(3 / 5)  # 0 of 2 pairs and 3 of 3


def test_folds_are_joined() -> None:
    scores = random_scores(1)
    other = replace(scores, patients=[f"q{name}" for name in scores.patients])
    joined = join_scores([scores, other])
    assert accuracy(joined).value == pytest.approx(accuracy(scores).value)
    assert len(set(joined.patients)) == 24
    with pytest.raises(ValueError, match="'p00' is in two folds"):
        join_scores([scores, scores])
    with pytest.raises(ValueError, match="expected at least one fold, all the same"):
        join_scores([scores, random_scores(1, classes=3)])
