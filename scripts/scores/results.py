"""The results of a study, as `results.json` holds them: scores, differences, verdicts, evidence, and what was run.

One schema for every task and system: written by `scripts.experiments.collect`, read by the page and by anyone else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from scripts.scores.evidence import (
    Annotations,
    Choice,
    ClassCount,
    MemberCheck,
    Memorisation,
    Number,
    Placement,
    Presence,
    Quality,
    Selection,
)
from scripts.scores.json_files import read_dataclass, write_dataclass

FILE = "results.json"
ALL = ""  # the label of a mean over labels, and the group of all patients


@dataclass(frozen=True)
class Estimate:
    """A score over n patients with its 95% interval over them; NaN, NaN below six patients."""

    value: Number
    low: Number
    high: Number
    patients: int


@dataclass(frozen=True)
class Metric:
    """A metric of a task; `better` is "higher" or "lower", `digits` how many are shown behind the point."""

    name: str
    title: str
    better: str = "higher"
    unit: str = ""
    digits: int = 3


@dataclass(frozen=True)
class Task:
    """What was learned downstream. `metrics` begin with the one that the verdict goes by.

    `groups` are patients' classes that were scored, two or more, else empty; `tested` says what was tested on, such as
    {"patients": 14, "slices": 380}; `method` how it was scored, in sentences for the page's methods; `chance`
    what guessing scores in the first metric.
    """

    name: str
    metrics: list[Metric]
    labels: list[str]
    groups: list[str]
    tested: dict[str, int]
    method: str = ""
    chance: float = 0.0

    @property
    def primary(self) -> Metric:
        return self.metrics[0]

    def metric(self, name: str) -> Metric:
        return next(metric for metric in self.metrics if metric.name == name)


@dataclass(frozen=True)
class Arm:
    """One way of training.

    Attributes:
        name: in the study's grammar, "real+redgan:spade+classical".
        title: as the page shows it.
        kind: "baseline", "alternative" (cheap, without a GAN) or "gan".
        task: that it is an arm of.
        source: system whose items it takes, "" without.
        family: title of the arms that differ from it only in an amount, "" without amount.
        amount: of the source: members, items, or synthetic per real slice; infinity for all.
        synthetic: items that it takes from, by class or under "" where there are none.
        hours: of training, its generators' and its own, per fold and seed.
        unit: of the amount, such as "members".
        copies: verdict of its synthetic set's memorisation audit, see `Memorisation`; "" without.
    """

    name: str
    title: str
    kind: str
    task: str
    source: str = ""
    family: str = ""
    amount: Number = math.nan
    synthetic: dict[str, int] = field(default_factory=dict)
    hours: Number = math.nan
    unit: str = ""
    copies: str = ""


@dataclass(frozen=True)
class Score:
    """How an arm does in a metric, over one label or all, in one group of patients or all.

    `seeds` is the score of each training over all patients, `patients` that of each patient over all trainings.
    """

    task: str
    fraction: float
    arm: str
    metric: str
    label: str
    group: str
    estimate: Estimate
    seeds: dict[int, Number]
    patients: dict[str, Number]


@dataclass(frozen=True)
class Training:
    """How one training of an arm went, by the score on the validation patients, which chose the epoch.

    Attributes:
        metric: what chose it.
        epochs: that were trained.
        best_epoch: whose weights were kept.
        stopped: "plateau", or "cap" where it was still rising, or had no patience.
        real_passes: over the real slices, in all; 0 of an arm without real items.
        score: at the best epoch.
        equal_passes: that every arm with real items reached, in this task, fraction and fold.
        equal_score: the best one within so many; NaN of an arm without real items.
    """

    task: str
    fraction: float
    arm: str
    fold: int | None
    seed: int
    metric: str
    epochs: int
    best_epoch: int
    stopped: str
    real_passes: float
    score: Number
    equal_passes: Number
    equal_score: Number


@dataclass(frozen=True)
class Difference:
    """An arm minus another on the same patients.

    Attributes:
        family: of tests that p is corrected over: "verdict", "classes", "labels", "further" or "amounts".
        estimate: of the difference, with its 95% interval over patients and trainings.
        adjusted_low: of the interval at 1 - .05 / m, for the m tests of the family.
        adjusted_high: of that interval.
        p: of the paired sign-flip test over patients; NaN where none was made.
        p_adjusted: after Holm, over the family.
        noise: standard error of the difference that comes from the chance of training; NaN with one seed.
        smallest_p: the smallest adjusted p that so many patients could have given.
        detectable: smallest difference that would have been told in four of five such studies.
        p_page: after Holm, over all tests of all tasks and families.
        finding: "raised", "lowered", "cannot tell" or "too few"; raised is better, also where lower values are.
        reason: why nothing can be told, in words; "" otherwise.
    """

    task: str
    fraction: float
    metric: str
    label: str
    group: str
    arm: str
    other: str
    family: str
    estimate: Estimate
    adjusted_low: Number
    adjusted_high: Number
    p: Number
    p_adjusted: Number
    noise: Number
    smallest_p: Number
    detectable: Number
    finding: str
    reason: str = ""
    p_page: Number = math.nan


@dataclass(frozen=True)
class Verdict:
    """The answer for one task: `finding` is "helps", "harms", "no gain", "cannot tell" or "too few"."""

    task: str
    finding: str
    sentence: str
    details: list[str]
    next_step: str = ""
    next_command: str = ""


@dataclass(frozen=True)
class PublishedFigure:
    """A figure of the paper, as the study's file gives it; `arm` in the study's grammar, else `arm_title`."""

    task: str
    metric: str
    value: float
    arm: str = ""
    arm_title: str = ""
    fraction: float = 1.0
    label: str = ALL
    source: str = ""


@dataclass(frozen=True)
class Picture:
    """A PNG in the results folder; `legend` names the colours of masks, as (title, "#rrggbb")."""

    file: str
    caption: str
    section: str = "pictures"  # or "cases", "selection", "presence", "placement", "memorisation"
    legend: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Curve:
    """Losses of one training, a CSV in the results folder."""

    file: str
    title: str


@dataclass(frozen=True)
class FrocCurve:
    """Sensitivity against false positives per slice of an arm, the mean over its trainings."""

    task: str
    fraction: float
    arm: str
    iou: float
    curve: list[tuple[float, Number]]
    points: list[tuple[float, Estimate]]
    operating: tuple[float, float] | None = None


@dataclass(frozen=True)
class Evidence:
    """What is known of the synthetic sets, by what they are called, such as "LcGAN, 2.5% of the patients"."""

    quality: dict[str, Quality] = field(default_factory=dict)
    memorisation: dict[str, Memorisation] = field(default_factory=dict)
    presence: dict[str, Presence] = field(default_factory=dict)
    placement: dict[str, Placement] = field(default_factory=dict)
    selection: dict[str, Selection] = field(default_factory=dict)
    annotations: dict[str, Annotations] = field(default_factory=dict)
    choice: dict[str, Choice] = field(default_factory=dict)
    counts: dict[str, dict[str, ClassCount]] = field(default_factory=dict)
    members: dict[str, MemberCheck] = field(default_factory=dict)
    froc: list[FrocCurve] = field(default_factory=list)


@dataclass(frozen=True)
class DataSummary:
    """Patients and slices of the data set, and by fraction and class those that are trained on."""

    name: str
    folder: str
    patients: int
    slices: int
    classes: dict[str, dict[str, int]]  # class -> {"patients": n, "slices": n} in training, at the whole fraction
    training: dict[float, dict[str, int]]  # fraction -> {"patients": n, "slices": n}


@dataclass(frozen=True)
class Run:
    """What was run, without private paths; `seconds` of training by job, over folds and seeds."""

    command: str
    commit: str
    hardware: str
    versions: dict[str, str]
    seconds: dict[str, float]


@dataclass(frozen=True)
class Results:
    """Everything that a page tells."""

    title: str
    dataset: DataSummary
    image_size: int
    baseline: str
    folds: list[int | None]
    seeds: list[int]
    fractions: list[float]
    tasks: list[Task]
    arms: list[Arm]
    scores: list[Score]
    differences: list[Difference]
    verdicts: list[Verdict]
    run: Run
    published: list[PublishedFigure] = field(default_factory=list)
    evidence: Evidence = field(default_factory=Evidence)
    pictures: list[Picture] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    trainings: list[Training] = field(default_factory=list)

    def task(self, name: str) -> Task:
        return next(task for task in self.tasks if task.name == name)

    def arms_of(self, task: str, *kinds: str) -> list[Arm]:
        """The arms of a task in their order, of all kinds or of some."""
        return [arm for arm in self.arms if arm.task == task and (not kinds or arm.kind in kinds)]

    def arm(self, task: str, name: str) -> Arm:
        return next(arm for arm in self.arms if arm.task == task and arm.name == name)

    def score(
        self, task: str, fraction: float, arm: str, metric: str, *, label: str = ALL, group: str = ALL
    ) -> Score | None:
        """The one score at a place, None where it was not measured."""
        return self._scores.get((task, fraction, arm, metric, label, group))

    @cached_property
    def _scores(self) -> dict[tuple[str, float, str, str, str, str], Score]:
        return {(s.task, s.fraction, s.arm, s.metric, s.label, s.group): s for s in self.scores}

    def differences_of(self, family: str, task: str, fraction: float | None = None) -> list[Difference]:
        return [d for d in self.differences if d.family == family and d.task == task and fraction in (None, d.fraction)]


def write_results(folder: str | Path, results: Results) -> Path:
    """Writes `results.json` into the folder."""
    return write_dataclass(Path(folder) / FILE, results)


def read_results(folder: str | Path) -> Results:
    """Reads a study's `results.json`.

    Raises:
        ResultsError: it is missing or malformed.
    """
    return read_dataclass(Path(folder) / FILE, Results)
