"""A view of a data set that trains on fewer patients and tests on the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.data.contract import Dataset, DatasetError, read_dataset
from scripts.data.phantom import write_phantom
from scripts.data.subset import subset


def patients(dataset: Dataset, split: str) -> set[str]:
    return {item["patient"] for item in dataset.splits[split]}


@pytest.fixture
def phantom(tmp_path: Path) -> Path:
    return Path(write_phantom(tmp_path / "phantom", patients=15, image_size=32, slices=2))


def view(phantom: Path, **options: object) -> Dataset:
    subset(str(phantom), output=str(phantom.parent / "view"), patient_fraction=1 / 3, fold=1, **options)  # type: ignore[arg-type]
    return read_dataset(phantom.parent / "view")


def test_a_third_is_trained_on_and_the_rest_is_tested(phantom: Path) -> None:
    whole = read_dataset(phantom)
    fold = {number: {i["patient"] for i in whole.items if i["fold"] == number} for number in range(5)}
    made = view(phantom)
    training = patients(made, "training")
    assert len(training) == 3
    assert training < fold[0] | fold[3] | fold[4]
    assert patients(made, "validation") == fold[2]
    assert patients(made, "test") == (fold[0] | fold[1] | fold[3] | fold[4]) - training


def test_without_the_others_the_test_patients_are_the_folds(phantom: Path) -> None:
    tested = {item["patient"] for item in read_dataset(phantom).items if item["fold"] == 1}
    assert patients(view(phantom, test_left_out=False), "test") == tested


def test_files_names_and_classes_stay(phantom: Path) -> None:
    whole, made = read_dataset(phantom), view(phantom)
    files = {item["image"]: (item["label"], item["class"]) for item in whole.items}
    assert all(files[item["image"]][0] == item["label"] for item in made.items)
    assert all(files[item["image"]][1] == item["class"] for item in made.items if item["class"])
    assert (made.labels, made.modality) == (whole.labels, whole.modality)


def test_classes_that_no_training_patient_has_are_left_out(phantom: Path) -> None:
    made = view(phantom)
    assert set(made.classes) == {item["class"] for item in made.splits["training"]} < set(read_dataset(phantom).classes)
    assert {item["class"] for item in made.splits["test"]} == {*made.classes, None}


def test_the_data_set_itself_is_not_overwritten(phantom: Path) -> None:
    with pytest.raises(DatasetError, match="the data set itself"):
        subset(str(phantom), output=str(phantom), patient_fraction=0.5)
