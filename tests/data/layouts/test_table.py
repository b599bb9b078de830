"""Data sets from a CSV file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from scripts.data.contract import DatasetError, read_dataset
from scripts.data.doctor import doctor
from scripts.data.layouts.table import read_table
from scripts.data.prepare import prepare

NAMES = {"labels": "background,tumour", "modality": "T1,T2"}


def make_table(folder: Path, text: str) -> Path:
    for name in ("a.png", "b.png", "c.png", "m.png"):
        Image.fromarray(np.array([[0, 255]], np.uint8)).save(folder / name)
    (folder / "table.csv").write_text(text)
    return folder / "table.csv"


def test_rows_become_items(tmp_path: Path) -> None:
    table = "image,label,class,patient\na.png,m.png,X,p1\nb.png,,,p2\n"
    dataset = read_table(make_table(tmp_path, table), labels="background,tumour", label_values="255:1")
    first, second = dataset.splits["training"]
    assert first == {
        "image": str(tmp_path / "a.png"),
        "label": str(tmp_path / "m.png"),
        "patient": "p1",
        "class": "X",
    }
    assert (second["label"], second["class"], second["patient"]) == (None, None, "p2")
    assert (dataset.root, dataset.classes, dataset.modality) == (tmp_path, ["X"], ["image"])


def test_columns_give_channels_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    header = "label," + ",".join(f"image_{n}" for n in (10, 2, 0))
    dataset = read_table(make_table(tmp_path, f"{header}\nm.png,c.png,b.png,a.png\n"), labels="background,x")
    assert [Path(file).name for file in dataset.splits["training"][0]["image"]] == ["a.png", "b.png", "c.png"]
    assert dataset.modality == ["channel_0", "channel_1", "channel_2"]


def test_named_columns_and_joined_paths(tmp_path: Path) -> None:
    dataset = read_table(make_table(tmp_path, "image_T1,image_FLAIR,label\na.png,b.png,m.png\n"), labels="a,b")
    assert dataset.modality == ["T1", "FLAIR"]
    assert [Path(file).name for file in dataset.splits["training"][0]["image"]] == ["a.png", "b.png"]
    joined = read_table(make_table(tmp_path, "image,label\na.png; b.png,m.png\n"), **NAMES)
    assert len(joined.splits["training"][0]["image"]) == 2


def test_labels_are_found_when_not_named(tmp_path: Path) -> None:
    dataset = read_table(make_table(tmp_path, "image,label\na.png,m.png\n"))
    assert (dataset.labels, dataset.label_values) == (["background", "label_1"], {255: 1})


def test_the_split_column_counts(tmp_path: Path) -> None:
    table = "image,label,split\na.png,m.png,train\nb.png,m.png,Validation\nc.png,m.png,test\n"
    splits = read_table(make_table(tmp_path, table), labels="a,b").splits
    assert [len(splits[split]) for split in ("training", "validation", "test")] == [1, 1, 1]


def test_an_image_may_be_the_folder_of_a_dicom_series(
    tmp_path: Path, write_series: Callable[..., list[Path]], caplog: pytest.LogCaptureFixture
) -> None:
    rows = ["image,label"]
    label = np.zeros((32, 32, 3), np.uint8)
    label[4:8, 4:8, 1] = 1
    for n in range(6):
        stored = np.random.default_rng(n).integers(0, 2000, (3, 32, 32)).astype(np.int16)
        write_series(tmp_path / f"1.2.{n}", stored, uid=f"1.2.{n}")
        affine = np.diag([-0.5, -0.5, 5, 1])  # left and back, as the series, in NIfTI's right and front
        nib.save(nib.Nifti1Image(label, affine), tmp_path / f"label_{n}.nii.gz")
        rows.append(f"1.2.{n},label_{n}.nii.gz")
    (tmp_path / "table.csv").write_text("\n".join(rows))
    prepare("table", str(tmp_path / "table.csv"), modality="CT", intensity_range="-1024,3000")
    items = read_dataset(tmp_path).items
    assert sorted(item["patient"] for item in items) == [f"1.2.{n}" for n in range(6)]
    caplog.clear()
    doctor(str(tmp_path), image_size=32)
    printed = "\n".join(caplog.messages)
    assert "No findings." in printed
    assert "Patients were guessed from the names of files: 1.2.0 (1.2.0), 1.2.1 (1.2.1), 1.2.2 (1.2.2)." in printed
    assert printed.count("  18") >= 1  # slices of all six series


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("image,label\na.png,m.png\nnone.png,m.png\n", r"row 3: no file .*none\.png"),
        ("image,label\na.png,m.png\n\nb.png,none.png\n", r"row 4: no file .*none\.png"),
        ("image,label\na.png,m.png\n,m.png\n", "row 3: no image"),
        ("image,label\na.png;b.png,m.png\na.png,m.png\n", "row 3: 1 image files, the first row has 2"),
        ("image,label,split\na.png,m.png,dev\n", "row 2: split is 'dev'"),
        ("image,label,split\na.png,m.png,test\nb.png,m.png,\n", "row 3: split is ''"),
        ("image,lable\na.png,m.png\n", "no column label; it has image\\."),
        ("picture,label\na.png,m.png\n", r"image columns \[\]"),
        ("image,image_1,label\na.png,a.png,m.png\n", "expected 'image', or 'image_0'"),
        ("image,label\n", "no rows below its header"),
        ("image,label,patient\na.png,m.png,p\nb.png,m.png,\n", "row 3: blank patient, as in 1 of 2 rows"),
        ("image,label,Image\na.png,m.png,a.png\n", "columns image and Image both mean image"),
    ],
)
def test_a_mistake_is_named_with_its_row(tmp_path: Path, table: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_table(make_table(tmp_path, table), labels="background,tumour")


def test_columns_may_be_called_otherwise(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = "Filename,Mask,PatientID,Split,age\na.png,m.png,7,train,30\nb.png,m.png,8,val,40\n"
    splits = read_table(make_table(tmp_path, table)).splits
    assert [(split, item["patient"]) for split in splits for item in splits[split]] == [
        ("training", "7"),
        ("validation", "8"),
    ]
    assert "\n".join(caplog.messages).startswith("Columns that are not used: age.\nThe patient is column PatientID.\n")


def test_numbers_of_a_spreadsheet_are_one_patient(tmp_path: Path) -> None:
    prepare("table", str(make_table(tmp_path, "image,label,patient\na.png,m.png,1\nb.png,m.png,1.0\nc.png,m.png,2\n")))
    assert sorted(item["patient"] for item in read_dataset(tmp_path).items) == ["1", "1", "2"]


def write_mask(file: Path, *values: int) -> None:
    Image.fromarray(np.array([values], np.uint8)).save(file)


def test_masks_in_several_files_are_merged(tmp_path: Path) -> None:
    table = make_table(tmp_path, "image,label\na.png,x.png; y.png\nb.png,x.png\n")
    write_mask(tmp_path / "x.png", 255, 0)
    write_mask(tmp_path / "y.png", 0, 255)
    dataset = read_table(table, output=tmp_path / "out")
    assert np.asarray(Image.open(dataset.items[0]["label"])).tolist() == [[255, 255]]
    assert dataset.items[0]["label"] == str(tmp_path / "out" / "label_maps" / "a.png")
    assert dataset.items[1]["label"] == str(tmp_path / "x.png")  # one file stays where it is
    assert (dataset.labels, dataset.label_values) == (["background", "label_1"], {255: 1})


def test_one_mask_file_per_label(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = make_table(tmp_path, "image,label_core,label_rim\na.png,x.png,y.png\nb.png,,y.png\n")
    write_mask(tmp_path / "x.png", 255, 255)
    write_mask(tmp_path / "y.png", 0, 255)
    dataset = read_table(table, output=tmp_path / "out")
    assert dataset.labels == ["background", "core", "rim"]
    assert [np.asarray(Image.open(item["label"])).tolist() for item in dataset.items] == [[[1, 2]], [[0, 2]]]
    assert "1 pixels are in several mask files with different labels; the later file counts." in caplog.text


def test_mask_files_of_another_size_are_refused(tmp_path: Path) -> None:
    table = make_table(tmp_path, "image,label\na.png,m.png;x.png\n")
    write_mask(tmp_path / "x.png", 0, 1, 1)
    with pytest.raises(DatasetError, match=r"x\.png differs in size from .*m\.png"):
        read_table(table, output=tmp_path / "out")
