"""BraTS 2017 to 2021."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.data.contract import DatasetError
from scripts.data.layouts.brats import read_brats, read_brats2015_sample


def make_case(folder: Path, case: str, *, ending: str = "nii.gz", label: str | None = "seg") -> Path:
    (folder / case).mkdir(parents=True)
    for sequence in ("flair", "t1", "t1ce", "t2", *([label] if label else [])):
        (folder / case / f"{case}_{sequence}.{ending}").touch()
    return folder


def test_2019_gives_centre_and_grade(tmp_path: Path) -> None:
    for grade, case in (
        ("HGG", "BraTS19_TCIA05_444_1"),
        ("HGG", "BraTS19_2013_10_1"),
        ("LGG", "BraTS19_CBICA_AAB_1"),
    ):
        make_case(tmp_path / grade, case)
    dataset = read_brats(tmp_path)
    assert {item["patient"]: (item["class"], item["grade"]) for item in dataset.splits["training"]} == {
        "BraTS19_2013_10": ("2013", "HGG"),
        "BraTS19_TCIA05_444": ("TCIA05", "HGG"),
        "BraTS19_CBICA_AAB": ("CBICA", "LGG"),
    }
    assert dataset.classes == ["2013", "CBICA", "TCIA05"]
    assert dataset.label_values == {4: 3}
    assert read_brats(tmp_path, class_from="grade").classes == ["HGG", "LGG"]


@pytest.mark.parametrize("year", ["17", "18"])
def test_older_years_are_graded_by_their_folder(tmp_path: Path, year: str) -> None:
    make_case(tmp_path / "HGG", f"Brats{year}_CBICA_AAB_1")
    make_case(tmp_path / "LGG", f"Brats{year}_TCIA10_109_1")
    items = read_brats(tmp_path, class_from="grade").splits["training"]
    assert [(item["patient"], item["class"], item["centre"]) for item in items] == [
        (f"Brats{year}_CBICA_AAB", "HGG", "CBICA"),
        (f"Brats{year}_TCIA10_109", "LGG", "TCIA10"),
    ]


def test_a_labelled_case_without_grade_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for case in ("001", "002"):
        make_case(tmp_path, f"BraTS20_Training_{case}")
    make_case(tmp_path, "BraTS20_Validation_001", label=None)
    mapping = tmp_path / "grades.csv"
    mapping.write_text(
        "case,centre,grade\nBraTS20_Training_001,,HGG\nBraTS20_Training_002,,\nBraTS20_Validation_001,,\n"
    )
    dataset = read_brats(tmp_path, class_from="grade", mapping=str(mapping))
    items = dataset.splits["training"]
    assert [item["patient"] for item in items] == ["BraTS20_Training_001", "BraTS20_Validation_001"]
    assert dataset.classes == ["HGG"]
    assert caplog.messages == ["Left out for want of a grade: BraTS20_Training_002."]


def test_grades_that_nothing_tells_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"No image has a grade.*column Grade with --mapping"):
        read_brats(make_case(tmp_path, "BraTS2021_00000"), class_from="grade")


def test_channels_are_in_the_order_of_the_modality(tmp_path: Path) -> None:
    dataset = read_brats(make_case(tmp_path, "BraTS2021_00000"))
    (item,) = dataset.splits["training"]
    assert dataset.modality == ["T1", "T1ce", "T2", "FLAIR"]
    assert [Path(file).name for file in item["image"]] == [
        f"BraTS2021_00000_{name}.nii.gz" for name in ("t1", "t1ce", "t2", "flair")
    ]
    assert (item["patient"], item["class"], dataset.classes) == ("BraTS2021_00000", None, [])


def test_2020_with_the_challenges_mapping(tmp_path: Path) -> None:
    make_case(tmp_path, "BraTS20_Training_001", ending="nii")
    make_case(tmp_path, "BraTS20_Training_002", ending="nii", label=None)
    (tmp_path / "BraTS20_Training_002" / "W39_1998.09.19_Segm.nii").touch()  # a name in the official download
    mapping = tmp_path / "name_mapping.csv"
    mapping.write_text(
        "Grade,BraTS_2017_subject_ID,BraTS_2018_subject_ID,BraTS_2019_subject_ID,BraTS_2020_subject_ID\n"
        "HGG,Brats17_CBICA_AAB_1,Brats18_CBICA_AAB_1,BraTS19_CBICA_AAB_1,BraTS20_Training_001\n"
        "LGG,NA,NA,BraTS19_TMC_06290_1,BraTS20_Training_002\n"
    )
    assert read_brats(tmp_path).classes == []  # such a name tells no centre
    first, second = read_brats(tmp_path, mapping=str(mapping)).splits["training"]
    assert (first["class"], first["grade"]) == ("CBICA", "HGG")
    assert (second["class"], second["grade"]) == ("TMC", "LGG")
    assert second["label"].endswith("Segm.nii")
    assert read_brats(tmp_path, mapping=str(mapping), class_from="grade").classes == ["HGG", "LGG"]


def test_a_plain_mapping_of_case_and_centre(tmp_path: Path) -> None:
    make_case(make_case(tmp_path, "BraTS2021_00000"), "BraTS2021_00002")
    mapping = tmp_path / "centres.csv"
    mapping.write_text("case,centre\nBraTS2021_00000,UPenn\n")
    with pytest.raises(DatasetError, match="no row for case BraTS2021_00002"):
        read_brats(tmp_path, mapping=str(mapping))
    mapping.write_text("case,centre\nBraTS2021_00000,UPenn\nBraTS2021_00002,\n")
    dataset = read_brats(tmp_path, mapping=str(mapping))
    assert [item["class"] for item in dataset.splits["training"]] == ["UPenn", None]


def test_a_pattern_of_ones_own(tmp_path: Path) -> None:
    make_case(tmp_path, "siteA-001")
    assert read_brats(tmp_path, centre_pattern="^site(.)-").classes == ["A"]
    with pytest.raises(DatasetError, match="finds no centre in case 'siteA-001'"):
        read_brats(tmp_path, centre_pattern="^place(.)-")
    for pattern in ("site.", "(s)(i)", "(s"):
        with pytest.raises(DatasetError, match="expected a regular expression with one group"):
            read_brats(tmp_path, centre_pattern=pattern)


def test_a_case_without_segmentation_is_unlabelled(tmp_path: Path) -> None:
    (item,) = read_brats(make_case(tmp_path, "BraTS20_Validation_001", label=None)).splits["training"]
    assert item["label"] is None


def test_a_missing_sequence_and_an_empty_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="has no files such as"):
        read_brats(tmp_path)
    make_case(tmp_path, "BraTS2021_00000")
    (tmp_path / "BraTS2021_00000" / "BraTS2021_00000_t1ce.nii.gz").unlink()
    with pytest.raises(DatasetError, match="BraTS2021_00000_t1ce"):
        read_brats(tmp_path)


def test_a_mapping_of_other_columns_is_refused(tmp_path: Path) -> None:
    make_case(tmp_path, "BraTS2021_00000")
    (tmp_path / "m.csv").write_text("id,site\nBraTS2021_00000,1\n")
    with pytest.raises(DatasetError, match="columns id, site; expected case and centre"):
        read_brats(tmp_path, mapping=str(tmp_path / "m.csv"))


def test_2023_has_other_names_and_no_fourth_label(tmp_path: Path) -> None:
    for case in ("BraTS-GLI-00001-000", "BraTS-GLI-00001-001"):
        (tmp_path / case).mkdir()
        for name in ("t1n", "t1c", "t2w", "t2f", "seg"):
            (tmp_path / case / f"{case}-{name}.nii.gz").touch()
            (tmp_path / case / f"._{case}-{name}.nii.gz").touch()
    dataset = read_brats(tmp_path)
    assert [item["patient"] for item in dataset.items] == ["BraTS-GLI-00001"] * 2  # two scans
    names = [Path(file).name.rpartition("-")[2] for file in dataset.items[0]["image"]]
    assert names == ["t1n.nii.gz", "t1c.nii.gz", "t2w.nii.gz", "t2f.nii.gz"]
    assert (dataset.modality, dataset.label_values) == (["T1", "T1ce", "T2", "FLAIR"], {})
    assert dataset.items[0]["label"].endswith("-seg.nii.gz")


def test_other_names_lead_to_another_layout(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="layout patient_folders"):
        read_brats(tmp_path)
    (tmp_path / "BraTS-PED-00001-000-t2f.nii.gz").touch()
    with pytest.raises(DatasetError, match="BraTS-PED has other labels"):
        read_brats(tmp_path)


def make_case_of_2015(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in ("Flair_subtrMeanDivStd", "T1c_subtrMeanDivStd", "OTMultiClass", "brainmask"):
        (folder / f"{name}.nii.gz").touch()
    return folder


def test_folders_stay_the_split(tmp_path: Path) -> None:
    make_case_of_2015(tmp_path / "train" / "brats_2013_pat0005_1")
    make_case_of_2015(tmp_path / "validation" / "brats_2013_pat0003_1")
    splits = read_brats2015_sample(tmp_path).splits
    assert [item["patient"] for item in splits["training"]] == ["brats_2013_pat0005_1"]
    assert [item["patient"] for item in splits["validation"]] == ["brats_2013_pat0003_1"]
    assert [Path(file).name[:3] for file in splits["training"][0]["image"]] == ["Fla", "T1c"]


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="has no cases"):
        read_brats2015_sample(tmp_path)
    case = make_case_of_2015(tmp_path / "train" / "brats_2013_pat0005_1")
    (case / "OTMultiClass.nii.gz").unlink()
    with pytest.raises(DatasetError, match=r"has no OTMultiClass\.nii\.gz"):
        read_brats2015_sample(tmp_path)


@pytest.mark.realdata
def test_the_shared_sample(real_data: Path) -> None:
    dataset = read_brats2015_sample(real_data / "brats2015_sample")
    assert [len(dataset.splits[split]) for split in ("training", "validation")] == [2, 2]
