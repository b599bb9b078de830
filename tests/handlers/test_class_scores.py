from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine

from scripts.handlers.class_scores import ClassificationScores
from scripts.metrics.classification import balanced_accuracy, vote
from scripts.metrics.comparison import estimate
from scripts.scores.class_tables import read_scores

# patient, slice, true class, probability of the second class
ROWS = (("q", "q#0", 1, 0.75), ("p", "p#1", 0, 0.5), ("p", "p#0", 0, 0.625), ("r", "r#0", 0, 0.25), ("s", "s#0", 1, 0))


def evaluate(scores: ClassificationScores, rows: tuple = ROWS) -> dict[str, float]:
    """Rows of a data set, two to a batch, as an evaluator decollates them."""

    def step(engine: Any, batch: Any) -> Any:
        engine.state.batch = [{"patient": patient, "source": source} for patient, source, _, _ in batch]
        return [{"pred": torch.tensor([1 - p, p]), "label": torch.tensor(truth)} for _, _, truth, p in batch]

    engine = Engine(step)
    scores.attach(engine)
    engine.run([list(rows[n : n + 2]) for n in range(0, len(rows), 2)])
    return engine.state.metrics


def read(file: Path) -> list[list[str]]:
    with open(file, newline="") as stream:
        return list(csv.reader(stream))


def test_metrics_by_hand() -> None:
    metrics = evaluate(ClassificationScores(["low", "high"]))
    # Of class low two of three slices are right (.5 against .5 counts for the first class), of high one of two.
    assert metrics["accuracy"] == pytest.approx(3 / 5)
    assert metrics["accuracy_low"] == pytest.approx(2 / 3)
    assert metrics["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert metrics["AUC"] == pytest.approx(3 / 6)
    # p's slices vote .5625 for high
    assert metrics["patient_accuracy"] == pytest.approx(2 / 4)
    assert metrics["patient_accuracy_high"] == pytest.approx(1 / 2)
    assert metrics["patient_MCC"] == pytest.approx(0)


def test_tables_by_hand(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    evaluate(ClassificationScores(["low", "high"], folder, resamples=20))
    assert read(folder / "scores.csv")[:3] == [
        ["source", "patient", "class", "predicted", "probability_low", "probability_high"],
        ["p#0", "p", "low", "high", "0.375", "0.625"],
        ["p#1", "p", "low", "low", "0.5", "0.5"],
    ]
    assert read(folder / "patients.csv")[:3] == [
        ["patient", "class", "predicted", "slices", "slices_right", "probability_low", "probability_high"],
        ["p", "low", "high", "2", "1", "0.4375", "0.5625"],
        ["q", "high", "high", "1", "1", "0.25", "0.75"],
    ]
    assert sorted(file.name for file in folder.iterdir()) == ["classification.json", "patients.csv", "scores.csv"]


def test_summary_holds_intervals(tmp_path: Path) -> None:
    rows = [*ROWS, ("t", "t#0", 1, 0.875), ("u", "u#0", 0, 0.125)]
    evaluate(ClassificationScores(["low", "high"], tmp_path, resamples=50, about={"split": "test"}), tuple(rows))
    summary = json.loads((tmp_path / "classification.json").read_text())
    scores = read_scores(tmp_path)
    expected = estimate(balanced_accuracy(scores), resamples=50)
    assert summary["slices"]["measures"]["balanced_accuracy"] == {
        "value": pytest.approx(expected.value),
        "low": pytest.approx(expected.low),
        "high": pytest.approx(expected.high),
        "patients": 6,
    }
    assert summary["slices"]["measures"]["accuracy_high"]["patients"] == 3
    assert summary["slices"]["confusion"] == [[3, 1], [1, 2]]
    assert summary["patients"]["confusion"] == [[2, 1], [1, 2]]
    assert (summary["slices"]["count"], summary["patients"]["count"]) == (7, 6)
    assert (summary["split"], summary["vote"], summary["classes"]) == ("test", "mean", ["low", "high"])


def test_undefined_measures_are_null(tmp_path: Path) -> None:
    metrics = evaluate(ClassificationScores(["low", "high"], tmp_path, resamples=20), ROWS[1:4])
    assert np.isnan(metrics["balanced_accuracy"])
    summary = json.loads((tmp_path / "classification.json").read_text())
    assert summary["slices"]["measures"]["balanced_accuracy"] == {
        "value": None,
        "low": None,
        "high": None,
        "patients": 0,
    }
    assert summary["slices"]["measures"]["accuracy"]["value"] == pytest.approx(2 / 3)


def test_scores_are_read_back_as_they_were(tmp_path: Path) -> None:
    evaluate(ClassificationScores(["low", "high"], tmp_path, vote_rule="majority", resamples=20))
    scores = read_scores(tmp_path)
    assert scores.sources == ["p#0", "p#1", "q#0", "r#0", "s#0"]
    assert scores.truths.tolist() == [0, 0, 1, 0, 1]
    assert scores.probabilities[:, 1].tolist() == [0.625, 0.5, 0.75, 0.25, 0]
    assert [row[2] for row in read(tmp_path / "patients.csv")[1:]] == [
        ["low", "high"][n] for n in vote(scores, "majority").predictions
    ]


def test_folder_without_scores_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no scores of a classifier \(ResultsError"):
        read_scores(tmp_path)
    evaluate(ClassificationScores(["low", "high"], tmp_path, resamples=20))
    (tmp_path / "scores.csv").write_text("source,patient\n1,a\n")
    with pytest.raises(ValueError, match="KeyError"):
        read_scores(tmp_path)
