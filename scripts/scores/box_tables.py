"""Tables of a detector's boxes: detections, truths and patients, written and read back for reports."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scripts.metrics.box_matching import Matches, SliceBoxes
from scripts.scores.csv_tables import write_table
from scripts.scores.evidence import Number
from scripts.scores.results import Estimate

IOUS = {0.5: "50", 0.25: "25"}  # and how columns end
BOX = ("x0", "y0", "x1", "y1")
DETECTION_COLUMNS = ("source", "patient", "class", *BOX, "score", *(f"truth_{end}" for end in IOUS.values()))
TRUTH_COLUMNS = ("source", "patient", "class", *BOX, *(f"score_{end}" for end in IOUS.values()))
PATIENT_COLUMNS = (
    "patient",
    "slices",
    "truths",
    *(f"found_{end}" for end in IOUS.values()),
    *(f"false_positives_{end}" for end in IOUS.values()),
)


@dataclass(frozen=True)
class DetectorSettings:
    """Of `detection.json`, what all evaluations of a study must share."""

    classes: list[str]
    detection_threshold: float


@dataclass(frozen=True)
class SizeScore(Estimate):
    """Sensitivity to the truths of a size."""

    truths: int


@dataclass(frozen=True)
class FrocPoint(Estimate):
    """Sensitivity at a rate of false positives per slice, and the score that it takes; NaN where none reaches it."""

    rate: float
    threshold: Number


@dataclass(frozen=True)
class IouSummary:
    """A detector at one IoU; `measures` are mAP, sensitivity and false positives per slice, `froc_curve` pairs of rate
    and sensitivity.
    """

    measures: dict[str, Estimate]
    ap_by_class: dict[str, Estimate]
    sensitivity_by_size: dict[str, SizeScore]
    froc: list[FrocPoint]
    froc_curve: list[tuple[float, Number]]


@dataclass(frozen=True)
class DetectionSummary(DetectorSettings):
    """`detection.json`; `seen_in` is the split of patients whom the weights know."""

    patients: int
    slices: int
    truths: int
    detections: int
    size_edges_px2: list[float]
    resamples: int
    seen_in: dict[str, str]
    iou50: IouSummary
    iou25: IouSummary


def write_box_tables(
    folder: Path,
    slices: Sequence[SliceBoxes],
    matches: dict[float, Matches],
    classes: Sequence[str],
    *,
    threshold: float,
) -> None:
    """Writes `detections.csv`, `truths.csv` and `scores.csv`, each atomically.

    Args:
        folder: made where it is missing.
        slices: in the order of the matches.
        matches: of each IoU in `IOUS`.
        classes: names.
        threshold: lowest score that counts in `scores.csv`.
    """
    detections: list[list[str | int]] = []
    truths: list[list[str | int]] = []
    for each in slices:
        for box, score, index in zip(each.boxes, each.scores, each.classes, strict=True):
            found = [int(matches[iou].truths[len(detections)]) for iou in IOUS]
            row = [each.source, each.patient, classes[index], *_numbers(box), f"{score:.9g}"]
            detections.append([*row, *("" if truth < 0 else truth for truth in found)])
        for box, index in zip(each.true_boxes, each.true_classes, strict=True):
            scores = [float(matches[iou].found_at[len(truths)]) for iou in IOUS]
            row = [each.source, each.patient, classes[index], *_numbers(box)]
            truths.append([*row, *(f"{score:.9g}" if np.isfinite(score) else "" for score in scores)])
    write_table(folder / "detections.csv", DETECTION_COLUMNS, detections)
    write_table(folder / "truths.csv", TRUTH_COLUMNS, truths)
    write_table(folder / "scores.csv", PATIENT_COLUMNS, _patient_rows(matches, threshold))


def _patient_rows(matches: dict[float, Matches], threshold: float) -> list[list[str | int]]:
    first = next(iter(matches.values()))
    total = len(first.patients)
    columns = [first.slices, np.bincount(first.true_owners, minlength=total)]
    columns += [np.bincount(m.true_owners[m.found_at >= threshold], minlength=total) for m in matches.values()]
    columns += [
        np.bincount(m.owners[(m.truths < 0) & (m.scores >= threshold)], minlength=total) for m in matches.values()
    ]
    return [[name, *(int(column[place]) for column in columns)] for place, name in enumerate(first.patients)]


def _numbers(box: np.ndarray) -> list[str]:
    return [f"{value:.9g}" for value in box]


def read_matches(folder: str | Path, classes: Sequence[str], iou: float) -> Matches:
    """The matches that the tables in a folder tell of, for measures and comparisons of detectors.

    Args:
        folder: with `detections.csv`, `truths.csv` and `scores.csv`.
        classes: names, as in `detection.json`.
        iou: one of `IOUS`.

    Raises:
        ValueError: another IoU, a file or column that is missing, or an unknown patient or class.
    """
    if iou not in IOUS:
        raise ValueError(f"iou is {iou}; expected one of {list(IOUS)}, which the tables hold.")
    root = Path(folder)
    patients = _read(root / "scores.csv", PATIENT_COLUMNS)
    detections = _read(root / "detections.csv", DETECTION_COLUMNS)
    truths = _read(root / "truths.csv", TRUTH_COLUMNS)
    names = {row["patient"]: place for place, row in enumerate(patients)}
    numbers = {name: index for index, name in enumerate(classes)}
    for file, rows in (("detections.csv", detections), ("truths.csv", truths)):
        for line, row in enumerate(rows, start=2):
            if row["patient"] not in names or row["class"] not in numbers:
                raise ValueError(
                    f"{root / file}, line {line}: patient {row['patient']!r} or class {row['class']!r} is unknown; "
                    f"expected the patients of scores.csv and the classes {list(classes)}."
                )
    corners = np.array([[float(row[key]) for key in BOX] for row in truths]).reshape(-1, 4)
    column = f"truth_{IOUS[iou]}"
    return Matches(
        len(classes),
        tuple(names),
        np.array([int(row["slices"]) for row in patients], dtype=np.intp),
        scores=np.array([float(row["score"]) for row in detections], dtype=np.float64),
        classes=np.array([numbers[row["class"]] for row in detections], dtype=np.intp),
        owners=np.array([names[row["patient"]] for row in detections], dtype=np.intp),
        truths=np.array([int(row[column] or -1) for row in detections], dtype=np.intp),
        true_classes=np.array([numbers[row["class"]] for row in truths], dtype=np.intp),
        true_owners=np.array([names[row["patient"]] for row in truths], dtype=np.intp),
        areas=(corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1]),
    )


def _read(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            if missing := set(columns) - set(reader.fieldnames or []):
                raise ValueError(
                    f"{path} lacks the columns {sorted(missing)}; run the evaluation of the detector again."
                )
            return list(reader)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}; run the evaluation of the detector first.") from error
