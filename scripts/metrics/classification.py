"""How well slices, and patients by the vote of their slices, are classified, and two classifiers compared.

Mehra, Soliman and Sahoo report accuracies per class and in all (Table 3); where classes are not equally frequent, the
balanced accuracy, AUC and MCC say more. A measure that needs every class has no value for slices that lack one: such
bootstrap resamples are left out (see `estimate`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scripts.metrics.box_detection import Measure, average
from scripts.metrics.box_intervals import RESAMPLES, Comparison, compare
from scripts.metrics.statistics import Floats

VOTES = ("mean", "majority")


@dataclass(frozen=True, eq=False)
class ClassScores:
    """What a classifier says of each slice, or of each patient, beside the truth.

    Attributes:
        classes: K names.
        sources: (N,) names of the slices.
        patients: (N,) whose they are.
        truths: (N,) class indices 0..K-1.
        probabilities: (N, K), each row summing to 1.
        folds: (N,) of the fold whose classifier judged each row, see `join_scores`; None where it was a single one.

    Raises:
        ValueError: nothing, fewer than two classes, sizes that disagree, an unknown class index, or rows that are no
            probabilities.
    """

    classes: list[str]
    sources: list[str]
    patients: list[str]
    truths: NDArray[np.intp]
    probabilities: Floats
    folds: NDArray[np.intp] | None = None

    def __post_init__(self) -> None:
        n, k = len(self.sources), len(self.classes)
        sizes = (n, len(self.patients), len(self.truths), *self.probabilities.shape)
        if n == 0 or k < 2 or sizes != (n, n, n, n, k):
            raise ValueError(
                f"{n} slices of {k} classes, {sizes[1]} patients, {sizes[2]} truths and probabilities of shape "
                f"{self.probabilities.shape}; expected at least one slice, two classes, and the same number of each."
            )
        if self.truths.min() < 0 or self.truths.max() >= k:
            raise ValueError(f"True classes are {np.unique(self.truths).tolist()}; expected indices 0..{k - 1}.")
        sums = self.probabilities.sum(axis=1)
        faulty = np.flatnonzero(~(np.abs(sums - 1) < 1e-3) | (self.probabilities < 0).any(axis=1))
        if faulty.size:
            row = faulty[0]
            raise ValueError(
                f"The probabilities of {self.sources[row]} are {self.probabilities[row].tolist()}; expected numbers "
                "from 0 on with the sum 1. If the classifier's loss became NaN, train it with a smaller learning rate."
            )

    @property
    def predictions(self) -> NDArray[np.intp]:
        """(N,) the class of the highest probability, the first of equals."""
        return self.probabilities.argmax(axis=1)

    @property
    def owners(self) -> NDArray[np.intp]:
        """(N,) the place of each row's patient among the P patients in alphabetical order."""
        return np.unique(self.patients, return_inverse=True)[1].astype(np.intp)

    @property
    def confusion(self) -> NDArray[np.int64]:
        """(K, K) rows, by true class and predicted class."""
        return self.patient_confusions.sum(axis=0).astype(np.int64)

    @property
    def patient_confusions(self) -> Floats:
        """(P, K, K) the same of each patient."""
        k = len(self.classes)
        counts = np.zeros((len(set(self.patients)), k, k))
        np.add.at(counts, (self.owners, self.truths, self.predictions), 1)
        return counts


def find_contradiction(patients: Sequence[str], classes: Sequence[str]) -> tuple[str, list[str]] | None:
    """The first patient whose slices are of several classes, and these; None where there is none."""
    known: dict[str, str] = {}
    for patient, name in zip(patients, classes, strict=True):
        if known.setdefault(patient, name) != name:
            return patient, sorted({known[patient], name})
    return None


def check_vote(rule: str) -> None:
    """Raises a ValueError for an unknown rule of `vote`."""
    if rule not in VOTES:
        raise ValueError(f"vote is {rule!r}, expected one of {', '.join(VOTES)}. Choose one.")


