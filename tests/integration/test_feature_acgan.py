"""The phantom's two grades: features of a tiny U-Net."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts.data.contract import read_dataset
from scripts.data.features import FeatureDataset, FeatureSet

pytestmark = pytest.mark.slow
UNET = {"image_size_pixels": 32, "unet_widths": "[4,6,8,8,10]"}
SHAPES = {"bottleneck": (10, 2, 2), "decoder_3": (6, 16, 16)}


@pytest.fixture(scope="module")
def unet(bundle) -> Path:
    """A U-Net of the training patients."""
    folder = bundle.folder / "feature_unet"
    options = {"max_epochs": 1, "samples_per_epoch": 8, "batch_size": 4, "learning_rate": 0.001}
    bundle.run("feature_acgan_unet_train", output_dir=folder, **UNET, **options)
    return folder / "model.pt"


@pytest.fixture(scope="module")
def extract(bundle, unet):
    """A function that extracts features of a level, and says what the run printed."""

    def run(level: str, **options: Any) -> str:
        given = {"model_file": unet, "output_dir": bundle.folder / level, "class_key": "grade", **options}
        return bundle.run("feature_acgan_features", level=level, **given)

    return run


@pytest.fixture(scope="module", params=sorted(SHAPES))
def features(request, bundle, extract) -> FeatureSet:
    extract(request.param)
    return FeatureSet(bundle.folder / request.param)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_set_has_a_feature_of_each_slice_with_lesion(bundle, unet, features):
    description = features.description
    assert description.feature_shape == SHAPES[description.level]
    assert description.classes == ["high", "low"]
    assert description.trained_on == json.loads(unet.with_suffix(".json").read_text())["trained_on"]
    grades = {item["patient"]: item["grade"] for item in read_dataset(bundle.phantom).items}
    splits = {item["patient"]: split for split, items in read_dataset(bundle.phantom).splits.items() for item in items}
    assert {item["patient"] for item in features.items} == set(grades)
    for item in features.items:
        assert (item["class"], item["split"]) == (grades[item["patient"]], splits[item["patient"]])
    assert np.isfinite(features.features).all()
    assert features.features.min() >= 0
    assert features.features.std() > 0
    assert set(FeatureDataset(features).class_indices) == {0, 1}


def test_a_second_run_does_nothing(features, extract):
    before = contents(features.folder)
    changed = features.file.stat().st_mtime_ns
    count = len(features)
    assert f"{count} of {count} features are there already" in extract(features.description.level)
    assert contents(features.folder) == before
    assert features.file.stat().st_mtime_ns == changed


def test_what_cannot_be_extracted_is_refused_before_slices_are_prepared(bundle, unet, tmp_path):
    options = {"model_file": unet, "output_dir": tmp_path / "features", "cache_dir": tmp_path / "cache"}
    line = bundle.fail("feature_acgan_features", **options, class_key="grade", fold=1)
    assert f"{unet} was trained on patient" in line
    assert "or train it with the same --fold" in line
    line = bundle.fail("feature_acgan_features", **options, level="encoder_5")
    assert "level is 'encoder_5', expected one of image, encoder_1" in line
    assert list(tmp_path.iterdir()) == []


def test_patients_without_class_are_refused_or_left_out(bundle, unet, tmp_path):
    content = json.loads((bundle.phantom / "dataset.json").read_text())
    for split in ("training", "validation", "test"):
        for item in content[split]:
            item["image"], item["label"] = (str(bundle.phantom / item[key]) for key in ("image", "label"))
    blank = content["training"][0]["patient"]
    content["training"][0]["grade"] = ""
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    options = {"model_file": unet, "dataset_dir": tmp_path, "output_dir": tmp_path / "set", "class_key": "grade"}
    line = bundle.fail("feature_acgan_features", **options)
    assert f"Patient '{blank}' has no 'grade'" in line
    assert "--leave_out_unclassed True" in line
    printed = bundle.run("feature_acgan_features", **options, leave_out_unclassed=True)
    assert f"training: left out 1 images without 'grade' of {blank}" in printed
    assert blank not in {item["patient"] for item in FeatureSet(tmp_path / "set").items}
