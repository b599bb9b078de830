"""Segmentation: Dice and its like by patient and label, and lesions found where the evaluations tell of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scripts.experiments.tasks.task import Key, Runs, TaskScores, Trainings, check_alike, check_runs, read_rows
from scripts.metrics.detection import OUTCOMES, precision_recall_measures
from scripts.metrics.measure import mean_known, mean_of_patients
from scripts.metrics.statistics import Floats
from scripts.scores.json_files import ResultsError
from scripts.scores.results import ALL, Metric, Task
from scripts.scores.segmentation_metrics import METRICS

SCORES, LESIONS = "scores.csv", "detections.csv"
COLUMNS = ("patient", "class", "label", *(each.metric.name for each in METRICS))
LESION_COLUMNS = ("patient", "label", "outcome")
LESION_METRICS = (Metric("precision", "Lesion precision"), Metric("recall", "Lesion recall"))
METHOD = (
    "Dice and the other metrics are of all images of a patient together, one number for each label, averaged over "
    "labels. A label that reference and prediction lack in any arm is left out of that patient in all arms."
)
LESION_METHOD = " Lesion precision and recall are pooled over all images."
Row = tuple[str, str]  # patient, label


def read_arms(runs: Runs) -> TaskScores:
    """Reads the tables of `PatientScores`, and those of `DetectionScores` where all evaluations wrote them.

    Args:
        runs: folders of the evaluations, with `scores.csv` and perhaps `detections.csv`.

    Raises:
        ResultsError: a table is missing, malformed, or of other patients than the other arms'.
    """
    seeds = check_runs(runs)
    classes: dict[str, str] = {}
    tables = {
        (arm, seed): _read_folds(folders, classes)
        for arm, trainings in runs.items()
        for seed, folders in trainings.items()
    }
    first = next(iter(runs))
    for arm, seed in tables:
        check_alike("patients or labels", runs, arm, seed, sorted(tables[arm, seed]), sorted(tables[first, seed]))

    # Align all arms to the same rows.
    rows = dict.fromkeys(row for seed in seeds for row in tables[first, seed])
    patients = sorted({patient for patient, _ in rows})
    labels = list(dict.fromkeys(label for _, label in rows))
    values = {arm: _to_array([tables[arm, seed] for seed in seeds], patients, labels) for arm in runs}
    # Left out of one arm alone, its false positives would be spared in others' and counted in its own.
    undefined = np.any([np.isnan(array[0]) for array in values.values()], axis=0)  # (S, P, L)
    for array in values.values():
        array[:, undefined] = np.nan
    if undefined.all():
        raise ResultsError(f"{runs[first][seeds[0]][0]}: no row has a Dice in every arm; check the reference masks.")

    # Each metric is measured as the mean over labels and, where there are several, of each.
    columns: dict[Key, tuple[int, list[int]]] = {}
    for number, each in enumerate(METRICS):
        columns[each.metric.name, ALL] = number, list(range(len(labels)))
        columns |= {(each.metric.name, label): (number, [n]) for n, label in enumerate(labels) if len(labels) > 1}
    chosen = {key: {arm: values[arm][m][..., places] for arm in runs} for key, (m, places) in columns.items()}
    measures = {arm: {key: _measure(of_arms[arm]) for key, of_arms in chosen.items()} for arm in runs}
    paired = {key: partial(_pair, of_arms) for key, of_arms in chosen.items()}
    with_lesions = _has_lesions(runs)
    if with_lesions:
        for arm, trainings in runs.items():
            measures[arm] |= _measure_lesions([trainings[seed] for seed in seeds], patients, labels)

    groups = sorted(set(classes.values()) - {""})
    task = Task(
        "segmentation",
        [*(each.metric for each in METRICS), *(LESION_METRICS if with_lesions else ())],
        labels,
        groups if len(groups) > 1 else [],
        {"patients": len(patients)},
        METHOD + (LESION_METHOD if with_lesions else ""),
    )
    return TaskScores(task, patients, classes, seeds, measures, paired)


def _measure(values: Floats) -> Trainings:
    """Of (S, P, L) values of a metric, one measure of the patients' means over labels for each seed."""
    return [mean_of_patients(mean_known(of_seed.T)) for of_seed in values]


