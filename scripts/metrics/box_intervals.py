"""Intervals of detection measures, and two detectors compared, with the patient as the unit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scripts.metrics.box_detection import Measure
from scripts.metrics.statistics import Floats, bootstrap_interval, sign_flip_test

RESAMPLES = 1000


class Score(NamedTuple):
    """A measure with its interval, and the patients it rests on; NaN where there is none."""

    value: float
    low: float
    high: float
    patients: int


class Comparison(NamedTuple):
    """One detector against another.

    Attributes:
        difference: of the measures over all patients, first minus second.
        low: of its interval, by the paired bootstrap over patients.
        high: of its interval.
        patient_difference: mean over patients of the differences of their own values, which p tests.
        p: of the paired sign-flip test over patients, 1 where their mean difference and `difference` point in
            opposite directions, so that p never backs what it did not test; NaN where no patient has values of both.
        patients: with values of both; the others are left out of p.
    """

    difference: float
    low: float
    high: float
    patient_difference: float
    p: float
    patients: int


def estimate(measure: Measure, *, resamples: int = RESAMPLES, level: float = 0.95, seed: int = 0) -> Score:
    """A measure with its bootstrap interval: patients are drawn with all their slices.

    Patients who say nothing of the measure are not drawn. A resample without a value (an AP where no patient drawn
    has a truth) is left out. See `bootstrap_interval`.

    Args:
        measure: of the whole set.
        resamples: bootstrap samples.
        level: confidence, in (0, 1).
        seed: of the resampling.
    """
    told = np.flatnonzero(measure.told)
    value = measure.value
    if np.isnan(value):
        return Score(np.nan, np.nan, np.nan, 0)
    total = len(measure.told)

    def replicate(drawn: Floats, axis: int) -> Floats:
        rows = np.arange(len(drawn))[:, None] * total
        cells = (rows + told[drawn.astype(np.intp)]).ravel()
        weights = np.bincount(cells, minlength=len(drawn) * total).reshape(-1, total)
        values = measure.of(weights.astype(np.float64))
        return values[~np.isnan(values)]

    low, high = bootstrap_interval(
        np.arange(len(told)), statistic=replicate, level=level, resamples=resamples, seed=seed
    )
    return Score(value, low, high, len(told))


def compare(
    first: Measure, second: Measure, *, resamples: int = RESAMPLES, level: float = 0.95, seed: int = 0
) -> Comparison:
    """First minus second detector on the same patients: paired bootstrap interval and sign-flip test.

    Several trainings of a detector go in as their `average`. The interval is of the difference over all patients; the
    test is of the patients' own differences (sensitivity, AP or false positives of each alone), every patient counting
    alike. A patient without truths has no sensitivity and no AP: he is left out of the test.

    Raises:
        ValueError: measures of other numbers of patients.
    """
    if len(first.told) != len(second.told):
        raise ValueError(
            f"The detectors were measured on {len(first.told)} and {len(second.told)} patients; expected the same."
        )
    own = first.by_patient - second.by_patient
    difference = Measure(lambda weights: first.of(weights) - second.of(weights), first.told | second.told, own)
    score = estimate(difference, resamples=resamples, level=level, seed=seed)
    known = own[~np.isnan(own)]
    if not known.size:
        return Comparison(score.value, score.low, score.high, np.nan, np.nan, 0)
    mean = float(known.mean())
    p = 1.0 if mean * score.value < 0 else sign_flip_test(known, seed=seed)
    return Comparison(score.value, score.low, score.high, mean, p, known.size)