def vote(scores: ClassScores, rule: str = "mean") -> ClassScores:
    """One row per patient, in alphabetical order: the slices' vote.

    Args:
        scores: of slices.
        rule: "mean" of the slices' probabilities, or "majority": the share of slices for each class, where the mean
            probabilities count as half a slice more, which settles ties.

    Raises:
        ValueError: another rule, or a patient with slices of several classes.
    """
    check_vote(rule)
    contradiction = find_contradiction(scores.patients, [scores.classes[n] for n in scores.truths])
    if contradiction:
        raise ValueError(
            f"Patient {contradiction[0]!r} has slices of the classes {contradiction[1]}; slices can vote only on a "
            "class that is the patient's. Correct dataset.json."
        )
    names, first, owners = np.unique(scores.patients, return_index=True, return_inverse=True)
    counts = np.bincount(owners)[:, None]  # (P, 1)
    sums = np.zeros((len(names), len(scores.classes)))
    np.add.at(sums, owners, scores.probabilities)
    shares = sums / counts  # (P, K)
    if rule == "majority":
        shares = (scores.patient_confusions.sum(axis=1) + shares / 2) / (counts + 0.5)
    patients = [str(name) for name in names]
    folds = None if scores.folds is None else scores.folds[first]
    return ClassScores(scores.classes, patients, patients, scores.truths[first], shares, folds)


def accuracy(scores: ClassScores) -> Measure:
    """Share of the rows that are classified rightly."""
    confusions = scores.patient_confusions  # (P, K, K)
    return _ratio(np.trace(confusions, axis1=1, axis2=2), confusions.sum(axis=(1, 2)))


def class_accuracy(scores: ClassScores, class_index: int) -> Measure:
    """Share of a class's rows that are classified rightly (Table 3); NaN without any.

    Raises:
        ValueError: an index outside 0..K-1.
    """
    if not 0 <= class_index < len(scores.classes):
        raise ValueError(f"class_index is {class_index}; expected 0..{len(scores.classes) - 1}.")
    confusions = scores.patient_confusions[:, class_index]  # (P, K)
    return _ratio(confusions[:, class_index], confusions.sum(axis=1))


def balanced_accuracy(scores: ClassScores) -> Measure:
    """Mean of the classes' accuracies.

    A patient's own value is his share of it times the number of patients: their mean is the measure. His difference
    between two classifiers changes its sign where they exchange their predictions of him, so that the sign-flip test of
    `compare` is the paired permutation test of the balanced accuracy.
    """
    parts = [class_accuracy(scores, n) for n in range(len(scores.classes))]
    shares = [np.nan_to_num(part.by_patient) / max(part.told.sum(), 1) for part in parts]  # K x (P,)
    everybody = np.ones(len(shares[0]), dtype=bool)
    complete = all(part.told.any() for part in parts)
    own = np.mean(shares, axis=0) * len(everybody) if complete else np.full(len(everybody), np.nan)
    return Measure(lambda weights: np.mean([part.of(weights) for part in parts], axis=0), everybody, own)


def auc(scores: ClassScores) -> Measure:
    """Area under the ROC curve; with more than two classes the mean over one-vs-rest.

    It is the share of pairs of a positive and a negative row that are ranked rightly. Of several folds the pairs within
    each count: the folds' classifiers are not calibrated alike, so that ranking their probabilities together lowers the
    area (Airola et al., A comparison of AUC estimators in small-sample studies, 2009).

    Patients have no AUC of their own, so that `compare` gives an interval and no p.
    """
    chosen = [1] if len(scores.classes) == 2 else range(len(scores.classes))
    owners = scores.owners
    folds = np.zeros(len(owners)) if scores.folds is None else scores.folds
    parts = [np.flatnonzero(folds == fold) for fold in np.unique(folds)]
    curves = [[(own, *_rank(scores.probabilities[own, n]), scores.truths[own] == n) for own in parts] for n in chosen]

    def of(weights: Floats) -> Floats:
        rows = weights[:, owners]  # (R, N)
        areas = []
        for curve in curves:
            won, pairs = np.sum([_count_pairs(rows[:, own], *ranked) for own, *ranked in curve], axis=0)  # (R,), (R,)
            areas.append(np.where(pairs > 0, won / np.maximum(pairs, 1), np.nan))
        return np.mean(areas, axis=0)

    return _without_own(of, scores)


def mcc(scores: ClassScores) -> Measure:
    """Matthews' correlation coefficient, for K classes as Gorodkin (2004); 0 where all predictions are of one class.

    Patients have no MCC of their own, so that `compare` gives an interval and no p.
    """
    confusions = scores.patient_confusions  # (P, K, K)

    def of(weights: Floats) -> Floats:
        counts = np.einsum("rp,ptq->rtq", weights, confusions)  # (R, K, K)
        true, predicted, total = counts.sum(axis=2), counts.sum(axis=1), counts.sum(axis=(1, 2))
        right = np.trace(counts, axis1=1, axis2=2)
        covariance = right * total - (true * predicted).sum(axis=1)
        spread = (total**2 - (true**2).sum(axis=1)) * (total**2 - (predicted**2).sum(axis=1))
        value = np.where(spread > 0, covariance / np.sqrt(np.maximum(spread, 1)), 0.0)
        return np.where((true > 0).all(axis=1), value, np.nan)

    return _without_own(of, scores)