def _pair(of_arms: Mapping[str, Floats], arm: str, other: str) -> tuple[Trainings, Trainings]:
    """Both arms over the rows where both are defined: an HD95 needs a prediction."""
    known: NDArray[np.bool_] = ~(np.isnan(of_arms[arm]) | np.isnan(of_arms[other]))
    return _measure(np.where(known, of_arms[arm], np.nan)), _measure(np.where(known, of_arms[other], np.nan))


def _read_folds(folders: Sequence[Path], classes: dict[str, str]) -> dict[Row, list[float]]:
    """A training's metrics by row; fills `classes` and checks it against what other files said."""
    table: dict[Row, list[float]] = {}
    for folder in folders:
        file = folder / SCORES
        for line, row in enumerate(read_rows(file, COLUMNS), start=2):
            patient, key = row["patient"], (row["patient"], row["label"])
            if classes.setdefault(patient, row["class"]) != row["class"] or key in table:
                raise ResultsError(
                    f"{file}, line {line}: patient {patient!r}, label {key[1]!r}, class {row['class']!r} occurs twice "
                    f"or has class {classes[patient]!r} elsewhere; expected every patient in one fold and class."
                )
            table[key] = [_read_number(row[each.metric.name], file, line, each.signed) for each in METRICS]
    return table


def _read_number(text: str, file: Path, line: int, signed: bool) -> float:
    try:
        value = float(text or "nan")
    except ValueError:
        raise ResultsError(f"{file}, line {line}: {text!r} is no number. Run the evaluation again.") from None
    value = abs(value) if signed else value
    return value if math.isfinite(value) else math.nan


def _to_array(tables: Sequence[Mapping[Row, list[float]]], patients: list[str], labels: list[str]) -> Floats:
    """(M, S, P, L) metrics by seed, patient and label; NaN where a seed does not test the patient."""
    array = np.full((len(METRICS), len(tables), len(patients), len(labels)), np.nan)
    place = {patient: number for number, patient in enumerate(patients)}
    for seed, table in enumerate(tables):
        for (patient, label), numbers in table.items():
            array[:, seed, place[patient], labels.index(label)] = numbers
    return array


def _has_lesions(runs: Runs) -> bool:
    files = [folder / LESIONS for trainings in runs.values() for folders in trainings.values() for folder in folders]
    missing = [file for file in files if not file.is_file()]
    if missing and len(missing) < len(files):
        raise ResultsError(f"{missing[0]} is missing, though others have it; expected it in all. Run the evaluation.")
    return not missing


def _measure_lesions(
    trainings: Sequence[Sequence[Path]], patients: list[str], labels: list[str]
) -> dict[Key, Trainings]:
    """Precision and recall over all labels and, where there are several, of each."""
    measures: dict[Key, Trainings] = {}
    for folders in trainings:
        rows = [row for folder in folders for row in _read_lesions(folder / LESIONS, patients)]
        for label in [ALL, *(labels if len(labels) > 1 else [])]:
            outcomes: dict[str, list[str]] = {patient: [] for patient in patients}
            for row in rows:
                if label in (ALL, row["label"]):
                    outcomes[row["patient"]].append(row["outcome"])
            for metric, measure in zip(LESION_METRICS, precision_recall_measures(outcomes), strict=True):
                measures.setdefault((metric.name, label), []).append(measure)
    return measures


def _read_lesions(file: Path, patients: list[str]) -> list[dict[str, str]]:
    rows = read_rows(file, LESION_COLUMNS)
    for line, row in enumerate(rows, start=2):
        if row["patient"] not in patients or row["outcome"] not in OUTCOMES:
            raise ResultsError(
                f"{file}, line {line}: patient {row['patient']!r}, outcome {row['outcome']!r}; expected a patient of "
                f"{SCORES} and one of {list(OUTCOMES)}. Run the evaluation again."
            )
    return rows
