from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest

from scripts.data.contract import DatasetError
from scripts.exports.export import FORMATS, export


def test_every_format_says_whom_the_generators_learned_from(masked, tmp_path):
    for to in FORMATS:
        channels = 0 if to in ("coco", "yolo") else None
        export(str(masked), to=to, output=str(tmp_path / to), channels=channels)
        (file,) = (tmp_path / to).rglob("synthetic.json")
        content = json.loads(file.read_text())
        assert content["trained_on"] == ["p3", "p4", "p5"]
        assert content["images"]["synthetic_000001_A"]["source_patient"] == "p4"
        assert content["notice"].startswith("SYNTHETIC")
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]


def test_an_existing_folder_is_refused(masked, tmp_path):
    with pytest.raises(DatasetError, match="exists, expected a new folder"):
        export(str(masked), to="png", output=str(masked))


def test_a_broken_image_leaves_nothing_behind(masked, tmp_path):
    (masked / "images" / "000002_A.nii.gz").write_bytes(b"broken")
    with pytest.raises(DatasetError, match="000002_A"):
        export(str(masked), to="png", output=str(tmp_path / "out"))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["masked"]


def test_what_a_killed_export_left_is_removed(masked, tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    (tmp_path / f".tmp-{dead.pid}-out" / "images").mkdir(parents=True)
    export(str(masked), to="png", output=str(tmp_path / "out"))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["masked", "out"]


def test_features_and_real_images_are_refused(real, tmp_path):
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "manifest.json").write_text("{}")
    np.save(tmp_path / "features" / "features.npy", np.zeros(1))
    with pytest.raises(DatasetError, match="holds features"):
        export(str(tmp_path / "features"), to="coco", output=str(tmp_path / "out"))
    with pytest.raises(DatasetError, match="no 'synthetic' provenance"):
        export(str(real), to="png", output=str(tmp_path / "out"))


def test_masks_and_boxes_do_not_mix(masked, boxed, tmp_path):
    with pytest.raises(DatasetError, match=r"modality .* differ"):
        export(str(masked), str(boxed), to="png", output=str(tmp_path / "out"))
    with pytest.raises(DatasetError, match="No synthetic set is named"):
        export(to="png", output=str(tmp_path / "out"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"to": "bmp"}, "expected one of decathlon, nnunet"),
        ({"to": "png", "channels": 0}, "it is for coco, yolo"),
        ({"to": "coco", "real": "x"}, "it is for decathlon, nnunet"),
        ({"to": "decathlon", "fold": 1}, "Name these with --real"),
        ({"to": "nnunet", "dataset_id": 1000}, "from 1 to 999"),
        ({"to": "yolo", "channels": "red"}, "expected numbers such as 0"),
    ],
)
def test_wrong_options_are_explained(masked, tmp_path, options, message):
    with pytest.raises(DatasetError, match=message):
        export(str(masked), output=str(tmp_path / "out"), **options)
