"""The classifier of features as users start it, on a small random feature set whose classes differ in mean."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from scripts.metrics.classification import balanced_accuracy
from scripts.scores.class_tables import read_scores

pytestmark = pytest.mark.slow
SIZES = {"classifier_widths": "[8,8]", "hidden_dim": 8}
TRAINING = {**SIZES, "dropout": 0.2, "batch_size": 8, "learning_rate": 0.005}


def run(bundle: Any, stage: str, **options: Any) -> str:
    file = f"configs/feature_acgan_classifier_{stage}.json"
    return bundle.finish(bundle.python("-m", "monai.bundle", "run", "--config_file", file, **options))


def test_published_classifier_finds_classes_that_differ_and_resumes(
    bundle: Any, write_features: Callable[..., Path], tmp_path: Path
) -> None:
    real = write_features(
        tmp_path / "real", {"training": "HHH" * 7 + "LLL" * 3, "validation": "HHHLLL" * 2, "test": "HHHLLL" * 4}
    )
    made = write_features(tmp_path / "made", {"training": "HL" * 6}, synthetic=True)
    options = {**TRAINING, "features_dir": real, "synthetic_dir": made, "synthetic_count": 8, "balancing": "smote"}
    run(bundle, "train", **options, output_dir=tmp_path / "run", max_epochs=6)
    run(bundle, "train", **options, output_dir=tmp_path / "halves", max_epochs=3)
    run(bundle, "train", **options, output_dir=tmp_path / "halves", max_epochs=6)
    whole, halves = (torch.load(tmp_path / name / "checkpoint.pt") for name in ("run", "halves"))
    assert all(torch.equal(value, halves["network"][name]) for name, value in whole["network"].items())
    with open(tmp_path / "halves" / "curves.csv", newline="") as stream:
        assert [row["epoch"] for row in csv.DictReader(stream)] == ["1", "2", "3", "4", "5", "6"]

    run(bundle, "evaluate", features_dir=real, output_dir=tmp_path / "run")
    summary = json.loads((tmp_path / "run" / "classification.json").read_text())
    assert summary["slices"]["measures"]["balanced_accuracy"]["value"] > 0.9
    assert summary["patients"]["measures"]["balanced_accuracy"]["value"] == 1
    assert (summary["slices"]["count"], summary["patients"]["count"], summary["split"]) == (24, 8, "test")
    scores = read_scores(tmp_path / "run")
    assert balanced_accuracy(scores).value == pytest.approx(summary["slices"]["measures"]["balanced_accuracy"]["value"])


def test_linear_classifier_votes_by_majority(bundle: Any, write_features: Callable[..., Path], tmp_path: Path) -> None:
    real = write_features(tmp_path / "real", {"training": "HHHLLL" * 3, "validation": "HHHLLL", "test": "HHHLLL" * 2})
    options = {"features_dir": real, "output_dir": tmp_path / "run", "classifier": "linear"}
    run(bundle, "train", **options, balancing="class_weights", max_epochs=4, learning_rate=0.1)
    run(bundle, "evaluate", features_dir=real, output_dir=tmp_path / "run", vote="majority")
    measure = balanced_accuracy(read_scores(tmp_path / "run"))
    assert measure.value > 0.9
