"""The contract: what a dataset.json may say, what it means, and which message a mistake gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.data.atomic import WriteError
from scripts.data.contract import (
    Dataset,
    DatasetError,
    image_files,
    read_dataset,
    stem,
    without_nan,
    write_dataset,
    write_json,
)


def write(folder: Path, **changes: Any) -> Path:
    content = {
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "tumour"},
        "training": [{"image": "a.png", "label": "b.png"}],
    } | changes
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def test_an_unmodified_decathlon_description_is_read(tmp_path: Path) -> None:
    write(
        tmp_path,
        name="BRATS",
        tensorImageSize="4D",
        modality={"0": "FLAIR", "1": "T1w"},
        labels={"0": "background", "1": "edema"},
        numTraining=1,
        training=[{"image": "./imagesTr/BRATS_457.nii.gz", "label": "./labelsTr/BRATS_457.nii.gz"}],
        test=["./imagesTs/BRATS_485.nii.gz"],
    )
    dataset = read_dataset(tmp_path)
    assert (dataset.name, dataset.modality, dataset.labels) == ("BRATS", ["FLAIR", "T1w"], ["background", "edema"])
    assert (dataset.channel_count, dataset.foreground_count) == (2, 1)
    train, test = dataset.items
    assert train["patient"] == "BRATS_457"
    assert Path(train["label"]) == tmp_path / "labelsTr/BRATS_457.nii.gz"
    assert (test["patient"], test["label"], test["class_index"]) == ("BRATS_485", None, -1)


def test_names_are_ordered_by_their_integers_in_every_notation(tmp_path: Path) -> None:
    labels = {str(n): f"label {n}" for n in reversed(range(11))}
    assert read_dataset(write(tmp_path, labels=labels)).labels == [f"label {n}" for n in range(11)]
    assert read_dataset(write(tmp_path, labels={"tumour": 1, "background": 0})).labels == ["background", "tumour"]
    assert read_dataset(write(tmp_path, labels=["background", "tumour"])).labels == ["background", "tumour"]


def test_classes_get_their_place_in_the_list(tmp_path: Path) -> None:
    items = [{"image": "a.png", "class": "LGG"}, {"image": "b.png", "class": "HGG"}, {"image": "c.png"}]
    dataset = read_dataset(write(tmp_path, classes=["HGG", "LGG"], training=items))
    assert [item["class_index"] for item in dataset.items] == [1, 0, -1]


def test_absolute_and_several_paths_are_kept(tmp_path: Path) -> None:
    item = {"image": ["t1.nii.gz", "/elsewhere/t2.nii.gz"], "label": "/elsewhere/label.nii.gz"}
    (read,) = read_dataset(write(tmp_path, training=[item])).items
    assert read["image"] == [str(tmp_path / "t1.nii.gz"), "/elsewhere/t2.nii.gz"]
    assert (read["label"], read["patient"]) == ("/elsewhere/label.nii.gz", "t1")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    item = {
        "image": [str(tmp_path / "x/a.png"), "/elsewhere/b.png"],
        "label": str(tmp_path / "m.png"),
        "patient": "p",
        "class": "B",
        "fold": 3,
        "boxes": [[0, 1, 2, 3]],
    }
    written = Dataset(
        tmp_path, "name", ["T1", "T2"], ["background", "one"], ["A", "B"], {255: 1}, [0.0, 255.0], {"test": [item]}
    )
    file = write_dataset(tmp_path, written, licence="CC0")
    raw = json.loads(file.read_text())
    assert raw["licence"] == "CC0"
    assert raw["test"][0]["image"] == ["x/a.png", "/elsewhere/b.png"]  # relative inside the folder, else absolute
    read = read_dataset(tmp_path)
    for name in ("name", "modality", "labels", "classes", "label_values", "intensity_range"):
        assert getattr(read, name) == getattr(written, name)
    assert read.items == [{**item, "class_index": 1}]


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ({0xFF0000: 1, 0x0000FF: 2}, {"#ff0000": 1, "#0000ff": 2}),
        ({255: 1, 128: 2}, {"255": 1, "128": 2}),
    ],
)
def test_colours_are_written_as_colours_and_read_as_codes(
    tmp_path: Path, values: dict[int, int], written: dict[str, int]
) -> None:
    labels = ["background", "one", "two"]
    splits = {"training": [{"image": "a.png"}]}
    file = write_dataset(tmp_path, Dataset(tmp_path, "x", ["CT"], labels, label_values=values, splits=splits))
    assert json.loads(file.read_text())["label_values"] == written
    assert read_dataset(tmp_path).label_values == values


def test_colours_and_codes_may_stand_side_by_side(tmp_path: Path) -> None:
    assert read_dataset(write(tmp_path, label_values={"#00FF00": 1, "16711680": 1})).label_values == {
        0x00FF00: 1,
        0xFF0000: 1,
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modality": {}}, "'modality' is"),
        ({"labels": {"0": "background", "2": "tumour"}}, "consecutive integers.*label_values"),
        ({"label_values": {"255": 2}}, "'label_values' is .*labels 0..1"),
        ({"label_values": {"white": 1}}, "'label_values' is"),
        ({"label_values": {"#ff00": 1}}, "'label_values' is"),
        ({"label_values": {"#ff0000": 1, "16711680": 0}}, "'label_values' is .*each value once"),
        ({"classes": "HGG"}, "'classes' is 'HGG'"),
        ({"classes": ["A", "A"]}, "names a class twice"),
        ({"classes": ["A"], "training": [{"image": "a.png", "class": "B"}]}, r"training\[0\]: class 'B' is not among"),
        ({"training": {"image": "a.png"}}, "'training' is a dict, expected a list"),
        ({"training": []}, "no items"),
        ({"validation": [{"image": "a.png"}, {"label": "a.png"}]}, r"validation\[1\].*has no 'image'"),
        ({"training": [{"image": [1]}]}, r"training\[0\]: 'image' is \[1\]"),
        ({"training": [{"image": "a.png", "label": 3}]}, r"training\[0\]: 'label' is 3"),
        ({"intensity_range": [255, 0]}, "'intensity_range' is"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_dataset(write(tmp_path, **changes))


def test_broken_json_is_reported_with_line_and_column(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text('{\n "labels": ["a",\n}')
    with pytest.raises(DatasetError, match=r"dataset\.json, line 3, column 1"):
        read_dataset(tmp_path)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="scripts prepare"):
        read_dataset(tmp_path / "nowhere")


def test_a_list_at_the_top_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text("[]")
    with pytest.raises(DatasetError, match="found a list"):
        read_dataset(tmp_path)


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    file = write_json(tmp_path / "a.json", {"old": 1})
    with pytest.raises(TypeError):
        write_json(file, {"new": 2, "bad": object()})
    assert json.loads(file.read_text()) == {"old": 1}
    assert list(tmp_path.iterdir()) == [file]


def test_an_unwritable_place_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="Name a writable folder"):
        write_json(tmp_path / "file" / "dataset.json", {})


@pytest.mark.parametrize(
    ("name", "expected"), [("a/B_1.nii.gz", "B_1"), ("B.1.png", "B.1"), ("x.tif", "x"), ("a/1.2.840", "1.2.840")]
)
def test_stem_takes_off_the_whole_suffix(name: str, expected: str) -> None:
    assert stem(name) == expected


def test_image_files_are_always_a_list() -> None:
    assert image_files({"image": "a"}) == ["a"]
    assert image_files({"image": ["a", "b"]}) == ["a", "b"]


@pytest.mark.parametrize("key", ["patient_id", "PatientID", "subject"])
def test_items_may_call_the_patient_otherwise(tmp_path: Path, key: str) -> None:
    (item,) = read_dataset(write(tmp_path, training=[{"image": "a.png", key: 0}])).items
    assert (item["patient"], key in item) == ("0", False)


def test_patients_that_nobody_names_are_guessed_from_paths_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    items = [{"image": f"{patient}/slice_{n}.png"} for patient in "ABC" for n in range(2)]
    dataset = read_dataset(write(tmp_path, training=items))
    assert [item["patient"] for item in dataset.items] == list("AABBCC")
    assert "guessed from folders, since names repeat in them: A (A/slice_0)" in caplog.text
    write_dataset(tmp_path, dataset)
    assert read_dataset(tmp_path).patients_guessed == dataset.patients_guessed


def test_lists_may_be_called_otherwise(tmp_path: Path) -> None:
    write(tmp_path, val=[{"image": "v.png"}], testing=[{"image": "t.png"}])
    splits = read_dataset(tmp_path).splits
    assert [len(splits[split]) for split in ("training", "validation", "test")] == [1, 1, 1]
    with pytest.raises(DatasetError, match="'test' and 'testing' both list the test items"):
        read_dataset(write(tmp_path, test=["u.png"], testing=["t.png"]))


@pytest.mark.parametrize("fold", [2, "2", 2.0, "2.0"])
def test_folds_may_be_texts(tmp_path: Path, fold: Any) -> None:
    (item,) = read_dataset(write(tmp_path, training=[{"image": "a.png", "fold": fold}])).items
    assert item["fold"] == 2


@pytest.mark.parametrize("fold", ["first", -1, 1.5, True])
def test_a_fold_that_is_no_number_is_refused(tmp_path: Path, fold: Any) -> None:
    with pytest.raises(DatasetError, match=r"training\[0\]: 'fold' is .*expected a number from 0"):
        read_dataset(write(tmp_path, training=[{"image": "a.png", "fold": fold}]))


def test_a_list_of_one_label_file_is_that_file(tmp_path: Path) -> None:
    (item,) = read_dataset(write(tmp_path, training=[{"image": "a.png", "label": ["b.png"]}])).items
    assert item["label"] == str(tmp_path / "b.png")


def test_numbers_that_json_has_not_become_null() -> None:
    value = {"a": [1.5, float("nan"), {"b": float("-inf")}], "c": "nan", "d": 0, "e": None}
    assert without_nan(value) == {"a": [1.5, None, {"b": None}], "c": "nan", "d": 0, "e": None}
