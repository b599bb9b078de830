"""Intervals of measures, and two ways of training compared, with the patient as the unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats

from scripts.metrics.measure import Measure
from scripts.metrics.statistics import (
    EXACT_UP_TO,
    MINIMUM_PATIENTS,
    PERMUTATIONS,
    RESAMPLES,
    Floats,
    bootstrap_replicates,
    expanded_percentiles,
    sign_flip_test,
)

LEVEL = 0.95
SIGNIFICANT = 0.05
POWER = 0.8


class IntervalEstimate(NamedTuple):
    """A measure with its interval over the patients it rests on; NaN, NaN below six, and where there is none."""

    value: float
    low: float
    high: float
    patients: int


@dataclass(frozen=True)
class Noise:
    """Standard error of a difference of two arms' means over trainings that the chance of training makes."""

    error: float  # NaN with a single training
    freedom: float  # degrees of freedom of the spread that it was estimated from

    def half_width(self, level: float) -> float:
        """Of the interval that the chance of training alone would make; 0 where it is not known."""
        return 0.0 if np.isnan(self.error) else _quantile(level, self.freedom) * self.error


class TrainedDifference(NamedTuple):
    """A difference with its interval over patients and trainings."""

    low: float  # at 95%
    high: float
    adjusted_low: float  # at 1 - .05 / tests
    adjusted_high: float
    patient_half_width: float  # half the 95% interval over patients alone
    detectable: float  # smallest difference that would be found with a power of 80%; NaN where none could be
    patients: int  # that the interval rests on


def estimate(measure: Measure, *, resamples: int = RESAMPLES, seed: int = 0) -> IntervalEstimate:
    """A measure with its 95% bootstrap interval: patients are drawn with all their slices.

    Patients who say nothing of the measure are not drawn. A resample without a value (an AP where no patient drawn
    has a truth) is left out. See `bootstrap_interval`.
    """
    value = measure.value
    if np.isnan(value):
        return IntervalEstimate(np.nan, np.nan, np.nan, 0)
    patients = int(measure.told.sum())
    if patients < MINIMUM_PATIENTS:
        return IntervalEstimate(value, np.nan, np.nan, patients)
    low, high = expanded_percentiles(_replicates(measure, resamples, seed), patients, LEVEL)
    return IntervalEstimate(value, low, high, patients)


def subtract(first: Measure, second: Measure) -> Measure:
    """The difference of two measures of the same patients, such as two arms' averages over trainings.

    Raises:
        ValueError: measures of other numbers of patients.
    """
    if len(first.told) != len(second.told):
        raise ValueError(
            f"The arms were measured on {len(first.told)} and {len(second.told)} patients; expected the same."
        )
    own = first.by_patient - second.by_patient
    return Measure(lambda weights: first.of(weights) - second.of(weights), first.told | second.told, own)


def p_value(difference: Measure, *, seed: int = 0) -> float:
    """Two-sided p of the paired sign-flip test over the patients who bring something to both arms.

    1 where their mean difference and that of the measures point in opposite directions, so that p never backs what it
    did not test; NaN below six patients.
    """
    own = difference.by_patient[~np.isnan(difference.by_patient)]
    if own.size < MINIMUM_PATIENTS or np.isnan(difference.value):
        return float("nan")
    return 1.0 if own.mean() * difference.value < 0 else sign_flip_test(own, seed=seed)


def smallest_p(patients: int, tests: int) -> float:
    """The smallest p, adjusted for a number of tests, that so many patients can give in the sign-flip test."""
    floor = 2.0 ** (1 - patients) if patients <= EXACT_UP_TO else 1 / (PERMUTATIONS + 1)
    return min(1.0, tests * floor)


