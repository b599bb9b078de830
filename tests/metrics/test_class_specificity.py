from __future__ import annotations

import numpy as np
import pytest

from scripts.metrics.class_specificity import class_specificity

CENTRES = {"a": (0.0, 0.0), "b": (10.0, 0.0), "c": (0.0, 10.0)}


def blobs(classes: list[str], seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 0.5, (len(classes), 2))
    return np.array([CENTRES[name] for name in classes]) + noise


def test_by_hand() -> None:
    train = ["a"] * 30 + ["b"] * 10 + ["c"] * 5
    held_out = ["a"] * 8 + ["b"] * 2 + ["c"] * 2
    asked = ["a"] * 4 + ["b"] * 4 + ["c"] * 4
    shown = ["a"] * 4 + ["b"] * 3 + ["a"] + ["c"] * 2 + ["b"] * 2  # recalls 1, 3/4, 2/4
    result = class_specificity(blobs(train), train, blobs(held_out, 1), held_out, blobs(shown, 2), asked)
    assert result["recall"] == {"a": 1.0, "b": 0.75, "c": 0.5}
    assert result["balanced_accuracy"] == 0.75
    assert result["ceiling"] == 1.0
    assert result["chance"] == pytest.approx(1 / 3)


def test_class_that_is_not_held_out_is_left_out_of_both_accuracies() -> None:
    train = ["a"] * 20 + ["b"] * 20 + ["c"] * 20
    asked, shown = ["a", "a", "c", "c"], ["a", "b", "b", "b"]
    result = class_specificity(blobs(train), train, blobs(["a", "b"], 1), ["a", "b"], blobs(shown, 2), asked)
    assert result["recall"] == {"a": 0.5, "c": 0.0}
    assert (result["balanced_accuracy"], result["ceiling"]) == (0.5, 1.0)
    assert result["without_ceiling"] == ["c"]


def test_nothing_held_out() -> None:
    train = ["a"] * 10 + ["b"] * 10
    result = class_specificity(blobs(train), train, np.empty((0, 2)), [], blobs(["a", "a"], 1), ["a", "b"])
    assert result["ceiling"] is None
    assert result["balanced_accuracy"] == 0.5


def test_features_without_class_give_chance() -> None:
    rng = np.random.default_rng(3)
    classes = ["a", "b"] * 200
    result = class_specificity(*[part for _ in range(3) for part in (rng.normal(size=(400, 3)), classes)])
    assert result["balanced_accuracy"] == pytest.approx(0.5, abs=0.1)


def test_rare_class_counts_as_much_as_a_common_one() -> None:
    rng = np.random.default_rng(4)
    train = ["a"] * 300 + ["b"] * 12
    features = rng.normal(0, 1, (312, 1)) + np.array([[0.0]] * 300 + [[1.5]] * 12)
    held_out = ["b"] * 200
    result = class_specificity(features, train, rng.normal(1.5, 1, (200, 1)), held_out, features[300:], ["b"] * 12)
    assert result["ceiling"] > 0.6  # unweighted regression recalls almost none


@pytest.mark.parametrize(
    ("train", "asked", "message"),
    [
        (["a", "a"], ["a", "a"], "two or more"),
        (["a", "b"], ["a", "x"], "Asked classes"),
        (["a"], ["a"], "one class per row"),
    ],
)
def test_refuses(train: list[str], asked: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        class_specificity(np.eye(2), train, np.eye(2), ["a", "b"], np.eye(2), asked)
