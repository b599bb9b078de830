"""Folders per patient with a table of classes, as REMBRANDT's segmentations come."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from scripts.__main__ import main
from scripts.data.contract import DatasetError, read_dataset
from scripts.data.layouts.patient_folders import read_patient_folders
from scripts.data.prepare import prepare

OPTIONS: dict[str, Any] = {"images": "FLAIR:*flair*,T1:*_t1_*", "label": "*seg*", "labels": "background,tumour"}
TABLE = {"patient_column": "Sample", "class_column": "Grade"}


def make_folder(root: Path, *patients: str) -> Path:
    """Files as TCIA's derived data have them: patient, date, sequence, and a FLAIR mask that matches *flair* too."""
    for patient in patients:
        folder = root / "nifti" / patient / "1998.01.02"
        folder.mkdir(parents=True)
        for name in ("FLAIR_LPS", "t1_LPS", "t1Gd_LPS", "flair_seg"):
            values = np.zeros((4, 4, 2), np.int16)
            values[1:3, 1:3] = 1
            nib.save(nib.Nifti1Image(values, np.eye(4)), folder / f"{patient}_1998.01.02_{name}.nii.gz")
    return root / "nifti"


def write_table(root: Path, text: str) -> str:
    (root / "clinical.csv").write_text(text)
    return str(root / "clinical.csv")


def test_folders_become_items_with_the_table_s_classes(tmp_path: Path) -> None:
    source = make_folder(tmp_path, "HF1001", "HF1002", "HF1003")
    table = write_table(tmp_path, "Sample,Age,Grade\nHF1003,30,II\nHF1001,60,IV\nHF1002,50,III\nHF9999,40,I\n")
    names = "I:LGG,II:LGG,III:HGG,IV:HGG"
    dataset = read_patient_folders(source, **OPTIONS, **TABLE, metadata=table, class_names=names)
    items = dataset.splits["training"]
    assert [(item["case"], item["class"]) for item in items] == [
        ("HF1001", "HGG"),
        ("HF1002", "HGG"),
        ("HF1003", "LGG"),
    ]
    assert [Path(file).name for file in items[0]["image"]] == [
        f"HF1001_1998.01.02_{name}_LPS.nii.gz" for name in ("FLAIR", "t1")
    ]
    assert items[0]["label"].endswith("flair_seg.nii.gz")
    assert (dataset.modality, dataset.classes) == (["FLAIR", "T1"], ["HGG", "LGG"])


def test_one_channel_and_no_table(tmp_path: Path) -> None:
    dataset = read_patient_folders(make_folder(tmp_path, "a"), images="FLAIR:*flair*", label="*seg*")
    (item,) = dataset.splits["training"]
    assert item["image"].endswith("FLAIR_LPS.nii.gz")
    assert (item["class"], dataset.classes, dataset.labels) == (None, [], ["background", "label_1"])


def test_a_folder_without_mask_is_unlabelled(tmp_path: Path) -> None:
    items = read_patient_folders(make_folder(tmp_path, "a"), **{**OPTIONS, "label": "*mask*", "images": "T1:*_t1_*"})
    assert items.splits["training"][0]["label"] is None


def test_a_patient_with_a_blank_class_is_left_out_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = write_table(tmp_path, "Sample,Grade\na,II\nb,\n")
    dataset = read_patient_folders(make_folder(tmp_path, "a", "b"), **OPTIONS, **TABLE, metadata=table)
    assert [item["case"] for item in dataset.splits["training"]] == ["a"]
    assert caplog.messages == ["Left out for want of a Grade: b."]


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        ("Sample,Grade\na,II\n", {}, r"no row with Sample 'b'\. Add it, with a blank Grade"),
        ("Sample,Grade\na,II\nb,II\na,IV\n", {}, "row 4: a has Grade 'IV' here and 'II' before"),
        ("Sample,Grade\na,II\nb,V\n", {"class_names": "II:LGG"}, "row 3: Grade is 'V', expected one of II"),
        ("Sample,Grade\na,\nb,\n", {}, "No image has a Grade.*Fill in that column"),
        ("Sample,Stage\na,II\nb,II\n", {}, "no column Grade; it has Sample, Stage"),
        ("Sample,Grade\na,II\nb,II\n", {"images": "T2:*t2*"}, r"has no image \*t2\* for T2"),
        ("Sample,Grade\na,II\nb,II\n", {"images": "T1:*t1*"}, r"--images T1:\*t1\* finds 2 files, 1998"),
        ("Sample,Grade\na,II\nb,II\n", {"label": "*lps*"}, r"--label \*lps\* finds 3 files"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, table: str, options: dict[str, Any], message: str) -> None:
    source = make_folder(tmp_path, "a", "b")
    with pytest.raises(DatasetError, match=message):
        read_patient_folders(source, **{**OPTIONS, **TABLE, "metadata": write_table(tmp_path, table), **options})


def test_an_empty_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="has no folders, expected one per patient"):
        read_patient_folders(tmp_path, **OPTIONS)


def test_the_documented_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe of docs/data.md: all its options through the command line, patients of each class spread."""
    patients = [f"HF{n}" for n in range(10)]
    make_folder(tmp_path, *patients)
    write_table(tmp_path, "Sample,Grade\n" + "".join(f"{p},{'II' if p < 'HF5' else 'IV'}\n" for p in patients))
    page = (Path(__file__).parents[3] / "docs" / "data.md").read_text(encoding="utf-8")
    command = re.search(r"python -m scripts (prepare patient_folders .+?)\n[`\n]", page.replace("\\\n", " "), re.DOTALL)
    assert command
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(command[1])) == 0
    dataset = read_dataset(tmp_path / "nifti")
    assert (dataset.modality, dataset.classes) == (["FLAIR", "T1"], ["HGG", "LGG"])
    for split, count in (("training", 3), ("validation", 1), ("test", 1)):
        assert sorted(item["class"] for item in dataset.splits[split]) == ["HGG"] * count + ["LGG"] * count


def test_one_label_map_per_label_and_a_colour_picture(tmp_path: Path) -> None:
    for name in ("p1_20190101", "p1_20200101", "p2_20190101"):
        folder = tmp_path / "source" / name
        folder.mkdir(parents=True)
        Image.fromarray(np.full((4, 4, 3), 9, np.uint8)).save(folder / "photo.png")
        for n, part in enumerate(("core", "rim")):
            Image.fromarray(np.eye(4, k=n).astype(np.uint8) * 255).save(folder / f"mask_{part}.png")
    options = {"images": "photo:photo*", "label": "core:*core*,rim:*rim*"}
    prepare("patient_folders", str(tmp_path / "source"), output=str(tmp_path / "out"), **options)
    dataset = read_dataset(tmp_path / "out")
    assert sorted(item["patient"] for item in dataset.items) == ["p1", "p1", "p2"]  # one patient at two dates
    assert (dataset.labels, dataset.modality) == (["background", "core", "rim"], ["red", "green", "blue"])
    label = np.asarray(Image.open(dataset.items[0]["label"]))
    np.testing.assert_array_equal(label, np.eye(4) + 2 * np.eye(4, k=1))
