"""The metrics of a segmentation in one table: what evaluations write by patient and label, and studies compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scripts.metrics.overlap import PatientOverlap
from scripts.scores.results import Metric


@dataclass(frozen=True)
class SegmentationMetric:
    """A metric, and how it is computed.

    Attributes:
        metric: its name is that of the table's column; the first one is what a study's verdict goes by.
        compute: of a patient and the index 0..K-1 of a label; NaN where it is not defined.
        signed: errors of either sign are compared by their absolute value, so that they do not cancel in a mean.
    """

    metric: Metric
    compute: Callable[[PatientOverlap, int], float]
    signed: bool = False


METRICS = (
    SegmentationMetric(Metric("dice", "Dice"), PatientOverlap.dice),
    SegmentationMetric(Metric("iou", "IoU"), PatientOverlap.iou),
    SegmentationMetric(Metric("hd95_mm", "HD95", "lower", "mm", 1), PatientOverlap.hausdorff95),
    SegmentationMetric(
        Metric("volume_error_ml", "Volume error", "lower", "ml", 2), PatientOverlap.volume_error, signed=True
    ),
)
