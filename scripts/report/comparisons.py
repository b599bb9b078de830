"""Paired comparisons between arms with the patient as the unit, overall and per class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from scripts.metrics import comparison as box_intervals
from scripts.metrics.measure import Measure, average
from scripts.metrics.statistics import Floats, bootstrap_interval, holm, sign_flip_test
from scripts.report.results import Arm, Results

MINIMUM_PATIENTS = 6  # the two-sided sign-flip p cannot get under .05 below
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Estimate:
    """A mean over n patients with its 95% interval; (nan, nan) for a single patient."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Comparison:
    """Paired difference in Dice or another measure, `arm` minus `other`, over the patients of a class (None: all).

    Dice is that of one `label`, or the mean over labels (None). `p` is the two-sided sign-flip p and `p_adjusted` what
    a correction for several tests made of it, both None where patients are fewer than `MINIMUM_PATIENTS`.
    `finding` is "raised", "lowered", "cannot tell" or "too few".
    """

    arm: Arm
    other: Arm
    class_name: str | None
    difference: Estimate
    p: float | None = None
    p_adjusted: float | None = None
    label: str | None = None

    @property
    def finding(self) -> str:
        if self.p_adjusted is None:
            return "too few"
        if self.p_adjusted < SIGNIFICANT and self.difference.low > 0:
            return "raised"
        if self.p_adjusted < SIGNIFICANT and self.difference.high < 0:
            return "lowered"
        return "cannot tell"


def estimate_arm(
    results: Results, arm: Arm, *, metric: str = "dice", class_name: str | None = None, label: str | None = None
) -> Estimate:
    """Mean of a metric over patients, each patient averaged over labels (or of one label), folds and seeds first.

    Patients where the metric is undefined are left out; n says how many remain.
    """
    chosen = _patients(results, class_name)
    values = results.scores.by_patient(arm.name, metric, label=label)
    return _estimate([values[patient] for patient in chosen if not np.isnan(values.get(patient, np.nan))])


def compare_arms(results: Results, class_name: str | None = None) -> list[Comparison]:
    """Every other arm against the baseline, and every GAN arm against every cheap alternative; not yet corrected."""
    pairs = [(arm, results.baseline) for arm in results.arms if arm.kind != "baseline"]
    pairs += [(arm, other) for arm in results.of_kind("gan") for other in results.of_kind("alternative")]
    return [compare_pair(results, arm, other, class_name) for arm, other in pairs]


def compare_pair(
    results: Results, arm: Arm, other: Arm, class_name: str | None = None, *, label: str | None = None
) -> Comparison:
    """One arm against another over the patients of a class (None: all); not yet corrected.

    With a label, its Dice is compared, over the patients in whom it is defined; else the mean over labels.
    """
    dice, other_dice = (results.scores.by_patient(each.name, label=label) for each in (arm, other))
    differences = [dice[patient] - other_dice[patient] for patient in _patients(results, class_name) if patient in dice]
    p = sign_flip_test(differences) if len(differences) >= MINIMUM_PATIENTS else None
    return Comparison(arm, other, class_name, _estimate(differences), p, label=label)


def compare_all(results: Results) -> tuple[list[Comparison], list[Comparison]]:
    """Overall and per-class comparisons, each of the two families with its own Holm correction."""
    per_class = [c for name in scored_classes(results) for c in compare_arms(results, name)]
    return correct(compare_arms(results)), correct(per_class)


def estimate_trainings(trainings: Sequence[Measure]) -> Estimate:
    """Mean over the trainings (seeds) of a measure, with its 95% interval over patients."""
    score = box_intervals.estimate(average(trainings))
    return Estimate(score.value, score.low, score.high, score.patients)


def compare_trainings(arm: Arm, other: Arm, first: Sequence[Measure], second: Sequence[Measure]) -> Comparison:
    """One arm against another in the mean over trainings of a measure of the same patients; not yet corrected."""
    found = box_intervals.compare(average(first), average(second))
    difference = Estimate(found.difference, found.low, found.high, found.patients)
    return Comparison(arm, other, None, difference, found.p if found.patients >= MINIMUM_PATIENTS else None)


def correct(comparisons: Sequence[Comparison], adjust: Callable[..., Floats] = holm) -> list[Comparison]:
    """Fill in `p_adjusted`, with `holm` or `bonferroni`, over all that are tested.

    Comparisons with too few patients are not tested and do not count.
    """
    adjusted = iter(adjust([c.p for c in comparisons if c.p is not None]))
    return [c if c.p is None else replace(c, p_adjusted=float(next(adjusted))) for c in comparisons]


def scored_classes(results: Results) -> list[str]:
    """Classes with at least one scored patient; none where the data set has a single class."""
    names = [name for name in results.class_names if _patients(results, name)]
    return names if len(names) > 1 else []


def _patients(results: Results, class_name: str | None) -> list[str]:
    scored = dict.fromkeys(key[0] for key in results.scores.keys)
    return [name for name in scored if class_name is None or results.scores.classes[name] == class_name]


def _estimate(values: Sequence[float]) -> Estimate:
    if not values:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    return Estimate(float(np.mean(values)), *bootstrap_interval(values), n=len(values))
