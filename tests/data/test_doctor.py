"""`doctor`: everything at once, with counts, and an exit code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scripts.__main__ import main
from scripts.data.contract import Dataset, DatasetError, Item, read_dataset, write_dataset
from scripts.data.doctor import (
    check_names,
    check_patients,
    check_same,
    check_sizes,
    check_splits,
    check_values,
    doctor,
    format_findings,
    summarise,
)
from scripts.data.inspection import Finding, Inspection, inspect_items
from scripts.data.patients import PatientGuess
from scripts.data.prepare import prepare
from scripts.data.splits import assign_splits


def make_items(folder: Path, count: int, name: str | None = "A") -> list[Item]:
    """Sound 32x32 pictures, one per patient, with a lesion of value 255."""
    label = np.zeros((32, 32), np.uint8)
    label[4:8, 4:8] = 255
    Image.fromarray(label).save(folder / "m.png")
    items: list[Item] = []
    for n in range(count):
        file = folder / f"{name}{n}.png"
        seed = [n, *str(name).encode()]
        Image.fromarray(np.random.default_rng(seed).integers(0, 255, (32, 32)).astype(np.uint8)).save(file)
        items.append({"image": str(file), "label": str(folder / "m.png"), "patient": f"{name}{n}", "class": name})
    return items


def make_dataset(folder: Path, splits: dict[str, list[Item]], **changes: Any) -> Dataset:
    settings: dict[str, Any] = {"classes": ["A", "B"], "label_values": {255: 1}} | changes
    write_dataset(folder, Dataset(folder, "test", ["grey"], ["background", "one"], splits=splits, **settings))
    return read_dataset(folder)


def found(findings: list[Finding]) -> list[tuple[str, str, str]]:
    return [(finding.severity, finding.check, finding.example) for finding in findings]


def test_sound_data_is_ready(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_dataset(tmp_path, assign_splits(make_items(tmp_path, 10) + make_items(tmp_path, 10, "B")))
    doctor(str(tmp_path), image_size=32)
    printed = "\n".join(caplog.messages)
    assert "No findings." in printed
    assert "cache:    0 MiB on disk for 20 slices of 32x32" in printed
    assert printed.rstrip().endswith("Ready to train: no errors.")


def test_boxes_without_label_maps_are_ready(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    items = make_items(tmp_path, 10) + make_items(tmp_path, 10, "B")
    boxed = [{**item, "label": None, "boxes": [[4, 4, 8, 8]], "box_classes": [0]} for item in items]
    make_dataset(tmp_path, assign_splits(boxed))
    doctor(str(tmp_path), image_size=32)
    printed = "\n".join(caplog.messages)
    assert "boxes but no label map" in printed
    assert "warning" not in printed
    assert "cache:    0 MiB on disk for 20 slices of 32x32" in printed
    assert printed.rstrip().endswith("Ready to train: no errors.")


def test_all_errors_are_listed_before_the_exit(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    items = make_items(tmp_path, 6)
    Path(items[0]["image"]).unlink()
    Path(items[1]["image"]).write_bytes(b"broken")
    Image.fromarray(np.zeros((16, 32), np.uint8)).save(items[2]["image"])
    make_dataset(tmp_path, {"training": items[:5], "test": [items[5] | {"patient": "A4"}]}, label_values={})
    assert len(doctor(str(tmp_path), image_size=32).errors) > 5
    assert main(["doctor", str(tmp_path), "--image_size", "32"]) == 1
    rows = [line.split() for line in "\n".join(caplog.messages).splitlines() if line.startswith("error")]
    text = "\n".join(" ".join(row) for row in rows)
    for expected in (
        "unknown label value 6",
        "image cannot be read 2",
        "label does not lie on its image 1",
        "patient in two splits 1 A4: test, training",
        "class with no sample 1 B",
    ):
        assert expected in text


def test_a_malformed_description_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(DatasetError, match="line 1"):
        doctor(str(tmp_path))


def test_wrong_options_are_refused(tmp_path: Path) -> None:
    make_dataset(tmp_path, assign_splits(make_items(tmp_path, 5)))
    with pytest.raises(ValueError, match="image_size is 8"):
        doctor(str(tmp_path), image_size=8)
    with pytest.raises(DatasetError, match="fold is 5, its folds are: 0, 1, 2, 3, 4"):
        doctor(str(tmp_path), fold=5)


def test_leaks_between_folds_and_repeated_images_are_found(tmp_path: Path) -> None:
    splits = assign_splits(make_items(tmp_path, 10))
    splits["training"].append({**splits["training"][0], "fold": 0})
    dataset = Dataset(tmp_path, "test", ["grey"], ["background", "one"], splits=splits, classes=["A", "B"])
    leaked = splits["training"][0]
    assert found(check_splits(dataset)) == [
        ("error", "patient in two folds", f"{leaked['patient']}: 0, {leaked['fold']}"),
        ("error", "image listed twice", f"{leaked['image']}: 2 times"),
    ]


def test_a_split_without_labelled_items_is_found(tmp_path: Path) -> None:
    items = make_items(tmp_path, 6)
    dataset = make_dataset(tmp_path, {"training": items[:1], "test": [items[5] | {"label": None}]})
    assert [row[:2] for row in found(check_splits(dataset))] == [
        ("error", "no validation items"),
        ("warning", "no test items"),
    ]


def test_rare_and_missing_classes_are_found(tmp_path: Path) -> None:
    items = make_items(tmp_path, 10) + make_items(tmp_path, 1, "B") + make_items(tmp_path, 1, None)
    splits = {"training": items[:8], "validation": items[8:10], "test": items[10:]}
    dataset = make_dataset(tmp_path, splits, classes=["A", "B", "C"])
    inspections = [Inspection(item, labels=frozenset({0})) for item in dataset.items]
    assert found(check_names(dataset, inspections)) == [
        ("info", "no class", "None0.png, patient None0"),
        ("warning", "class with one patient", "B"),
        ("error", "class with no sample", "C"),
        ("warning", "class not in training", "B: the lists of dataset.json"),
        ("warning", "label in no file", "1: one"),
    ]


def test_only_the_fold_asked_for_is_checked(tmp_path: Path) -> None:
    items = [item | {"fold": n % 5} for n, item in enumerate(make_items(tmp_path, 10))]
    rare = [item | {"fold": 3} for item in make_items(tmp_path, 1, "B")]
    dataset = make_dataset(tmp_path, {"training": items + rare})
    missing = [finding.example for finding in check_names(dataset, [], 2) if finding.check == "class not in training"]
    assert missing == ["B: fold 2"]  # fold 2 validates on fold 3
    assert not [f for f in check_names(dataset, [], 1) if f.check == "class not in training"]


def test_the_summary_shows_what_a_training_would_use(tmp_path: Path) -> None:
    listed = make_dataset(tmp_path, {"training": make_items(tmp_path, 10)})
    inspections = [Inspection(item, shape=(1, 32, 32, 3), lesion_slices=2) for item in listed.items]
    lines = [line.split() for line in summarise(listed, inspections, 64).splitlines()]
    assert ["training", "8", "8", "24", "16"] in lines
    assert ["validation", "2", "2", "6", "4"] in lines  # set aside, though the file lists none
    assert "cache:    0 MiB on disk for 30 slices of 64x64 pixels" in summarise(listed, inspections, 64)
    assert "cache:    90 MiB" in summarise(listed, inspections, 1024)  # 30 * 1024**2 * (2 + 1) bytes


def test_slices_of_another_size_are_counted() -> None:
    shapes = [(1, 64, 64), (1, 20, 64), (1, 65, 10, 7)]
    inspections = [
        Inspection({"image": "i.png", "label": None, "patient": n}, shape=shape) for n, shape in enumerate(shapes)
    ]
    assert found(check_sizes(inspections, 64)) == [
        ("info", "slices are padded to 64x64", "patient 1: 20x64"),
        ("info", "slices are shrunk to 64x64", "patient 2: 65x10"),
    ]
    assert found(check_sizes([], 50))[0][1] == "image_size is padded"


def test_findings_are_grouped_with_the_worst_first() -> None:
    findings = [Finding("info", "a", "1"), Finding("warning", "b", "2"), Finding("error", "c", "3")]
    findings += [Finding("warning", "d", "4"), Finding("warning", "d", "5")]
    assert [line.split() for line in format_findings(findings).splitlines()[1:]] == [
        ["error", "c", "1", "3"],
        ["warning", "d", "2", "4"],
        ["warning", "b", "1", "2"],
        ["info", "a", "1", "1"],
    ]


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("layout", "folder", "lines"),
    [
        (
            "brats2015_sample",
            "brats2015_sample",
            ["240x240x155", "no test items"],
        ),
        ("decathlon", "hippocampus", ["57 different", "the largest slice fits --image_size 64"]),
    ],
)
def test_the_shared_data_are_ready(
    real_data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, layout: str, folder: str, lines: list[str]
) -> None:
    prepare(layout, str(real_data / folder), output=str(tmp_path))
    doctor(str(tmp_path))
    printed = "\n".join(caplog.messages)
    for line in lines:
        assert line in printed


@pytest.mark.realdata
def test_the_known_defects_of_the_shared_slices_are_counted(
    real_data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prepare("lgg", str(real_data / "lgg_mri"), output=str(tmp_path))
    doctor(str(tmp_path))
    printed = " ".join("\n".join(caplog.messages).split())
    assert "empty label map 168" in printed  # the slices without tumour of the folder's README
    assert "all 72 1109 1109 941" in printed
    assert "repeated channel: FLAIR = post-contrast" in printed


def test_one_picture_in_two_splits_is_an_error(tmp_path: Path) -> None:
    items = make_items(tmp_path, 6)
    Path(items[5]["image"]).write_bytes(Path(items[0]["image"]).read_bytes())
    splits = {"training": items[:4], "validation": items[4:5], "test": items[5:]}
    dataset = make_dataset(tmp_path, splits)
    expected = "A0.png, patient A0 and A5.png, patient A5 (training, test)"
    assert found(check_same(dataset, inspect_items(dataset))) == [("error", "equal pixels in two splits", expected)]


def test_one_picture_under_two_patients_of_a_split_is_a_warning(tmp_path: Path) -> None:
    items = make_items(tmp_path, 6)
    Path(items[3]["image"]).write_bytes(Path(items[0]["image"]).read_bytes())
    dataset = make_dataset(tmp_path, {"training": items[:4], "validation": items[4:5], "test": items[5:]})
    rows = found(check_same(dataset, inspect_items(dataset)))
    assert [row[:2] for row in rows] == [("warning", "equal pixels under two patients")]


def test_patients_that_other_folds_would_part_are_an_error(tmp_path: Path) -> None:
    items = [{**item, "fold": n % 5} for n, item in enumerate(make_items(tmp_path, 10))]
    Path(items[3]["image"]).write_bytes(Path(items[2]["image"]).read_bytes())  # folds 2 and 3
    dataset = make_dataset(tmp_path, {"training": items})
    rows = found(check_same(dataset, inspect_items(dataset)))
    assert [row[:2] for row in rows] == [("error", "equal pixels in two splits")]


def test_ct_without_a_window_and_a_range_that_suits_nothing(tmp_path: Path) -> None:
    dataset = replace(make_dataset(tmp_path, {"training": make_items(tmp_path, 2)}), modality=["CT"])
    rows = found(check_values(dataset, inspect_items(dataset)))
    assert rows[0][:2] == ("warning", "CT without intensity_range")
    assert "--intensity_range" in rows[0][2]
    twelve_bits = replace(dataset, intensity_range=[0.0, 40.0])  # the pictures have 8
    rows = found(check_values(twelve_bits, inspect_items(twelve_bits)))
    assert [row[:2] for row in rows] == [("error", "intensity_range does not suit most images")]


def test_a_training_without_any_lesion_is_an_error(tmp_path: Path) -> None:
    items = make_items(tmp_path, 6)
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(tmp_path / "m.png")
    dataset = make_dataset(tmp_path, {"training": items[:5], "validation": items[5:]})
    expected = ("error", "no lesion in training", "5 empty label maps: the lists of dataset.json")
    assert found(check_values(dataset, inspect_items(dataset))) == [expected]


def test_a_doubtful_guess_of_patients_is_a_warning(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path, {"training": make_items(tmp_path, 2)})
    sure, doubt = PatientGuess("names"), PatientGuess("names", doubt="If a_1 and a_2 are of one patient, splits leak.")
    assert check_patients(replace(dataset, patients_guessed=sure)) == []
    rows = found(check_patients(replace(dataset, patients_guessed=doubt)))
    assert [row[:2] for row in rows] == [("warning", "patients are guessed")]


@pytest.mark.realdata
def test_the_published_cells_hold_one_picture_twice(
    real_data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prepare("wbc", str(real_data / "wbc"), output=str(tmp_path))
    doctor(str(tmp_path))
    printed = "\n".join(caplog.messages)
    assert "112.bmp, patient cell_112 and" in printed
    assert "equal pixels in two files of a patient" in printed
