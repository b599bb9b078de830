"""The scores of all arms, and every difference that a study tests: the same for all tasks and metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from scripts.experiments.tasks.task import TaskScores, Trainings
from scripts.metrics.comparison import (
    LEVEL,
    SIGNIFICANT,
    Noise,
    TrainedDifference,
    compare_trainings,
    estimate,
    p_value,
    smallest_p,
    subtract,
    training_noise,
)
from scripts.metrics.measure import Measure, average, mean_known
from scripts.metrics.statistics import MINIMUM_PATIENTS, holm
from scripts.scores.results import ALL, Arm, Difference, Estimate, FrocCurve, Metric, Score, Task

# How reasons begin.
FEW_PATIENTS = "too few patients"
ONE_TRAINING = "one training of each arm"
NOISE = "the noise between trainings"
SMALL = "the difference is smaller than"
UNTESTED = "the metric belongs to no single patient"

ByFraction = Mapping[float, TaskScores]


@dataclass(frozen=True)
class PlannedTest:
    """Which two arms are compared, where, and in what; the names are those of `Difference`."""

    fraction: float
    metric: Metric
    label: str
    group: str
    arm: str
    other: str

    @property
    def place(self) -> tuple[float, str, str, str]:
        return self.fraction, self.metric.name, self.label, self.group


@dataclass(frozen=True)
class _Prepared:
    """A test with the trainings of both arms, their difference, and its p over patients."""

    test: PlannedTest
    first: Trainings
    second: Trainings
    difference: Measure
    p: float

    @property
    def patients(self) -> int:
        """Who bring something to both arms."""
        return int((~np.isnan(self.difference.by_patient)).sum())


def score_arms(by_fraction: ByFraction, arms: Sequence[Arm]) -> list[Score]:
    """Every arm in every metric and label, and in the primary metric by group; what is not defined is left out.

    Args:
        by_fraction: of one task.
        arms: of that task; those that a fraction did not run are passed over there.
    """
    found = []
    for fraction, scores in by_fraction.items():
        for arm in _ran(scores, arms):
            for metric, label in scores.measures[arm.name]:
                by_group = metric == scores.task.primary.name and label == ALL
                for group in [ALL, *(scores.task.groups if by_group else [])]:
                    score = _score(scores, fraction, arm.name, metric, label, group)
                    if not math.isnan(score.estimate.value):
                        found.append(score)
    return found


def _score(scores: TaskScores, fraction: float, arm: str, metric: str, label: str, group: str) -> Score:
    trainings = scores.of(arm, metric, label=label, group=group)
    alone = mean_known([training.alone for training in trainings]).tolist()
    return Score(
        scores.task.name,
        fraction,
        arm,
        metric,
        label,
        group,
        Estimate(*estimate(average(trainings))),
        {seed: training.value for seed, training in zip(scores.seeds, trainings, strict=True)},
        {name: value for name, value in zip(scores.patients, alone, strict=True) if not math.isnan(value)},
    )


def trace_froc(by_fraction: ByFraction) -> list[FrocCurve]:
    """The curves of all fractions."""
    return [replace(curve, fraction=fraction) for fraction, scores in by_fraction.items() for curve in scores.froc]


def compare_arms(by_fraction: ByFraction, arms: Sequence[Arm]) -> list[Difference]:
    """All differences of a task, Holm-corrected within each family over all fractions.

    Args:
        by_fraction: of one task.
        arms: of that task, one of them the baseline.
    """
    families = list_tests(by_fraction, arms)
    return [each for family, tests in families.items() for each in _compare_family(family, tests, by_fraction)]


def correct_over_all(differences: Sequence[Difference]) -> list[Difference]:
    """With `p_page`: p after Holm over every test of all tasks and families, for what is read as one table."""
    adjusted = iter(holm([each.p for each in differences if not math.isnan(each.p)]).tolist())
    return [each if math.isnan(each.p) else replace(each, p_page=next(adjusted)) for each in differences]


def list_tests(by_fraction: ByFraction, arms: Sequence[Arm]) -> dict[str, list[PlannedTest]]:
    """The tests of each family, as `Difference` names them.

    - "verdict": the primary metric, every arm against the baseline and every GAN arm against every cheap alternative;
    - "classes": the same in each group of patients, where there are several;
    - "labels": the first metric that is measured by label, every arm against the baseline, where there are several;
    - "further": all other metrics against the baseline;
    - "amounts": the primary metric, the largest amount of a family against each smaller one, and families of equal
      source and amount against each other.
    """
    families: dict[str, list[PlannedTest]] = {"verdict": [], "classes": [], "labels": [], "further": [], "amounts": []}
    for fraction, scores in by_fraction.items():
        ran, task = _ran(scores, arms), scores.task
        pairs = [(arm, other) for arm in ran for other in ran]
        baseline = [(arm, other) for arm, other in pairs if arm.kind != "baseline" == other.kind]
        judged = baseline + [(arm, other) for arm, other in pairs if (arm.kind, other.kind) == ("gan", "alternative")]
        labelled = _labelled_metric(scores)
        further = [each for each in task.metrics[1:] if scores.measured(each.name) or (each.name, ALL) in scores.paired]

        wanted = [("verdict", task.primary, ALL, ALL, judged), ("amounts", task.primary, ALL, ALL, _pair_amounts(ran))]
        wanted += [("classes", task.primary, ALL, group, judged) for group in task.groups]
        wanted += [("labels", labelled, label, ALL, baseline) for label in task.labels if labelled is not None]
        wanted += [("further", metric, ALL, ALL, baseline) for metric in further]
        for family, metric, label, group, compared in wanted:
            families[family] += [
                PlannedTest(fraction, metric, label, group, arm.name, other.name) for arm, other in compared
            ]
    return families


def _ran(scores: TaskScores, arms: Sequence[Arm]) -> list[Arm]:
    return [arm for arm in arms if arm.name in scores.measures]


def _labelled_metric(scores: TaskScores) -> Metric | None:
    """The first metric that every label has, where there are several labels."""
    task: Task = scores.task
    if len(task.labels) < 2:
        return None
    able = (each for each in task.metrics if all(scores.measured(each.name, label) for label in task.labels))
    return next(able, None)


def _pair_amounts(arms: Sequence[Arm]) -> list[tuple[Arm, Arm]]:
    pairs = []
    with_amount = [arm for arm in arms if arm.family and not math.isnan(arm.amount)]
    for family in dict.fromkeys(arm.family for arm in with_amount):
        members = sorted((arm for arm in with_amount if arm.family == family), key=lambda arm: arm.amount)
        pairs += [(members[-1], smaller) for smaller in members if smaller.amount < members[-1].amount]
    for number, arm in enumerate(with_amount):
        for other in with_amount[number + 1 :]:
            if (arm.source, arm.amount) == (other.source, other.amount) and arm.family != other.family:
                pairs.append((arm, other))
    return pairs


def _compare_family(family: str, tests: Sequence[PlannedTest], by_fraction: ByFraction) -> list[Difference]:
    # Pair the arms, and test over patients; what has no value in an arm is not compared.
    prepared = []
    for test in tests:
        first, second = by_fraction[test.fraction].pair(
            test.arm, test.other, test.metric.name, label=test.label, group=test.group
        )
        difference = subtract(average(first), average(second))
        if not math.isnan(difference.value):
            prepared.append(_Prepared(test, first, second, difference, p_value(difference)))

    # Correct over all tests that were made.
    tested = [each.p for each in prepared if not math.isnan(each.p)]
    adjusted = iter(holm(tested).tolist())
    found = []
    for each in prepared:
        p_adjusted = math.nan if math.isnan(each.p) else next(adjusted)
        noise = training_noise(each.first, each.second)
        found.append(_conclude(family, each, p_adjusted, noise, len(tested), by_fraction))
    return found


def _conclude(
    family: str, prepared: _Prepared, p_adjusted: float, noise: Noise, tests: int, by_fraction: ByFraction
) -> Difference:
    test, value = prepared.test, prepared.difference.value
    trained = compare_trainings(prepared.difference, noise, tests=tests)
    finding, reason = _judge(prepared, p_adjusted, noise, trained, tests)
    return Difference(
        by_fraction[test.fraction].task.name,
        test.fraction,
        test.metric.name,
        test.label,
        test.group,
        test.arm,
        test.other,
        family,
        Estimate(value, trained.low, trained.high, trained.patients),
        trained.adjusted_low,
        trained.adjusted_high,
        prepared.p,
        p_adjusted,
        noise.error,
        smallest_p(prepared.patients, max(tests, 1)) if prepared.patients else math.nan,
        trained.detectable,
        finding,
        reason,
    )


def _judge(
    prepared: _Prepared, p_adjusted: float, noise: Noise, trained: TrainedDifference, tests: int
) -> tuple[str, str]:
    """The finding, and where nothing can be told the reason."""
    metric, patients = prepared.test.metric, prepared.patients
    if trained.patients < MINIMUM_PATIENTS or 0 < patients < MINIMUM_PATIENTS:
        fewest = min(trained.patients, patients or trained.patients)
        return "too few", f"{FEW_PATIENTS}: {fewest}, and the test needs {MINIMUM_PATIENTS}"
    if math.isnan(p_adjusted):
        return "cannot tell", f"{UNTESTED}, so that no test over patients can be made"
    if math.isnan(noise.error):
        return "cannot tell", f"{ONE_TRAINING}, so that the noise between trainings is not known"
    if p_adjusted < SIGNIFICANT and (trained.low > 0 or trained.high < 0):
        better = (prepared.difference.value > 0) == (metric.better == "higher")
        return ("raised" if better else "lowered"), ""
    if smallest_p(patients, tests) >= SIGNIFICANT:
        return "cannot tell", f"{FEW_PATIENTS} for {tests} comparisons: {patients} cannot give an adjusted p under .05"
    of_trainings, of_patients = noise.half_width(LEVEL), trained.patient_half_width
    if of_trainings > of_patients:
        shown = f"(\u00b1{of_trainings:.{metric.digits}f}) is larger than that of the patients"
        return "cannot tell", f"{NOISE} {shown} (\u00b1{of_patients:.{metric.digits}f})"
    if abs(prepared.difference.value) < trained.detectable:
        least = f"{trained.detectable:.{metric.digits}f}"
        return "cannot tell", f"{SMALL} {least}, the smallest that four of five such studies would find"
    return "cannot tell", "most studies of this size would find such a difference, but this one did not"