def training_noise(first: Sequence[Measure], second: Sequence[Measure]) -> Noise:
    """The noise between trainings in the difference of two arms' means: sqrt(s1^2 / S1 + s2^2 / S2) (Welch, 1947).

    Arms differ in it: a network that sees a class too rarely now learns it, now not. A variance pooled over arms made
    intervals that held the truth in 78 to 86% of simulated studies, where one of four or eight arms varied three times
    as much as the others; this makes 94% or more, and wide ones below four trainings. Where seeds test other patients,
    their spread counts too, and the noise is overestimated. NaN where an arm has fewer than two trainings.
    """
    values = [np.array([measure.value for measure in trainings]) for trainings in (first, second)]
    known = [arm[~np.isnan(arm)] for arm in values]
    if min(map(len, known)) < 2:
        return Noise(float("nan"), 0)
    parts = [float(arm.var(ddof=1)) / len(arm) for arm in known]
    if not sum(parts):
        return Noise(0.0, sum(len(arm) - 1 for arm in known))
    freedom = sum(parts) ** 2 / sum(part**2 / (len(arm) - 1) for part, arm in zip(parts, known, strict=True))
    return Noise(float(np.sqrt(sum(parts))), freedom)


def compare_trainings(
    difference: Measure, noise: Noise, *, tests: int = 1, resamples: int = RESAMPLES, seed: int = 0
) -> TrainedDifference:
    """The interval of a difference over patients, widened by the noise between trainings.

    Each half of the bootstrap interval over patients and that of the noise, t x its standard error, are added in
    squares, for the two are independent. Where the noise is not known, the interval is that over patients alone.

    The detectable difference follows from how a finding is made: a p under .05 / tests over patients, and a 95%
    interval off 0. The larger of the two limits is passed in four of five studies by a difference that lies .84
    standard errors above it, those over patients and of the noise added in squares.

    Args:
        difference: of the two arms' averages over trainings, see `subtract`.
        noise: of it.
        tests: that p is adjusted for.
    """
    patients = int(difference.told.sum())
    if patients < MINIMUM_PATIENTS:
        return TrainedDifference(np.nan, np.nan, np.nan, np.nan, np.nan, np.nan, patients)
    value, replicates = difference.value, _replicates(difference, resamples, seed)
    adjusted = 1 - (1 - LEVEL) / max(tests, 1)
    low, high = expanded_percentiles(replicates, patients, LEVEL)
    half = (high - low) / 2
    error = float(replicates.std() * np.sqrt(patients / (patients - 1)))
    limits = (_quantile(adjusted, patients - 1) * error, np.hypot(half, noise.half_width(LEVEL)))
    detectable = max(limits) + stats.norm.ppf(POWER) * np.hypot(error, noise.error)
    possible = smallest_p(patients, max(tests, 1)) < 1 - LEVEL
    return TrainedDifference(
        *_widen(value, low, high, noise.half_width(LEVEL)),
        *_widen(value, *expanded_percentiles(replicates, patients, adjusted), noise.half_width(adjusted)),
        half,
        float(detectable) if possible else float("nan"),
        patients,
    )


def _widen(value: float, low: float, high: float, half_width: float) -> tuple[float, float]:
    return float(value - np.hypot(value - low, half_width)), float(value + np.hypot(high - value, half_width))


def _quantile(level: float, freedom: float) -> float:
    return float(stats.t.ppf((1 + level) / 2, freedom))


def _replicates(measure: Measure, resamples: int, seed: int) -> Floats:
    told, total = np.flatnonzero(measure.told), len(measure.told)

    def replicate(drawn: Floats, axis: int) -> Floats:
        rows = np.arange(len(drawn))[:, None] * total
        cells = (rows + told[drawn.astype(np.intp)]).ravel()
        weights = np.bincount(cells, minlength=len(drawn) * total).reshape(-1, total)
        values = measure.of(weights.astype(np.float64))
        return values[~np.isnan(values)]

    return bootstrap_replicates(
        np.arange(len(told), dtype=np.float64), statistic=replicate, resamples=resamples, seed=seed
    )
