"""Lesions found, missed and invented: precision and recall as an engine's metrics, and a table of every image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine

from scripts.data.contract import stem
from scripts.handlers.collector import Collector
from scripts.metrics.detection import classify_detections, precision_recall_measures
from scripts.scores.csv_tables import write_table

COLUMNS = ("patient", "image", "label", "outcome", "dice", "predicted_pixels", "reference_pixels")


class DetectionScores(Collector):
    """Attached to an evaluator: the outcome of each label in each image, see `classify_detections`.

    `engine.state.metrics["precision"]` and `["recall"]` are over all labels and images. The elements of
    `engine.state.output` hold `pred` and `label`, label maps (1, X, Y[, Z]) in the file's own grid; those of
    `engine.state.batch` hold `patient`. Each slice of a volume along Z is an image.

    Args:
        labels: names of the foreground labels.
        file: the CSV to write at the end, atomically; None writes nothing.
        minimum_dice: of a lesion found, in [0, 1].
        minimum_pixels: of a false positive; smaller ones are ignored as noise.
    """

    def __init__(
        self,
        labels: Sequence[str],
        file: str | Path | None = None,
        *,
        minimum_dice: float = 0.25,
        minimum_pixels: int = 200,
    ) -> None:
        self.labels = list(labels)
        self.file = None if file is None else Path(file)
        self.minimum_dice = minimum_dice
        self.minimum_pixels = minimum_pixels
        self.rows: list[tuple[Any, ...]] = []
        self.seen = 0

    def start(self, engine: Engine) -> None:
        self.rows, self.seen = [], 0

    def add(self, engine: Any) -> None:
        for element, output in zip(engine.state.batch, engine.state.output, strict=True):
            name = _image_name(element, self.seen)
            patient = str(element.get("patient", name))
            self.seen += 1
            prediction, label = torch.as_tensor(output["pred"])[0].cpu(), torch.as_tensor(output["label"])[0].cpu()
            if label.ndim == 2:
                self._add_image(patient, name, prediction, label)
            else:
                for z in range(label.shape[2]):
                    self._add_image(patient, f"{name}#{z}", prediction[..., z], label[..., z])

    def _add_image(self, patient: str, name: str, prediction: torch.Tensor, label: torch.Tensor) -> None:
        limits: dict[str, Any] = {"minimum_dice": self.minimum_dice, "minimum_pixels": self.minimum_pixels}
        for found in classify_detections(prediction.numpy(), label.numpy(), len(self.labels), **limits):
            named = self.labels[found.label - 1]
            counts = (f"{found.dice:.6g}", found.predicted, found.reference)
            self.rows.append((patient, name, named, found.outcome, *counts))

    def finish(self, engine: Engine) -> None:
        outcomes = [row[COLUMNS.index("outcome")] for row in self.rows]
        precision, recall = precision_recall_measures({"all": outcomes})
        engine.state.metrics |= {"precision": precision.value, "recall": recall.value}
        if self.file is not None and not getattr(engine.state, "rank", 0):
            write_table(self.file, COLUMNS, sorted(self.rows, key=lambda row: row[0]))


def _image_name(element: Mapping[str, Any], number: int) -> str:
    """What the image is called in the table: its `name`, its file without suffixes, or its number."""
    if "name" in element:
        return str(element["name"])
    file = getattr(element.get("image"), "meta", {}).get("filename_or_obj")
    return stem(str(file)) if file else str(number)
