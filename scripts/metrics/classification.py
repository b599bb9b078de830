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

from scripts.metrics.measure import Measure, divide, ratio
from scripts.metrics.statistics import Floats

VOTES = ("mean", "majority")


@dataclass(frozen=True, eq=False)
class ClassScores:
    """What a classifier says of each slice, or of each patient, beside the truth.

    Raises:
        ValueError: nothing, fewer than two classes, sizes that disagree, an unknown class index, or rows that are no
            probabilities.
    """

    classes: list[str]  # K names
    sources: list[str]  # (N,) names of the slices
    patients: list[str]  # (N,) whose they are
    truths: NDArray[np.intp]  # (N,) class indices 0..K-1
    probabilities: Floats  # (N, K), each row summing to 1
    folds: NDArray[np.intp] | None = None  # (N,) whose classifier judged each row, see `join_scores`; None for one

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
    return ratio(np.trace(confusions, axis1=1, axis2=2), confusions.sum(axis=(1, 2)))


def class_accuracy(scores: ClassScores, class_index: int) -> Measure:
    """Share of a class's rows that are classified rightly (Table 3); NaN without any.

    Raises:
        ValueError: an index outside 0..K-1.
    """
    if not 0 <= class_index < len(scores.classes):
        raise ValueError(f"class_index is {class_index}; expected 0..{len(scores.classes) - 1}.")
    confusions = scores.patient_confusions[:, class_index]  # (P, K)
    return ratio(confusions[:, class_index], confusions.sum(axis=1))


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

    A pair belongs to two patients, so that the pairs are counted once for each two of them; weights then only multiply.

    Patients have no AUC of their own, so that `compare` gives an interval and no p.
    """
    chosen = [1] if len(scores.classes) == 2 else range(len(scores.classes))
    pairs = [_count_pairs(scores, n) for n in chosen]

    def of(weights: Floats) -> Floats:
        areas = [divide(_sum_pairs(weights, won), _sum_pairs(weights, total)) for won, total in pairs]
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


def _without_own(of: Callable[[Floats], Floats], scores: ClassScores) -> Measure:
    total = len(set(scores.patients))
    return Measure(of, np.ones(total, dtype=bool), np.full(total, np.nan))


def _count_pairs(scores: ClassScores, index: int) -> tuple[Floats, Floats]:
    """(P, P) pairs of a patient's rows of a class and another's of other classes: ranked rightly (ties half), and all.

    Only pairs within a fold count.
    """
    owners, total = scores.owners, len(set(scores.patients))
    values, positive = scores.probabilities[:, index], scores.truths == index
    folds = np.zeros(len(owners), dtype=np.intp) if scores.folds is None else scores.folds
    won, pairs = np.zeros((total, total)), np.zeros((total, total))
    for patient in np.unique(owners[~positive]):
        negative = ~positive & (owners == patient)
        ranked = np.sort(values[negative])
        mine = positive & (folds == folds[negative][0])
        passed = (np.searchsorted(ranked, values[mine], "left") + np.searchsorted(ranked, values[mine], "right")) / 2
        won[:, patient] = np.bincount(owners[mine], weights=passed, minlength=total)
        pairs[:, patient] = np.bincount(owners[mine], minlength=total) * len(ranked)
    return won, pairs


def _sum_pairs(weights: Floats, pairs: Floats) -> Floats:
    """(R,) of (R, P) weights and (P, P) pairs: each pair counts as often as its two patients together."""
    return ((weights @ pairs) * weights).sum(axis=1)
