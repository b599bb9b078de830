"""Evaluations of made-up arms, with differences that the tests choose."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scripts.experiments.tasks.task import TaskScores
from scripts.metrics.box_matching import check_slice, match_slices
from scripts.metrics.classification import ClassScores
from scripts.metrics.measure import mean_of_patients
from scripts.scores.box_tables import IOUS, write_box_tables
from scripts.scores.class_tables import write_scores
from scripts.scores.results import ALL, Arm, Metric, Task

ARMS = [
    Arm("real", "Real only", "baseline", "segmentation"),
    Arm("classical", "Classical", "alternative", "segmentation"),
    Arm("over", "Oversampling", "alternative", "segmentation"),
    Arm("gan", "GAN", "gan", "segmentation"),
]
LABELS = ("core", "oedema")


def write_csv(file: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(rows)


def write_segmentation(
    folder: Path, dice: Mapping[str, Sequence[float]], *, classes: Mapping[str, str] | None = None
) -> Path:
    """A table of patient -> Dice by label; IoU follows, HD95 is 10 (1 - Dice), volume error -(1 - Dice)."""
    rows = []
    for patient, values in dice.items():
        for label, d in zip(LABELS, values, strict=False):
            rows.append((patient, (classes or {}).get(patient, ""), label, d, d / (2 - d), 10 * (1 - d), d - 1, ""))
    columns = ("patient", "class", "label", "dice", "iou", "hd95_mm", "volume_error_ml", "seen_in")
    write_csv(folder / "scores.csv", columns, rows)
    return folder


def write_detection(folder: Path, found: Mapping[str, int], *, lesions: int = 3, strays: int = 1) -> Path:
    """A slice for each patient: lesions of rising size, of which the first ones are found, and false positives."""
    slices = []
    for number, (patient, hits) in enumerate(found.items()):
        true = [[20 * n, 0, 20 * n + 5 + 4 * n, 10 + number] for n in range(lesions)]
        boxes = [*true[:hits], *([0, 80, 9, 89 + n] for n in range(strays))]
        scores = [0.9 - 0.01 * n for n in range(hits)] + [0.5 - 0.01 * n for n in range(strays)]
        given = {"boxes": boxes, "scores": scores, "classes": [0] * len(boxes), "true_boxes": true}
        slices.append(check_slice(patient, patient, class_count=1, true_classes=[0] * lesions, **given))
    matches = {iou: match_slices(slices, 1, iou_threshold=iou) for iou in IOUS}
    write_box_tables(folder, slices, matches, ["lesion"], threshold=0.001)
    (folder / "detection.json").write_text(json.dumps({"classes": ["lesion"], "detection_threshold": 0.001, "more": 1}))
    return folder


def write_grading(folder: Path, second: Mapping[str, Sequence[float]], **settings: Any) -> Path:
    """Probabilities of the second class by slice; patients whose name ends in "H" are of it."""
    rows = [(patient, n, p) for patient, values in second.items() for n, p in enumerate(values)]
    scores = ClassScores(
        ["low", "high"],
        [f"{patient}#{n}" for patient, n, _ in rows],
        [patient for patient, _, _ in rows],
        np.array([int(patient.endswith("H")) for patient, _, _ in rows]),
        np.array([[1 - p, p] for _, _, p in rows]),
    )
    write_scores(folder / "scores.csv", scores)
    summary = {"classes": ["low", "high"], "vote": "mean", "split": "test", **settings}
    (folder / "classification.json").write_text(json.dumps(summary))
    return folder


def make_scores(
    gains: Mapping[str, float],
    *,
    patients: int = 12,
    spread: float = 0.01,
    seeds: Mapping[int, float] | None = None,
    task: str = "segmentation",
    metric: Metric | None = None,
    groups: int = 0,
) -> TaskScores:
    """Measures of arms that gain over the same level of each patient.

    Args:
        gains: arm -> added to all patients.
        patients: P.
        spread: standard deviation of a patient's value around that.
        seeds: seed -> added to an arm's training, turned around in every other arm.
        task: its name.
        metric: the primary one.
        groups: of patients in turn.
    """
    seeds = {0: -0.001, 1: 0.001} if seeds is None else seeds
    rng = np.random.default_rng(0)
    level = rng.uniform(0.4, 0.8, patients)
    metric = Metric("dice", "Dice") if metric is None else metric
    measures = {}
    for number, (arm, gain) in enumerate(gains.items()):
        own = level + gain + rng.normal(0, spread, patients)
        trainings = [mean_of_patients(own + (-1) ** number * shift) for shift in seeds.values()]
        measures[arm] = {(metric.name, ALL): trainings}
    names = [f"p{n:02}" for n in range(patients)]
    titles = [f"group {n}" for n in range(groups)]
    group_of = {name: titles[n % groups] for n, name in enumerate(names)} if groups else {}
    described = Task(task, [metric], ["lesion"], titles, {"patients": patients})
    return TaskScores(described, names, group_of, list(seeds), measures)
