"""Tables of a classifier's probabilities: of slices and of patients, written, and read back for reports."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from scripts.metrics.classification import ClassScores
from scripts.scores.csv_tables import write_table
from scripts.scores.json_files import read_dataclass
from scripts.scores.results import Estimate

COLUMNS = ("source", "patient", "class", "predicted")
SUMMARY, SLICES, PATIENTS = "classification.json", "scores.csv", "patients.csv"


@dataclass(frozen=True)
class ClassifierSettings:
    """Of `classification.json`, what all evaluations of a study must share."""

    classes: list[str]
    vote: str
    split: str = "test"


@dataclass(frozen=True)
class ClassMeasures:
    """Of slices or patients: their number, each measure, and the confusion matrix, a row for each true class."""

    count: int
    measures: dict[str, Estimate]
    confusion: list[list[float]]


@dataclass(frozen=True, kw_only=True)
class ClassificationSummary(ClassifierSettings):
    """`classification.json`; `classifier` is its kind, `seen_in` the split of patients whom the weights know."""

    resamples: int
    slices: ClassMeasures
    patients: ClassMeasures
    classifier: str = ""
    seen_in: dict[str, str] = field(default_factory=dict)


def write_scores(file: Path, scores: ClassScores) -> None:
    """Writes one row per slice: `source`, `patient`, `class`, `predicted`, and `probability_<class>` of each class."""
    names = scores.classes
    columns = [*COLUMNS, *(f"probability_{name}" for name in names)]
    rows = zip(
        scores.sources, scores.patients, scores.truths, scores.predictions, scores.probabilities.tolist(), strict=True
    )
    write_table(
        file, columns, ([s, p, names[t], names[c], *(f"{v:.9g}" for v in values)] for s, p, t, c, values in rows)
    )


def write_patients(file: Path, slices: ClassScores, patients: ClassScores) -> None:
    """Writes one row per patient: `patient`, `class`, `predicted`, `slices`, `slices_right`, and the probabilities.

    Args:
        file: the CSV.
        slices: of the patients.
        patients: their vote.
    """
    names = slices.classes
    confusions = slices.patient_confusions
    counts, right = confusions.sum(axis=(1, 2)).astype(int), np.trace(confusions, axis1=1, axis2=2).astype(int)
    columns = ["patient", "class", "predicted", "slices", "slices_right", *(f"probability_{name}" for name in names)]
    numbers = zip(patients.patients, patients.truths, patients.predictions, counts, right, strict=True)
    rows = [
        [patient, names[truth], names[predicted], count, hits, *(f"{value:.9g}" for value in values)]
        for (patient, truth, predicted, count, hits), values in zip(
            numbers, patients.probabilities.tolist(), strict=True
        )
    ]
    write_table(file, columns, rows)


def read_scores(folder: str | Path) -> ClassScores:
    """The slices' scores that an evaluation wrote; `vote` makes the patients' of them.

    Args:
        folder: with `classification.json` and `scores.csv`.

    Raises:
        ValueError: a file is missing or not as the evaluation writes it.
    """
    folder = Path(folder)
    try:
        classes = read_dataclass(folder / SUMMARY, ClassifierSettings).classes
        with open(folder / SLICES, newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        return ClassScores(
            classes,
            [row["source"] for row in rows],
            [row["patient"] for row in rows],
            np.array([classes.index(row["class"]) for row in rows], dtype=np.intp),
            np.array([[float(row[f"probability_{name}"]) for name in classes] for row in rows]).reshape(len(rows), -1),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{folder} holds no scores of a classifier ({type(error).__name__}: {error}). Write {SUMMARY} and {SLICES} "
            "with configs/feature_acgan_classifier_evaluate.json."
        ) from None
