"""Lesions found, missed and invented, image by image, and the precision and recall that follow (LcGAN, section 4.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scripts.metrics.measure import Measure, ratio

Outcome = Literal["true_positive", "missed", "false_positive", "ignored"]
OUTCOMES: tuple[Outcome, ...] = ("true_positive", "missed", "false_positive", "ignored")


@dataclass(frozen=True)
class Detection:
    """What became of one label in one image; counts are pixels, `label` is 1..K."""

    label: int
    outcome: Outcome
    dice: float
    predicted: int
    reference: int


def classify_detections(
    prediction: ArrayLike,
    reference: ArrayLike,
    foreground_count: int,
    *,
    minimum_dice: float = 0.25,
    minimum_pixels: int = 200,
) -> list[Detection]:
    """The outcome of every label that prediction or reference hold in one image (LcGAN, section 4.1), by label.

    - both, with a Dice of `minimum_dice` or more: "true_positive";
    - both, with less: "missed", for the lesion was not found. The paper leaves such detections out, so it is no false
      positive either; whether the paper also spared the recall is not said, and counting the miss is the harder rule;
    - the reference alone: "missed", however small it is;
    - the prediction alone: "false_positive" from `minimum_pixels` on, "ignored" below.

    All pixels of a label in an image are one region, as in the paper, whose masks do not tell lesions of a type apart.

    Args:
        prediction, reference: label maps (X, Y) of 0..K in one grid.
        foreground_count: K; higher values are passed over.
        minimum_dice: of a lesion found, in [0, 1].
        minimum_pixels: of a false positive, in pixels of this grid.

    Raises:
        ValueError: shapes that differ or are not (X, Y).
    """
    predicted, true = np.asarray(prediction), np.asarray(reference)
    if predicted.shape != true.shape or predicted.ndim != 2:
        raise ValueError(f"Prediction {predicted.shape} and reference {true.shape}; expected both (X, Y) and alike.")
    in_p, in_r, both = (_count(a, foreground_count) for a in (predicted, true, predicted[predicted == true]))
    found = []
    for label in range(1, foreground_count + 1):
        p, r = int(in_p[label]), int(in_r[label])
        if not p and not r:
            continue
        dice = 2 * float(both[label]) / (p + r)
        outcome: Outcome
        if r:
            outcome = "true_positive" if p and dice >= minimum_dice else "missed"
        else:
            outcome = "false_positive" if p >= minimum_pixels else "ignored"
        found.append(Detection(label, outcome, dice, p, r))
    return found


def _count(labels: NDArray[Any], foreground_count: int) -> NDArray[np.intp]:
    return np.bincount(labels.ravel().astype(np.intp), minlength=foreground_count + 1)


def precision_recall_measures(outcomes: Mapping[str, Iterable[str]]) -> tuple[Measure, Measure]:
    """Precision TP / (TP + FP) and recall TP / (TP + missed) as measures of the patients, in the mapping's order.

    The ratio is of sums over patients, as in the paper, not a mean of patients' ratios. A patient without any true or
    false positive says nothing of the precision, and without any lesion nothing of the recall.

    Raises:
        ValueError: an outcome that is none of `OUTCOMES`.
    """
    counts = [Counter(of_patient) for of_patient in outcomes.values()]
    if unknown := set().union(*counts) - set(OUTCOMES):
        raise ValueError(f"Outcomes {sorted(unknown)} are unknown; expected {list(OUTCOMES)}.")
    tallies = [[each["true_positive"], each["false_positive"], each["missed"]] for each in counts]
    true, wrong, missed = np.array(tallies, dtype=np.float64).reshape(-1, 3).T  # (patients,) each
    return ratio(true, true + wrong), ratio(true, true + missed)
