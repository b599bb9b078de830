"""What the evaluations of a task give: measures of all arms and trainings on the same patients."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scripts.metrics.measure import Measure, restrict
from scripts.scores.json_files import ResultsError
from scripts.scores.results import ALL, FrocCurve, Task

Runs = Mapping[str, Mapping[int, Sequence[Path]]]  # arm -> seed -> the evaluations of its folds
Trainings = list[Measure]  # one for each seed
Key = tuple[str, str]  # metric, and label or ALL


@dataclass(frozen=True)
class TaskScores:
    """A task as it was measured at one fraction of the data.

    Attributes:
        task: its metrics and labels, and what was tested.
        patients: names, in the order of the measures.
        group_of: the group of each patient; empty where there are no groups.
        seeds: of the trainings.
        measures: by arm, then metric and label.
        paired: for differences that need both arms, by metric and label: arm, other -> the measures of both.
        froc: curves of detectors, their fraction 1.
    """

    task: Task
    patients: list[str]
    group_of: dict[str, str]
    seeds: list[int]
    measures: dict[str, dict[Key, Trainings]]
    paired: Mapping[Key, Callable[[str, str], tuple[Trainings, Trainings]]] = field(default_factory=dict)
    froc: list[FrocCurve] = field(default_factory=list)

    def measured(self, metric: str, label: str = ALL) -> bool:
        """Whether every arm has a value of its own in the metric; not where it needs another arm's."""
        return all((metric, label) in measures for measures in self.measures.values())

    def of(self, arm: str, metric: str, *, label: str = ALL, group: str = ALL) -> Trainings:
        """An arm's trainings in a metric, over the patients of a group."""
        return self._restrict(self.measures[arm][metric, label], group)

    def pair(
        self, arm: str, other: str, metric: str, *, label: str = ALL, group: str = ALL
    ) -> tuple[Trainings, Trainings]:
        """The trainings of two arms that are to be compared in a metric."""
        if (metric, label) in self.paired:
            first, second = self.paired[metric, label](arm, other)
        else:
            first, second = self.measures[arm][metric, label], self.measures[other][metric, label]
        return self._restrict(first, group), self._restrict(second, group)

    def _restrict(self, trainings: Trainings, group: str) -> Trainings:
        if group == ALL:
            return trainings
        members: NDArray[np.bool_] = np.array([self.group_of[patient] == group for patient in self.patients])
        return [restrict(measure, members) for measure in trainings]


def check_runs(runs: Runs) -> list[int]:
    """The seeds, the same in all arms.

    Raises:
        ResultsError: no arm, other seeds in another arm, or a seed without evaluations.
    """
    seeds = {arm: sorted(trainings) for arm, trainings in runs.items()}
    first = next(iter(seeds.values()), [])
    empty = [arm for arm, trainings in runs.items() if not all(trainings.values())]
    if not first or empty or any(each != first for each in seeds.values()):
        raise ResultsError(
            f"The arms have evaluations of the seeds {seeds}, none in {empty}; expected the same seeds in all arms, "
            "each with one evaluation or more. Run the missing trainings."
        )
    return first


def check_alike(what: str, runs: Runs, arm: str, seed: int, found: object, expected: object) -> None:
    """Refuses an arm that was tested on something else than the first arm was with the same seed."""
    if found != expected:
        first = next(iter(runs))
        raise ResultsError(
            f"{runs[arm][seed][0]}: arms {first!r} and {arm!r} were tested on other {what} with seed {seed}; expected "
            "the same in all arms. Run the evaluations again."
        )


def unite_patients(of_seeds: Mapping[int, Sequence[str]]) -> tuple[list[str], dict[int, list[int]]]:
    """All patients whom any seed tests, sorted, and the places among them of each seed's."""
    patients = sorted({name for names in of_seeds.values() for name in names})
    place = {name: number for number, name in enumerate(patients)}
    return patients, {seed: [place[name] for name in names] for seed, names in of_seeds.items()}


def read_rows(file: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV.

    Raises:
        ResultsError: it is missing or lacks a column.
    """
    if not file.is_file():
        raise ResultsError(f"{file} is missing; expected a table of an evaluation. Run the evaluation.")
    with open(file, newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        absent = sorted(set(columns) - set(reader.fieldnames or []))
        if absent:
            raise ResultsError(
                f"{file} lacks the columns {absent}; expected {list(columns)}. Run the evaluation again."
            )
        return list(reader)
