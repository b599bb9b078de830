"""A generator grows to 32 pixels, puts lesions into boxes, and a detector learns from those that show."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from scripts.data.contract import read_dataset, stem
from scripts.data.phantom import write_phantom

pytestmark = pytest.mark.slow
SIZES = {"image_size_pixels": 32, "bright_share": 0.0}
GENERATOR = {"latent_dim": 8, "feature_base": 64, "feature_max": 8}
# phases of 4 iterations each, up to 32 px
SCHEDULE = {
    "images_per_phase": 16,
    "total_images": 112,
    "batch_size_at_4_8_16_pixels": "[4,4,4,4]",
    "iterations_per_epoch": 14,
}
DETECTOR = {"image_size_pixels": 32, "width_multiplier": 0.125}


@pytest.fixture(scope="module")
def bundle(bundle, tmp_path_factory: pytest.TempPathFactory):
    """On metastases: four patients to train, patient 4 validated, patient 0 tested."""
    folder = tmp_path_factory.mktemp("cpggan")
    phantom = write_phantom(folder / "phantom", kind="metastases", patients=6, image_size=32, slices=4)
    return type(bundle)(phantom, folder)


@pytest.fixture(scope="module")
def synthetic(bundle) -> Path:
    """A synthetic set of 9 images."""
    folder = bundle.folder / "cpggan"
    bundle.run("cpggan_train", output_dir=folder, **SIZES, **GENERATOR, **SCHEDULE)
    files = {"generator_file": folder / "generator.pt", "output_dir": folder / "synthetic"}
    bundle.run("cpggan_inference", **files, image_count=9, bright_share=SIZES["bright_share"])
    return folder / "synthetic"


@pytest.fixture(scope="module")
def painted(synthetic: Path) -> Path:
    """The set with lesions in five of its images and darkness in the others' boxes, where noise might look like one."""
    folder = shutil.copytree(synthetic, synthetic.parent / "painted")
    for n, item in enumerate(read_dataset(folder).items):
        volume = nib.load(item["image"])
        array = np.asarray(volume.dataobj, dtype=np.float32)  # (X, Y, 1, 1)
        for x0, y0, x1, y1 in item["boxes"]:
            array[x0:x1, y0:y1] = 0.95 if n < 5 else -1.0
        nib.save(nib.Nifti1Image(array, volume.affine), item["image"])
    return folder


@pytest.fixture(scope="module")
def judged(bundle, painted: Path) -> Path:
    """The folder of its evaluation by contrast."""
    folder = bundle.folder / "judged"
    bundle.run("cpggan_evaluate", synthetic_dir=painted, output_dir=folder, **SIZES, minimum_contrast_quantile=0.5)
    return folder


def read(file: Path):
    return json.loads(file.read_text(encoding="utf-8"))


def test_images_hold_the_boxes_asked_for(bundle, synthetic):
    made, real = read_dataset(synthetic), read_dataset(bundle.phantom)
    assert len(made.items) == 9
    assert set(made.trained_on) == {item["patient"] for item in real.splits["training"]}
    for item in made.items:
        assert len(item["boxes"]) == len(item["box_classes"]) > 0
        assert item["synthetic"]["system"] == "cpggan"
        assert all(0 <= x0 < x1 <= 32 and 0 <= y0 < y1 <= 32 for x0, y0, x1, y1 in item["boxes"])


def test_kept_and_dropped_images_make_up_the_set(painted, judged):
    presence, kept = read(judged / "presence.json"), read_dataset(judged / "kept")
    files = [item["image"] for item in read_dataset(painted).items]
    assert [item["image"] for item in kept.items] == files[:5]
    assert [entry["name"] for entry in presence["dropped"]] == [stem(file) for file in files[5:]]
    assert (presence["criterion"], presence["images"], presence["kept"]) == ("contrast", 9, 5)
    assert presence["threshold"] == presence["parts"]["training"]["contrast"]["0.5"]  # half of the real boxes reach it
    for item in kept.items:
        contrast = item["synthetic"]["presence"]["contrast"]
        assert len(contrast) == len(item["boxes"])
        assert max(contrast) >= presence["threshold"] - 1e-4
    assert (judged / "dropped.png").is_file()


