from __future__ import annotations

import csv
import hashlib
import json
import math
import signal
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from scripts.data.contract import read_dataset

pytestmark = pytest.mark.slow
PROVENANCE = {
    "system",
    "generator",
    "generator_sha256",
    "seed",
    "asked_class",
    "source",
    "source_patient",
    "source_split",
    "draw",
}
OF_NEW_MASKS = {"anatomy", "anatomy_patient", "transplant"}


@pytest.fixture(scope="module")
def plan(bundle, segmenter) -> Path:
    file = bundle.folder / "plan.json"
    options = {"strategy": "single", "target_class": "C", "output": file, "seed": 3, "image_size_pixels": 32}
    options["new_masks"] = 0.5
    printed = bundle.finish(
        bundle.python("-m", "scripts", "plan", str(bundle.phantom), cache_dir=bundle.folder / "cache", **options)
    )
    assert f"Wrote {file}" in printed
    return file


def made_files(folder: Path) -> dict[str, int]:
    return {str(file): file.stat().st_mtime_ns for file in sorted(folder.rglob("[!.]*.nii.gz"))}


@pytest.fixture(scope="module")
def synthetic(bundle, generator, plan) -> Path:
    """A synthetic set whose making was killed once and then went on."""
    folder = bundle.folder / "synthetic"
    options = {"generator_file": generator / "generator.pt", "plan_file": plan, "output_dir": folder, "seed": 3}
    options["batch_size"] = 1

    process = bundle.start("redgan_inference", **options)
    end = time.monotonic() + 200
    while not made_files(folder / "images"):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
    process.send_signal(signal.SIGKILL)
    process.communicate()
    half = made_files(folder / "images")
    asked = len(json.loads(plan.read_text())["images"])
    assert 0 < len(half) < asked
    assert not (folder / "dataset.json").exists()

    bundle.run("redgan_inference", **options)
    whole = made_files(folder)
    assert len(whole) == 2 * asked
    assert half.items() <= whole.items()  # what was there was not made again
    bundle.run("redgan_inference", **options)
    assert made_files(folder) == whole
    return folder


def test_the_synthetic_set_and_its_provenance(bundle, generator, plan, synthetic):
    made, real = read_dataset(synthetic), read_dataset(bundle.phantom)
    assert (made.modality, made.labels, made.classes) == (real.modality, real.labels, real.classes)
    planned = json.loads(plan.read_text())["images"]
    training = {item["patient"] for item in real.splits["training"]}
    checksum = hashlib.sha256((generator / "generator.pt").read_bytes()).hexdigest()
    for item, image in zip(made.splits["training"], planned, strict=True):
        provenance = item["synthetic"]
        assert set(provenance) == PROVENANCE | (OF_NEW_MASKS if "anatomy" in image else set())
        assert (provenance["system"], provenance["seed"], provenance["source_split"]) == ("redgan", 3, "training")
        assert provenance["generator_sha256"] == checksum
        assert item["class"] == provenance["asked_class"] == "C"
        assert provenance["source"] == image["source"]
        assert provenance["source_patient"] in training
        if "anatomy" in image:
            assert provenance["anatomy_patient"] in training - {provenance["source_patient"]}
    assert sum("anatomy" in image for image in planned) > len(planned) // 3


def test_synthetic_images_have_the_mask_of_their_source_and_lie_in_range(bundle, synthetic):
    real = {item["image"]: item for item in read_dataset(bundle.phantom).items}
    for item in [each for each in read_dataset(synthetic).items if "anatomy" not in each["synthetic"]][:4]:
        image, label = (np.asarray(nib.load(item[key]).dataobj) for key in ("image", "label"))
        assert image.shape == (32, 32, 1, 4)
        assert np.abs(image).max() <= 1 + 1e-4
        file, z = item["synthetic"]["source"].rsplit("#", 1)
        np.testing.assert_array_equal(label[..., 0], np.asarray(nib.load(real[file]["label"]).dataobj)[..., int(z)])


def test_retrained_evaluated_and_applied(bundle, synthetic, tmp_path):
    bundle.finish(bundle.train_segmenter(tmp_path, synthetic_dir=synthetic, max_epochs=1, samples_per_epoch="None"))
    iterations = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["progress"]["epoch_length"]
    slices = 4 * 4 + len(read_dataset(synthetic).items)  # four training patients of four slices each
    assert iterations == slices // 2

    model = {"model_file": tmp_path / "model.pt"}
    evaluation = bundle.start("evaluate", **model, output_dir=tmp_path, split="training")
    inference = bundle.start("inference", **model, output_dir=tmp_path / "predictions")
    bundle.finish(evaluation)
    bundle.finish(inference)
    check_scores(tmp_path / "scores.csv", read_dataset(bundle.phantom))
    check_predictions(tmp_path / "predictions", read_dataset(bundle.phantom).splits["test"])


def check_scores(file: Path, real) -> None:
    with open(file, newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == ("patient", "class", "label", "dice", "iou", "hd95_mm", "volume_error_ml", "seen_in")
    expected = {(i["patient"], i["class"], label) for i in real.splits["training"] for label in real.labels[1:]}
    assert {(row["patient"], row["class"], row["label"]) for row in rows} == expected
    assert len(rows) == len(expected)
    for row in rows:
        dice, iou, distance = (float(row[name]) for name in ("dice", "iou", "hd95_mm"))
        assert math.isnan(dice) or (0 <= dice <= 1 and iou == pytest.approx(dice / (2 - dice), abs=1e-4))
        assert math.isnan(distance) or 0 <= distance < 300  # the head is 192 mm wide
        assert math.isfinite(float(row["volume_error_ml"]))
        assert row["seen_in"] == "training"


def check_predictions(folder: Path, items) -> None:
    assert sorted(file.name for file in folder.iterdir()) == [
        Path(item["image"]).name.replace(".nii.gz", "_seg.nii.gz") for item in items
    ]
    for item in items:
        image = nib.load(item["image"])
        prediction = nib.load(folder / Path(item["image"]).name.replace(".nii.gz", "_seg.nii.gz"))
        assert prediction.shape == image.shape[:3]
        np.testing.assert_allclose(prediction.affine, image.affine, atol=1e-5)
        assert set(np.unique(np.asarray(prediction.dataobj))) <= {0, 1, 2, 3}
