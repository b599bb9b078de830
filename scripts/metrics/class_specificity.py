"""Does a synthetic image show the class that was asked for? Answered by a classifier trained on real images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def class_specificity(
    train_features: ArrayLike,
    train_classes: Sequence[str],
    held_out_features: ArrayLike,
    held_out_classes: Sequence[str],
    synthetic_features: ArrayLike,
    asked_classes: Sequence[str],
) -> dict[str, Any]:
    """Recall of the asked class on synthetic images, beside what the same classifier reaches on held-out real ones.

    Logistic regression on standardised features, classes weighted to equal influence, trained on real images only.
    The two balanced accuracies (means of the per-class recalls) are taken over the same classes: those both asked
    for and present among the held-out images, so that the second is the first's ceiling.

    Args:
        train_features, train_classes: (n, d) and names (n,) of real training images, of two classes or more.
        held_out_features, held_out_classes: (m, d) and (m,) of real images of other patients; m may be 0.
        synthetic_features, asked_classes: (k, d), and the class (k,) that each image was asked to show.

    Returns:
        balanced_accuracy (synthetic), ceiling (held-out real), chance (1 / training classes),
        recall {asked class: synthetic recall}, ceiling_recall {held-out class: recall}, without_ceiling [asked
        classes with no held-out image]. Where no asked class is held out, the ceiling is None
        and balanced_accuracy covers all asked classes.

    Raises:
        ValueError: fewer than two training classes, an asked class the classifier never saw, or lengths that differ.
    """
    pairs = {
        "train": (np.asarray(train_features), [str(name) for name in train_classes]),
        "held-out": (np.asarray(held_out_features), [str(name) for name in held_out_classes]),
        "synthetic": (np.asarray(synthetic_features), [str(name) for name in asked_classes]),
    }
    for part, (features, classes) in pairs.items():
        if len(features) != len(classes):
            raise ValueError(f"{len(features)} {part} features but {len(classes)} classes; expected one class per row.")
    known, asked = sorted(set(pairs["train"][1])), sorted(set(pairs["synthetic"][1]))
    if len(known) < 2:
        raise ValueError(f"Training classes are {known}; expected two or more to tell apart.")
    if not asked or not set(asked) <= set(known):
        raise ValueError(f"Asked classes are {asked}; expected one or more of the training classes {known}.")

    classifier = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000))
    classifier.fit(*pairs["train"])
    recall = _recalls(classifier, *pairs["synthetic"])
    ceiling_recall = _recalls(classifier, *pairs["held-out"])
    shared = [name for name in asked if name in ceiling_recall]
    return {
        "balanced_accuracy": float(np.mean([recall[name] for name in shared or asked])),
        "ceiling": float(np.mean([ceiling_recall[name] for name in shared])) if shared else None,
        "chance": 1 / len(known),
        "recall": recall,
        "ceiling_recall": ceiling_recall,
        "without_ceiling": [name for name in asked if name not in ceiling_recall],
    }


def _recalls(classifier: Any, features: np.ndarray, classes: list[str]) -> dict[str, float]:
    if not classes:
        return {}
    present = sorted(set(classes))
    values = recall_score(classes, classifier.predict(features), labels=present, average=None, zero_division=0)
    return {name: float(value) for name, value in zip(present, values, strict=True)}
