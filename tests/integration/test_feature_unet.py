"""The Feature AC-GAN's U-Net learns four sequences, and goes on with FLAIR alone."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from scripts.data.contract import read_dataset

pytestmark = pytest.mark.slow
SIZES = {"image_size_pixels": 32, "unet_widths": "[8,8,8,16,16]", "samples_per_epoch": 12, "batch_size": 4}


def train(bundle, folder: Path, **options: Any) -> str:
    defaults = {"output_dir": folder, "max_epochs": 1, "learning_rate": 0.001}
    return bundle.run("feature_acgan_unet_train", **{**SIZES, **defaults, **options})


def validated(folder: Path) -> list[dict[str, float]]:
    with open(folder / "validation.csv", newline="", encoding="utf-8") as stream:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)]


@pytest.fixture(scope="module")
def trained(bundle) -> Path:
    """A U-Net of all four sequences."""
    train(bundle, bundle.folder / "unet")
    return bundle.folder / "unet"


def test_training_writes_the_best_network_its_patients_and_scores(bundle, trained):
    patients = {item["patient"] for item in read_dataset(bundle.phantom).splits["training"]}
    assert set(json.loads((trained / "model.json").read_text())["trained_on"]) == patients
    weights = torch.load(trained / "model.pt", weights_only=True)
    assert next(iter(weights.values())).shape == (8, 4, 3, 3)
    (row,) = validated(trained)
    assert set(row) == {"epoch", "mean_dice", "dice_lesion", "iou_lesion"}
    assert 0 <= row["iou_lesion"] <= row["dice_lesion"] == row["mean_dice"] <= 1


def test_fine_tuning_on_one_sequence_resumes_like_an_uninterrupted_one(bundle, trained, tmp_path):
    tuning = {"pretrained_file": trained / "model.pt", "image_channel_names": "['FLAIR']"}
    assert "took 4 channels, here 1: adapted" in train(bundle, tmp_path / "whole", **tuning, max_epochs=2)
    train(bundle, tmp_path / "resumed", **tuning)
    assert "checkpoint.pt after epoch 1 of 2" in train(bundle, tmp_path / "resumed", **tuning, max_epochs=2)
    whole, resumed = (torch.load(tmp_path / name / "model.pt", weights_only=True) for name in ("whole", "resumed"))
    assert next(iter(whole.values())).shape == (8, 1, 3, 3)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert validated(tmp_path / "whole") == validated(tmp_path / "resumed")
    assert [row["epoch"] for row in validated(tmp_path / "resumed")] == [1, 2]


def test_weights_that_know_held_out_patients_are_refused(bundle, trained, tmp_path):
    options = {**SIZES, "output_dir": tmp_path, "pretrained_file": trained / "model.pt", "fold": 1}
    line = bundle.fail("feature_acgan_unet_train", **options)
    assert f"{trained / 'model.pt'} was trained on patient" in line
    assert "split of fold 1" in line
