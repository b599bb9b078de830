"""TCGA-LGG in both layouts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from scripts.data.contract import DatasetError
from scripts.data.layouts.lgg import read_lgg


def make_kaggle(root: Path) -> Path:
    """The download's layout: `kaggle_3m/<patient>_<date>/..._<slice>.tif`, grades by patient without date."""
    for patient, slices in (("TCGA_CS_4941_19960909", (2, 10)), ("TCGA_HT_A616_19991226", (1,))):
        folder = root / "kaggle_3m" / patient
        folder.mkdir(parents=True)
        for n in slices:
            (folder / f"{patient}_{n}.tif").touch()
            (folder / f"{patient}_{n}_mask.tif").touch()
    (root / "kaggle_3m" / "data.csv").write_text(
        "Patient,neoplasm_histologic_grade,gender\nTCGA_CS_4941,2.0,1\nTCGA_HT_A616,,\n"
    )
    return root


def test_the_original_tiff_layout(tmp_path: Path) -> None:
    dataset = read_lgg(make_kaggle(tmp_path))
    items = dataset.splits["training"]
    assert [(item["patient"], item["slice"], item["class"]) for item in items] == [
        ("TCGA_CS_4941", 2, "CS"),
        ("TCGA_CS_4941", 10, "CS"),
        ("TCGA_HT_A616", 1, "HT"),
    ]
    assert items[1]["label"] == items[1]["image"].replace("_10.tif", "_10_mask.tif")
    assert (dataset.classes, dataset.label_values, dataset.channel_count) == (["CS", "HT"], {255: 1}, 3)


def test_a_patient_with_a_blank_grade_is_left_out_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dataset = read_lgg(make_kaggle(tmp_path), class_from="grade")
    assert [(item["patient"], item["class"]) for item in dataset.splits["training"]] == [
        ("TCGA_CS_4941", "grade_2")
    ] * 2
    assert dataset.classes == ["grade_2"]
    assert caplog.messages == ["Left out for want of a grade: TCGA_HT_A616."]


def test_missing_pieces_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="class_from is 'sex'"):
        read_lgg(tmp_path, class_from="sex")
    with pytest.raises(DatasetError, match="has no slices"):
        read_lgg(tmp_path)
    with pytest.raises(DatasetError, match=r"neither patients\.csv nor data\.csv"):
        read_lgg(tmp_path, class_from="grade")
    folder = make_kaggle(tmp_path) / "kaggle_3m" / "TCGA_CS_4941_19960909"
    (folder / "TCGA_CS_4941_19960909_2_mask.tif").unlink()
    with pytest.raises(DatasetError, match=r"has no TCGA_CS_4941_19960909_2_mask\.tif"):
        read_lgg(tmp_path)


def test_a_patient_without_row_is_named(tmp_path: Path) -> None:
    (make_kaggle(tmp_path) / "kaggle_3m" / "data.csv").write_text("Patient,neoplasm_histologic_grade\nTCGA_CS_4941,2\n")
    with pytest.raises(DatasetError, match="no row for TCGA_HT_A616"):
        read_lgg(tmp_path)


@pytest.mark.realdata
def test_the_shared_slices(real_data: Path) -> None:
    items = read_lgg(real_data / "lgg_mri").splits["training"]
    centre = {item["patient"]: item["centre"] for item in items}
    assert len(items) == 1109
    assert Counter(centre.values()) == {"DU": 29, "HT": 23, "CS": 10, "FG": 9, "EZ": 1}
    grades = read_lgg(real_data / "lgg_mri", class_from="grade").splits["training"]
    assert len({item["patient"] for item in items} - {item["patient"] for item in grades}) == 1  # one has a blank grade
    assert {item["class"] for item in grades} == {"grade_1", "grade_2"}