MEASURES: dict[str, Callable[[ClassScores], Measure]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "AUC": auc,
    "MCC": mcc,
}


def compare_classifiers(
    first: Sequence[ClassScores],
    second: Sequence[ClassScores],
    measure: Callable[[ClassScores], Measure] = balanced_accuracy,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """First minus second arm, paired by patients: bootstrap interval, and p by the sign-flip test (see `compare`).

    Args:
        first: of one arm, one element per training (seed); the measure is the mean over them.
        second: of the other arm.
        measure: such as those of `MEASURES`, or `functools.partial(class_accuracy, class_index=1)`.
        resamples: bootstrap samples.
        seed: of the resampling.

    Raises:
        ValueError: no training, or other slices, patients or truths.
    """
    if not first or not second:
        raise ValueError(f"{len(first)} and {len(second)} trainings; expected at least one of each arm.")
    reference = _identity(first[0])
    for scores in (*first, *second):
        if _identity(scores) != reference:
            raise ValueError(
                f"The classifiers judged {len(first[0].sources)} and {len(scores.sources)} slices that are not the "
                "same, or of other classes or patients. Evaluate both on the same split of the same features."
            )
    measures = [average([measure(scores) for scores in arm]) for arm in (first, second)]
    return compare(*measures, resamples=resamples, seed=seed)


def join_scores(parts: Sequence[ClassScores]) -> ClassScores:
    """The scores of several folds, each of its own patients and judged by its own classifier, as one.

    Raises:
        ValueError: none, other classes, or a patient in two of them.
    """
    if not parts or any(part.classes != parts[0].classes for part in parts):
        raise ValueError(f"Classes are {[part.classes for part in parts]}; expected at least one fold, all the same.")
    known: set[str] = set()
    for part in parts:
        if twice := known & set(part.patients):
            raise ValueError(f"Patient {min(twice)!r} is in two folds; expected every patient in one. Name each once.")
        known |= set(part.patients)
    return ClassScores(
        parts[0].classes,
        [source for part in parts for source in part.sources],
        [patient for part in parts for patient in part.patients],
        np.concatenate([part.truths for part in parts]),
        np.concatenate([part.probabilities for part in parts]),
        np.repeat(np.arange(len(parts)), [len(part.sources) for part in parts]),
    )


def _identity(scores: ClassScores) -> tuple[list[str], list[tuple[str, str, int]]]:
    rows = zip(scores.sources, scores.patients, scores.truths.tolist(), strict=True)
    return scores.classes, sorted(rows)


def _ratio(hits: Floats, totals: Floats) -> Measure:
    """Pooled hits over totals; a patient's own value is his share of it times the number of patients that count."""
    told = totals > 0

    def of(weights: Floats) -> Floats:
        below = weights @ totals
        return np.where(below > 0, weights @ hits / np.maximum(below, 1), np.nan)

    own = np.where(told, hits * told.sum() / max(totals.sum(), 1), np.nan)
    return Measure(of, told, own)


def _without_own(of: Callable[[Floats], Floats], scores: ClassScores) -> Measure:
    total = len(set(scores.patients))
    return Measure(of, np.ones(total, dtype=bool), np.full(total, np.nan))


def _rank(values: Floats) -> tuple[NDArray[np.intp], tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """The rows by rising value, (N,), and where each one's run of equal values begins and ends."""
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    return order, (np.searchsorted(ranked, ranked, side="left"), np.searchsorted(ranked, ranked, side="right"))


def _count_pairs(
    weights: Floats,
    order: NDArray[np.intp],
    bounds: tuple[NDArray[np.intp], NDArray[np.intp]],
    positive: NDArray[np.bool_],
) -> tuple[Floats, Floats]:
    """How often a positive row is ranked above a negative one, ties half, and of how many pairs, (R,) each."""
    ranked, is_positive = weights[:, order], positive[order]  # (R, N), (N,)
    above, below = ranked * is_positive, ranked * ~is_positive
    passed = np.concatenate([np.zeros((len(ranked), 1)), np.cumsum(below, axis=1)], axis=1)  # (R, N + 1)
    won = (above * (passed[:, bounds[0]] + passed[:, bounds[1]]) / 2).sum(axis=1)
    return won, above.sum(axis=1) * below.sum(axis=1)
