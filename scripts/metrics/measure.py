"""A number that a test set has, as a function of how often every patient counts.

The set as it is, each patient alone, a group of patients and thousands of bootstrap resamples are then only weights.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scripts.metrics.statistics import Floats


@dataclass(frozen=True)
class Measure:
    """A number that a set of slices has, as a function of the patients' weights.

    Attributes:
        of: (R, P) weights, whole numbers from 0 on -> (R,) values; NaN where the weighted set has none.
        told: (P,) which patients say anything of it; the others need no resampling.
        by_patient: (P,) what each patient brings to it, for paired tests; NaN where he brings nothing.
    """

    of: Callable[[Floats], Floats]
    told: NDArray[np.bool_]
    by_patient: Floats

    @property
    def value(self) -> float:
        """Over all patients; NaN where there is none, such as a sensitivity without truths."""
        return float(self.of(np.ones((1, len(self.told))))[0])

    @property
    def alone(self) -> Floats:
        """(P,) over each patient alone; NaN where he has none, such as a balanced accuracy of one class."""
        return self.of(np.eye(len(self.told)))


def ratio(hits: Floats, totals: Floats) -> Measure:
    """Hits over totals, pooled over patients: the ratio of sums.

    A patient brings his share of it times the number of patients who count: the mean over these is the ratio, so that
    a paired test of what they bring is one of the very difference, where both arms have the same totals. Both are (P,);
    a patient whose total is 0 says nothing.
    """
    told = totals > 0

    def of(weights: Floats) -> Floats:
        return divide(weights @ hits, weights @ totals)

    return Measure(of, told, np.where(told, hits * told.sum() / max(totals.sum(), 1), np.nan))


def mean_of_patients(values: ArrayLike) -> Measure:
    """The mean over patients of a number (P,) that each has, such as Dice; NaN for a patient who says nothing."""
    own = np.asarray(values, dtype=np.float64)
    told = ~np.isnan(own)
    numbers = np.where(told, own, 0.0)
    return Measure(lambda weights: divide(weights @ numbers, weights @ told), told, own)


def average(measures: Sequence[Measure]) -> Measure:
    """The mean of several measures of the same patients (classes, trainings), over those that have a value."""
    sizes = {len(measure.told) for measure in measures}
    if len(sizes) != 1:
        raise ValueError(f"Measures of {sorted(sizes)} patients; expected at least one, all of the same patients.")

    def of(weights: Floats) -> Floats:
        return mean_known([measure.of(weights) for measure in measures])

    told = np.any([measure.told for measure in measures], axis=0)
    return Measure(of, told, mean_known([measure.by_patient for measure in measures]))


def restrict(measure: Measure, members: NDArray[np.bool_]) -> Measure:
    """The measure over the members (P,) of a group of patients; what they bring keeps its scale among all."""
    own = np.where(members, measure.by_patient, np.nan)
    return Measure(lambda weights: measure.of(weights * members), measure.told & members, own)


def embed(measure: Measure, places: Sequence[int], total: int) -> Measure:
    """A measure of P patients, at P places among all `total` patients, as one of all; the others say nothing."""
    chosen = np.asarray(places, dtype=np.intp)
    told, own = np.zeros(total, dtype=bool), np.full(total, np.nan)
    told[chosen], own[chosen] = measure.told, measure.by_patient
    return Measure(lambda weights: measure.of(weights[:, chosen]), told, own)


def divide(a: Floats, b: Floats) -> Floats:
    """a / b, NaN where b is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(b > 0, a / b, np.nan)


def mean_known(values: ArrayLike) -> Floats:
    """(N,) mean over the first axis of (M, N), NaN left out; NaN where none is known."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmean(np.asarray(values, dtype=np.float64), axis=0))
