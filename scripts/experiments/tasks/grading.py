"""Grading: the class of a patient by the vote of his slices, and of each slice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scripts.experiments.tasks.task import Key, Runs, TaskScores, Trainings, check_alike, check_runs, unite_patients
from scripts.metrics.classification import (
    ClassScores,
    accuracy,
    auc,
    balanced_accuracy,
    class_accuracy,
    find_contradiction,
    join_scores,
    mcc,
    vote,
)
from scripts.metrics.measure import Measure, embed
from scripts.scores.class_tables import SUMMARY, ClassifierSettings, read_scores
from scripts.scores.json_files import ResultsError, read_dataclass
from scripts.scores.results import ALL, Metric, Task

OF_PATIENTS = (
    (Metric("balanced_accuracy", "Balanced accuracy"), balanced_accuracy),
    (Metric("AUC", "AUC"), auc),
    (Metric("MCC", "MCC"), mcc),
    (Metric("accuracy", "Accuracy"), accuracy),
)
OF_SLICES = ((Metric("slice_accuracy", "Accuracy per slice"), accuracy),)
METHOD = (
    "A patient's class is voted by his slices ({rule}); balanced accuracy is the mean of the classes' accuracies. AUC "
    "and MCC belong to no single patient: they have intervals, but no test. Accuracies per slice count every slice."
)
VOTES = {"mean": "the mean of their probabilities", "majority": "the majority"}


def read_arms(runs: Runs) -> TaskScores:
    """Reads the tables of probabilities of all evaluations.

    Args:
        runs: folders of the evaluations, with `classification.json` and `scores.csv`.

    Raises:
        ResultsError: a file is missing or malformed, settings differ, another split than "test" or other slices were
            judged, or a class has no test patient.
    """
    seeds, first = check_runs(runs), next(iter(runs))
    settings = _read_settings(runs)
    slices = {arm: [_read_folds(runs[arm][seed]) for seed in seeds] for arm in runs}
    for arm, trainings in slices.items():
        for seed, each, reference in zip(seeds, trainings, slices[first], strict=True):
            check_alike("slices, patients or classes", runs, arm, seed, _rows(each), _rows(reference))
    for seed, each in zip(seeds, slices[first], strict=True):
        _check_classes(each, runs[first][seed][0])

    of_seeds = {seed: sorted(set(each.patients)) for seed, each in zip(seeds, slices[first], strict=True)}
    patients, places = unite_patients(of_seeds)
    measures: dict[str, dict[Key, Trainings]] = {arm: {} for arm in runs}
    for arm, trainings in slices.items():
        for seed, each in zip(seeds, trainings, strict=True):
            for key, measure in _measure(each, settings.vote).items():
                measures[arm].setdefault(key, []).append(embed(measure, places[seed], len(patients)))
    tested = {"patients": len(patients), "slices": max(len(each.sources) for each in slices[first])}
    metrics = [metric for metric, _ in (*OF_PATIENTS, *OF_SLICES)]
    method = METHOD.format(rule=VOTES.get(settings.vote, settings.vote))
    task = Task("grading", metrics, settings.classes, [], tested, method, chance=1 / len(settings.classes))
    return TaskScores(task, patients, {}, seeds, measures)


def _measure(slices: ClassScores, rule: str) -> dict[Key, Measure]:
    measures: dict[Key, Measure] = {}
    for scores, listed in ((vote(slices, rule), OF_PATIENTS), (slices, OF_SLICES)):
        for metric, build in listed:
            measures[metric.name, ALL] = build(scores)
        for number, name in enumerate(scores.classes):
            measures[listed[-1][0].name, name] = class_accuracy(scores, number)
    return measures


def _read_settings(runs: Runs) -> ClassifierSettings:
    files = [folder / SUMMARY for trainings in runs.values() for folders in trainings.values() for folder in folders]
    settings = {file: read_dataclass(file, ClassifierSettings) for file in files}
    first = settings[files[0]]
    for file, own in settings.items():
        if own.split != "test":
            raise ResultsError(
                f"{file}: split is {own.split!r}, expected 'test': the validation split chose the classifier's epoch. "
                "Run the evaluation without --split."
            )
        if own != first:
            raise ResultsError(
                f"{file}: {own}, elsewhere {first}; expected the same. Run the evaluations of all classifiers with the "
                "same --vote on the same data set."
            )
    return first


def _read_folds(folders: Sequence[Path]) -> ClassScores:
    try:
        return join_scores([read_scores(folder) for folder in folders])
    except ValueError as error:
        raise ResultsError(f"{[str(folder) for folder in folders]} cannot be read together: {error}") from error


def _rows(scores: ClassScores) -> list[tuple[str, str, int]]:
    return list(zip(scores.sources, scores.patients, scores.truths.tolist(), strict=True))


def _check_classes(scores: ClassScores, folder: Path) -> None:
    """Every class must be tested, and a patient be of one."""
    names = [scores.classes[truth] for truth in scores.truths]
    absent = sorted(set(scores.classes) - set(names))
    contradiction = find_contradiction(scores.patients, names)
    if absent or contradiction:
        raise ResultsError(
            f"{folder}: the classes {absent} have no test slice, and {contradiction} is a patient of several classes; "
            "expected patients of every class, each of one. Choose other folds, or correct dataset.json."
        )
