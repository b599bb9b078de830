"""Segmentation scores by patient: as an engine's metrics, and as a table in a CSV file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine

from scripts.handlers.collector import Collector
from scripts.metrics.overlap import PatientOverlap
from scripts.scores.csv_tables import write_table
from scripts.scores.segmentation_metrics import METRICS

COLUMNS = ("patient", "class", "label", *(each.metric.name for each in METRICS), "seen_in")


class PatientScores(Collector):
    """Attached to an evaluator: the metrics of `scripts.scores.segmentation_metrics` of every patient and label.

    `engine.state.metrics["mean_dice"]` is the mean over patients of their mean Dice over labels; `dice_<label>` and
    `iou_<label>` are the means of a label over the patients in whom reference or prediction hold it. The elements of
    `engine.state.output` hold `pred` and `label`, label maps (1, X, Y[, Z]); those of `engine.state.batch` hold
    `patient` and, for the table, `class`.

    Args:
        labels: names of the foreground labels.
        file: the CSV to write at the end, atomically; None writes nothing and skips the distances.
        seen: patient -> "training" or "validation", of those whom the weights know; the table's `seen_in`.
    """

    def __init__(
        self, labels: Sequence[str], file: str | Path | None = None, seen: Mapping[str, str] | None = None
    ) -> None:
        self.labels = list(labels)
        self.file = None if file is None else Path(file)
        self.seen = dict(seen or {})
        self.patients: dict[str, PatientOverlap] = {}
        self.classes: dict[str, str] = {}

    def start(self, engine: Engine) -> None:
        self.patients, self.classes = {}, {}

    def add(self, engine: Any) -> None:
        for element, output in zip(engine.state.batch, engine.state.output, strict=True):
            patient = str(element.get("patient", len(self.patients)))
            label, prediction = output["label"], output["pred"]
            overlap = self.patients.setdefault(patient, PatientOverlap(len(self.labels)))
            overlap.add(
                torch.as_tensor(prediction)[0],
                torch.as_tensor(label)[0],
                _spacing(label),
                with_distance=self.file is not None,
            )
            self.classes[patient] = str(element.get("class") or "")

    def finish(self, engine: Engine) -> None:
        engine.state.metrics["mean_dice"] = _mean([overlap.mean_dice() for overlap in self.patients.values()])
        for k, name in enumerate(self.labels):
            engine.state.metrics[f"dice_{name}"] = _mean([overlap.dice(k) for overlap in self.patients.values()])
            engine.state.metrics[f"iou_{name}"] = _mean([overlap.iou(k) for overlap in self.patients.values()])
        if self.file is not None and not getattr(engine.state, "rank", 0):
            write_table(self.file, COLUMNS, self._rows())

    def _rows(self) -> Iterator[list[str]]:
        for patient, overlap in sorted(self.patients.items()):
            for k, name in enumerate(self.labels):
                shown = [f"{each.compute(overlap, k):.6g}" for each in METRICS]
                yield [patient, self.classes[patient], name, *shown, self.seen.get(patient, "")]


def _mean(values: Sequence[float]) -> float:
    """Mean of what is known; NaN where nothing is."""
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def _spacing(label: Any) -> list[float] | None:
    """Voxel size in mm of a volume; None for plane images, whose files rarely say."""
    pixdim = getattr(label, "pixdim", None)
    return None if pixdim is None or label.ndim < 4 else [float(size) for size in pixdim]
