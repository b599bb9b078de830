"""Who the patient is: what columns are called, what names and folders tell, and what they do not."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from scripts.data.patients import clean_patients, find_alike, find_patient_key, guess_patients


def spread(pattern: str, *parts: Any) -> list[str]:
    return [pattern.format(*values) for values in product(*parts)]


@pytest.mark.parametrize(
    ("names", "patients"),
    [
        (spread("pat{}/slice_{}", "012", "01"), ["pat0", "pat1", "pat2"]),
        (spread("pat{}/image", "012"), ["pat0", "pat1", "pat2"]),
        (spread("{}/slice_{}", "ABC", "01"), ["A", "B", "C"]),
        (spread("site{}/p{}/im", "AB", "12"), ["siteA/p1", "siteA/p2", "siteB/p1", "siteB/p2"]),
        (spread("10{}/img_{}{}", "0123", "ab", "01"), ["100", "101", "102", "103"]),  # unique names, numbered folders
        (spread("smith{}/{}/im", "12", ("20190101", "2020-03-04")), ["smith1", "smith2"]),
        (spread("00{}/{}/im", "123", ("2019", "2020")), ["001", "002", "003"]),
        (spread("{}/00{}", ("baseline", "followup"), "12"), ["001", "002"]),
        (spread("{}/00{}", ("T1", "T2", "FLAIR"), "12"), ["001", "002"]),
        (spread("smith_{}_{}", "ab", ("20190101", "01.02.2020")), ["smith_a", "smith_b"]),
        (spread("scan{}_slice_{}", "ab", "012"), ["scana", "scanb"]),
        (spread("{}_{}", "12", ("left", "right")), ["1", "2"]),
        (spread("imagesTr/la_00{}_0000", "34"), ["la_003", "la_004"]),
        (spread("BraTS-GLI-0000{}-00{}", "12", "01"), ["BraTS-GLI-00001", "BraTS-GLI-00002"]),
        (spread("BraTS19_TCIA05_44{}_{}", "12", "12"), ["BraTS19_TCIA05_441", "BraTS19_TCIA05_442"]),
        (spread("TCGA_CS_494{}_19970222_{}", "12", "12"), ["TCGA_CS_4941", "TCGA_CS_4942"]),
        (spread("sub-0{}/ses-{}/anat/sub-0{}_T1w", "1", "12", "1"), ["sub-01"]),
        (spread("Patient {}/{}/CT", "12", ("2019-01-02",)), ["Patient 1", "Patient 2"]),
        (spread("{}/{}", ("train", "val"), "12"), ["train/1", "train/2", "val/1", "val/2"]),
        (spread("{}/{}", ("benign", "malignant"), "12"), ["benign/1", "benign/2", "malignant/1", "malignant/2"]),
        (spread("ISIC_000000{}", "12"), ["ISIC_0000001", "ISIC_0000002"]),
        (spread("IMG_20190{}01", "123"), ["IMG_20190101", "IMG_20190201", "IMG_20190301"]),  # nothing but the date
        (spread("slice_{}", "12"), ["slice_1", "slice_2"]),
    ],
)
def test_the_patients_that_paths_tell(names: list[str], patients: list[str]) -> None:
    assert sorted(set(guess_patients(names)[0])) == patients


def test_a_guess_names_its_source_and_three_examples() -> None:
    _, guess = guess_patients(spread("{}/slice_{}", "ABCD", "01"))
    assert str(guess) == (
        "Patients were guessed from folders, since names repeat in them: A (A/slice_0), B (B/slice_0), C (C/slice_0)."
    )


@pytest.mark.parametrize(
    ("names", "doubtful"),
    [
        (spread("{}_{}", "ab", "12"), True),
        (spread("{}/{}", ("benign", "malignant"), "12"), True),
        (spread("img_{}", "1234"), False),
    ],
)
def test_a_guess_that_may_leak_says_so(names: list[str], doubtful: bool) -> None:
    _, guess = guess_patients(names)
    assert ("leak" in guess.doubt and "--patient_pattern" in guess.doubt) == doubtful


def test_a_folder_called_like_its_class_is_no_patient() -> None:
    names = spread("{}/{}", ("grade2", "grade3", "grade4"), "12")
    classes = [name.split("/")[0] for name in names]
    assert sorted(set(guess_patients(names, classes)[0])) == names


@pytest.mark.parametrize("name", ["patient", "patient_id", "PatientID", "Patient ID", "subject", "Subject-ID", "pid"])
def test_columns_of_the_patient_are_known(name: str) -> None:
    assert find_patient_key(["image", name, "class"]) == name


def test_the_patient_comes_before_the_subject() -> None:
    assert find_patient_key(["subject", "patient_id"]) == "patient_id"
    assert find_patient_key(["image", "inpatient"]) is None


@pytest.mark.parametrize(
    ("values", "cleaned"),
    [
        (["1", "1.0", " 1 "], ["1", "1", "1"]),
        ([1, 1.0, 0], ["1", "1", "0"]),
        (["1.0", "1.1"], ["1.0", "1.1"]),  # a version, no number of a spreadsheet
        (["001", "1"], ["001", "1"]),
        (["", None, float("nan"), "NaN", "a"], [None, None, None, None, "a"]),
    ],
)
def test_patients_become_texts(values: list[Any], cleaned: list[str | None]) -> None:
    assert clean_patients(values) == cleaned


def test_patients_written_in_two_ways_are_found() -> None:
    assert find_alike(["P1", "p-01", "P10", "P2", "P 2"]) == [["P 2", "P2"], ["P1", "p-01"]]