def test_all_parts_are_laid_out_and_compared(judged):
    with open(judged / "tsne_pixels.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert sum(row["part"] == "synthetic" for row in rows) == 9
    assert {row["class"] for row in rows} == {""}  # metastases have none
    assert (judged / "tsne_pixels.png").is_file()
    assert not (judged / "tsne_features.csv").exists()
    audit = read(judged / "memorisation.json")
    assert audit == read(judged / "kept" / "dataset.json")["memorisation"]
    assert audit["images"] <= 9


def test_a_generator_of_an_unknown_box_class_is_refused(bundle, tmp_path):
    labels = read_dataset(bundle.phantom).labels[1:]
    line = bundle.fail("cpggan_train", **SIZES, **GENERATOR, **SCHEDULE, output_dir=tmp_path, only_box_class="nose")
    assert f"only_box_class is 'nose', expected one of {labels}" in line


def test_a_detector_learns_from_real_and_kept_images_and_judges(bundle, synthetic, judged, tmp_path):
    training = {"output_dir": tmp_path, "synthetic_dir": judged / "kept", "max_epochs": 1, "batch_size": 4}
    bundle.run("cpggan_detector_train", **DETECTOR, **training, samples_per_epoch=8)
    tuned = {**training, "output_dir": tmp_path / "tuned", "synthetic_dir": f"['{judged / 'kept'}','{synthetic}']"}
    pretrained = {"pretrained_file": tmp_path / "model.pt", "augmented_slices": "real"}
    bundle.run("cpggan_detector_train", **DETECTOR, **tuned, **pretrained, samples_per_epoch=8)
    detector = {"model_file": tmp_path / "model.pt", "output_dir": tmp_path}
    bundle.run("cpggan_detector_evaluate", **detector)
    assert (tmp_path / "scores.csv").is_file()
    # an untrained detector finds nothing for sure: all is counted as absent, and the error says where the scores are
    again = {**detector, "output_dir": tmp_path / "again", "synthetic_dir": synthetic, "bright_share": 0.0}
    line = bundle.fail("cpggan_evaluate", **again, minimum_detection_score=0.99)
    assert "No synthetic image shows a lesion" in line
    presence = read(tmp_path / "again" / "presence.json")
    assert (presence["criterion"], presence["kept"], len(presence["dropped"])) == ("detector", 0, 9)


def test_a_segmenter_says_how_often_lesions_lie_in_their_boxes(bundle, painted, tmp_path):
    bundle.finish(bundle.train_segmenter(tmp_path, dataset_dir=bundle.phantom, max_epochs=1))
    judging = {"bright_share": 0.0, "synthetic_dir": painted, "segmenter_file": tmp_path / "model.pt"}
    bundle.run("cpggan_evaluate", **judging, output_dir=tmp_path / "judged")
    parts = read(tmp_path / "judged" / "placement.json")["parts"]
    made = sum(len(item["boxes"]) for item in read_dataset(painted).items)
    assert parts["synthetic"]["boxes"] == parts["synthetic_shuffled"]["boxes"] == made
    assert set(parts) == {"training", "held_out", "synthetic", "synthetic_shuffled"}
    assert (tmp_path / "judged" / "placement.png").is_file()
    held_out = read_dataset(bundle.phantom).splits["test"][0]["patient"]
    known = read(tmp_path / "model.json")
    (tmp_path / "model.json").write_text(json.dumps({**known, "trained_on": [held_out]}))
    line = bundle.fail("cpggan_evaluate", **judging, output_dir=tmp_path / "refused")
    assert f"was trained on patient {held_out!r} of the test split" in line
    assert not (tmp_path / "refused").exists()
