"""Decathlon folders, and pairs of folders without description."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts.data.contract import DatasetError, read_dataset
from scripts.data.layouts.decathlon import read_decathlon


def make_decathlon(root: Path) -> Path:
    content = {
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "Anterior"},
        "training": [{"image": f"./imagesTr/h_{n}.nii.gz", "label": f"./labelsTr/h_{n}.nii.gz"} for n in range(3)],
        "test": ["./imagesTs/h_9.nii.gz"],
    }
    (root / "dataset.json").write_text(json.dumps(content))
    return root


def make_pair(root: Path, values: tuple[int, ...] = (0, 255), colour: bool = False) -> Path:
    for folder in ("images", "labels"):
        (root / folder).mkdir()
    for n in range(3):
        shape = (4, 4, 3) if colour else (4, 4)
        Image.fromarray(np.full(shape, n, np.uint8)).save(root / "images" / f"p{n}_1.png")
        Image.fromarray(np.resize(np.array(values, np.uint8), (4, 4))).save(root / "labels" / f"p{n}_1.png")
    return root


def test_labelled_items_are_pooled_and_the_official_test_stays(tmp_path: Path) -> None:
    splits = read_decathlon(make_decathlon(tmp_path)).splits
    assert [Path(item["image"]).name for item in splits["training"]] == ["h_0.nii.gz", "h_1.nii.gz", "h_2.nii.gz"]
    assert [(Path(item["image"]).name, item["label"]) for item in splits["test"]] == [("h_9.nii.gz", None)]


def test_an_older_split_is_undone(tmp_path: Path) -> None:
    content = json.loads((make_decathlon(tmp_path) / "dataset.json").read_text())
    content["validation"] = [{**content["training"].pop(), "fold": 1, "patient": "x"}]
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    splits = read_decathlon(tmp_path).splits
    assert splits["validation"] == []
    assert (splits["training"][2]["patient"], "fold" in splits["training"][2]) == ("x", False)


def test_several_label_files_of_an_item_are_merged(tmp_path: Path) -> None:
    make_pair(tmp_path)
    for name, values in (("a", [0, 1, 0, 0]), ("b", [0, 0, 2, 0])):
        Image.fromarray(np.resize(np.array(values, np.uint8), (4, 4))).save(tmp_path / f"{name}.png")
    item = {"image": "images/p0_1.png", "label": ["a.png", "b.png"], "patient": "p"}
    description = {"modality": ["grey"], "labels": ["background", "x", "y"], "training": [item]}
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    with pytest.raises(DatasetError, match=r"training\[0\]: 'label' lists 2 files.*prepare decathlon"):
        read_dataset(tmp_path)
    label = read_decathlon(tmp_path, output=tmp_path / "out").items[0]["label"]
    assert label == str(tmp_path / "out" / "label_maps" / "images__p0_1.png")
    assert np.asarray(Image.open(label))[0].tolist() == [0, 1, 2, 0]


def test_a_description_and_options_contradict(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="Change them there"):
        read_decathlon(make_decathlon(tmp_path), labels="background,x")


def test_a_pair_of_folders_with_what_the_files_tell(tmp_path: Path) -> None:
    dataset = read_decathlon(make_pair(tmp_path, colour=True))
    assert (dataset.labels, dataset.label_values) == (["background", "label_1"], {255: 1})
    assert (dataset.modality, dataset.intensity_range) == (["red", "green", "blue"], [0.0, 255.0])


def test_options_win_over_what_the_files_tell(tmp_path: Path) -> None:
    dataset = read_decathlon(
        make_pair(tmp_path),
        labels=("background", "x", "y"),
        label_values="255:2",
        modality="CT",
    )
    assert (dataset.labels, dataset.label_values) == (["background", "x", "y"], {255: 2})
    assert (dataset.modality, dataset.intensity_range) == (["CT"], None)


def test_an_unpaired_file_is_named(tmp_path: Path) -> None:
    (make_pair(tmp_path) / "labels" / "p1_1.png").unlink()
    with pytest.raises(DatasetError, match=r"1 names are only .* first .*p1_1\.png"):
        read_decathlon(tmp_path)


@pytest.mark.realdata
def test_the_shared_hippocampus(real_data: Path) -> None:
    dataset = read_decathlon(real_data / "hippocampus", labels="background,anterior,posterior")
    assert len(dataset.splits["training"]) == 60
    assert dataset.modality == ["image"]
