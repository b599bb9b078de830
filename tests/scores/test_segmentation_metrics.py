from __future__ import annotations

import math

import pytest
import torch

from scripts.metrics.overlap import PatientOverlap
from scripts.scores.segmentation_metrics import METRICS


def test_metrics_of_a_patient_by_hand() -> None:
    overlap = PatientOverlap(2)
    overlap.add(torch.tensor([[1, 1, 0, 0]]), torch.tensor([[0, 1, 1, 0]]), [2.0, 2.0], with_distance=True)
    values = {each.metric.name: each.compute(overlap, 0) for each in METRICS}
    assert values == pytest.approx({"dice": 0.5, "iou": 1 / 3, "hd95_mm": 1.9, "volume_error_ml": 0}, abs=0.06)
    absent = {each.metric.name: each.compute(overlap, 1) for each in METRICS}
    assert math.isnan(absent["dice"])
    assert absent["volume_error_ml"] == 0


def test_errors_and_distances_are_better_when_lower() -> None:
    assert [each.metric.better for each in METRICS] == ["higher", "higher", "lower", "lower"]
    assert [each.metric.name for each in METRICS if each.signed] == ["volume_error_ml"]
