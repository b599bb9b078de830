from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from scripts.data.contract import DatasetError
from scripts.data.slices import SliceDataset
from scripts.data.split_slices import SplitSlices, classified_items

# patient -> split and grade
PATIENTS = {
    "P0": ("training", "2"),
    "P1": ("training", "1"),
    "P2": ("training", ""),
    "P3": ("validation", "1"),
    "P4": ("test", "2"),
}


def load_arrays(item):
    """A volume of two slices, whose pixels are the patient's number."""
    number = float(Path(item["image"]).stem[1:])
    return {"image": np.full((1, 4, 4, 2), number), "label": np.ones((1, 4, 4, 2))}


def keep_second(image, label):
    return np.arange(len(label)) > 0


def write_dataset(folder: Path, patients=PATIENTS) -> Path:
    """Image files that only say whose they are, with their description."""
    content: dict = {"modality": ["MR"], "labels": ["background", "tumour"], "classes": ["X", "Y"]}
    for name, (split, grade) in patients.items():
        (folder / f"{name}.npy").write_text(name)  # the cache tells files apart by their contents
        item = {"image": f"{name}.npy", "label": f"{name}.npy", "patient": name, "grade": grade}
        content.setdefault(split, []).append(item if name == "P2" else {**item, "class": "X"})
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def build(folder: Path, *, class_key: str = "grade", **options) -> SplitSlices:
    slices = {
        split: SliceDataset(
            classified_items(folder, split, class_key=class_key, leave_out_unclassed=True),
            load_arrays,
            folder / "cache",
            **options,
        )
        for split in ("training", "validation", "test")
    }
    return SplitSlices(slices, classes=["X", "Y"], class_key=class_key)


def test_slices_of_all_splits_follow_each_other_with_their_classes(tmp_path):
    slices = build(write_dataset(tmp_path))
    assert [(item["patient"], item["split"], item["class"]) for item in slices.items[::2]] == [
        ("P0", "training", "2"),
        ("P1", "training", "1"),
        ("P3", "validation", "1"),
        ("P4", "test", "2"),
    ]
    assert len(slices) == 8
    assert slices.classes == ["1", "2"]
    for n, item in enumerate(slices.items):
        assert slices[n]["source"] == item["source"]
        assert slices[n]["image"].unique().item() == float(item["patient"][1:])
    assert all(item["synthetic"] is None for item in slices.items)


def test_the_data_sets_own_classes_keep_their_order(tmp_path):
    slices = build(write_dataset(tmp_path), class_key="class")
    assert slices.classes == ["X", "Y"]
    assert {item["class"] for item in slices.items} == {"X"}


def test_the_fingerprint_follows_slices_and_classes(tmp_path):
    folder = write_dataset(tmp_path)
    first = build(folder).fingerprint
    assert build(folder).fingerprint == first
    assert build(folder, class_key="class").fingerprint != first
    assert build(folder, rule=keep_second).fingerprint != first
    write_dataset(folder, {**PATIENTS, "P4": ("test", "1")})
    assert build(folder).fingerprint != first


def test_a_patient_without_class_is_refused_with_the_remedy(tmp_path):
    """For whichever split is asked, so that the first one's slices are not prepared in vain."""
    folder = write_dataset(tmp_path)
    for split in ("validation", "training"):
        with pytest.raises(DatasetError, match=r"Patient 'P2' has no 'grade', .* Pass --leave_out_unclassed True"):
            classified_items(folder, split, class_key="grade")


def test_patients_without_class_are_left_out_with_a_warning(tmp_path, caplog):
    folder = write_dataset(tmp_path)
    with caplog.at_level(logging.WARNING):
        kept = classified_items(folder, "training", class_key="grade", leave_out_unclassed=True)
    assert [item["patient"] for item in kept] == ["P0", "P1"]
    assert caplog.messages == ["training: left out 1 images without 'grade' of P2"]
    caplog.clear()
    assert len(classified_items(folder, "test", class_key="grade", leave_out_unclassed=True)) == 1
    assert caplog.messages == []


@pytest.mark.parametrize("leave_out", [False, True])
def test_a_key_that_no_item_has_is_refused_with_those_they_have(tmp_path, leave_out):
    with pytest.raises(DatasetError, match=r"no item has 'gade', .* they have class, grade. Pass another --class_key"):
        classified_items(write_dataset(tmp_path), "training", class_key="gade", leave_out_unclassed=leave_out)


def test_a_split_of_patients_without_class_is_refused(tmp_path):
    folder = write_dataset(tmp_path, {**PATIENTS, "P4": ("test", "")})
    with pytest.raises(DatasetError, match=r"no item of the test split has 'grade'. Choose another fold"):
        classified_items(folder, "test", class_key="grade", leave_out_unclassed=True)
