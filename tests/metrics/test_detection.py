from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import precision_score, recall_score

from scripts.metrics.comparison import estimate
from scripts.metrics.detection import (
    Detection,
    classify_detections,
    precision_recall_measures,
)


def precision_recall(outcomes: list[str]) -> tuple[float, float]:
    precision, recall = precision_recall_measures({"all": outcomes})
    return precision.value, recall.value


def stripe(label: int, start: int, stop: int) -> np.ndarray:
    """A 40 x 40 label map with `stop - start` pixels of a label."""
    image = np.zeros(1600, dtype=np.int64)
    image[start:stop] = label
    return image.reshape(40, 40)


@pytest.mark.parametrize(
    ("prediction", "reference", "outcome", "dice"),
    [
        (stripe(1, 75, 175), stripe(1, 0, 100), "true_positive", 0.25),  # at the limit: 25 of 100 and 100
        (stripe(1, 76, 176), stripe(1, 0, 100), "missed", 0.24),
        (stripe(1, 500, 900), stripe(1, 0, 100), "missed", 0.0),  # elsewhere and large: still no false positive
        (stripe(1, 0, 0), stripe(1, 0, 3), "missed", 0.0),
        (stripe(1, 0, 200), stripe(1, 0, 0), "false_positive", 0.0),
        (stripe(1, 0, 199), stripe(1, 0, 0), "ignored", 0.0),
    ],
)
def test_rules(prediction: np.ndarray, reference: np.ndarray, outcome: str, dice: float) -> None:
    (found,) = classify_detections(prediction, reference, 1)
    counts = int(prediction.sum()), int(reference.sum())
    assert found == Detection(1, outcome, pytest.approx(dice), *counts)  # type: ignore[arg-type]


def test_labels_are_judged_apart_and_absent_ones_left_out() -> None:
    prediction, reference = stripe(1, 0, 300), stripe(3, 0, 300)
    found = classify_detections(torch.tensor(prediction), torch.tensor(reference), 4)
    assert [(d.label, d.outcome) for d in found] == [(1, "false_positive"), (3, "missed")]
    assert classify_detections(stripe(5, 0, 300), stripe(0, 0, 0), 4) == []


def test_limits_can_be_set() -> None:
    found = classify_detections(stripe(1, 0, 20), stripe(0, 0, 0), 1, minimum_pixels=20)
    assert [d.outcome for d in found] == ["false_positive"]
    found = classify_detections(stripe(1, 75, 175), stripe(1, 0, 100), 1, minimum_dice=0.3)
    assert [d.outcome for d in found] == ["missed"]


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(4, 4\) and reference \(4, 5\)"):
        classify_detections(np.zeros((4, 4)), np.zeros((4, 5)), 1)
    with pytest.raises(ValueError, match="expected both"):
        classify_detections(np.zeros((1, 4, 4)), np.zeros((1, 4, 4)), 1)


def test_precision_and_recall_equal_scikit_learns() -> None:
    cells = {"true_positive": (1, 1), "missed": (1, 0), "false_positive": (0, 1)}  # (present, predicted)
    outcomes = np.random.default_rng(0).choice(list(cells), 50, p=[0.5, 0.2, 0.3]).tolist()
    present, predicted = zip(*(cells[outcome] for outcome in outcomes), strict=True)
    expected = precision_score(present, predicted), recall_score(present, predicted)
    assert precision_recall([*outcomes, "ignored"]) == pytest.approx(expected)


def test_undefined_ratios() -> None:
    precision, recall = precision_recall(["missed", "ignored"])
    assert math.isnan(precision)
    assert recall == 0
    assert all(math.isnan(value) for value in precision_recall([]))


def test_unknown_outcome_is_refused() -> None:
    with pytest.raises(ValueError, match="'found'"):
        precision_recall(["found"])


def test_interval_is_of_the_ratio_of_sums() -> None:
    outcomes = {"p": ["true_positive"] * 9 + ["missed"], "r": ["ignored"], "s": []}
    outcomes |= {str(n): ["missed"] * 2 for n in range(5)}
    precision, recall = map(estimate, precision_recall_measures(outcomes))
    assert recall.value == pytest.approx(9 / 20)  # not the mean of .9 and five 0
    assert (precision.value, precision.patients, recall.patients) == (1, 1, 6)
    assert math.isnan(precision.low)  # one patient
    assert recall.low == 0  # resamples without p
    assert 0.45 < recall.high <= 0.9


def test_interval_agrees_with_the_delta_method_for_many_patients() -> None:
    rng = np.random.default_rng(3)
    counts = rng.integers(1, 12, 300)
    hits = rng.binomial(counts, rng.beta(6, 3, 300))
    outcomes = {
        str(n): ["true_positive"] * hit + ["false_positive"] * (count - hit)
        for n, (hit, count) in enumerate(zip(hits, counts, strict=True))
    }
    precision, recall = map(estimate, precision_recall_measures(outcomes))
    ratio = hits.sum() / counts.sum()
    error = (hits - ratio * counts).std(ddof=1) / (np.sqrt(300) * counts.mean())
    assert (precision.low, precision.high) == pytest.approx((ratio - 1.96 * error, ratio + 1.96 * error), abs=0.005)
    assert recall.value == 1


def test_nobody_at_all_is_unknown() -> None:
    for ratio in map(estimate, precision_recall_measures({})):
        assert math.isnan(ratio.value)
        assert ratio.patients == 0
