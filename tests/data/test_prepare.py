"""`prepare`: the split it makes, what it writes, what it prints, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scripts.data.contract import Dataset, DatasetError, Item, read_dataset, write_dataset
from scripts.data.prepare import describe, format_table, next_commands, prepare, split_items
from scripts.data.splits import select_items
from scripts.nearest_name import OptionError


def make_dataset(training: list[Item], **splits: list[Item]) -> Dataset:
    return Dataset(Path("/data"), "test", ["T1"], ["background", "one"], splits={"training": training, **splits})


def make_items(count: int, prefix: str = "p", label: str | None = "m.png") -> list[Item]:
    return [
        {"image": f"{prefix}{n}{k}.png", "label": label, "patient": f"{prefix}{n}", "class": "AB"[n % 2]}
        for n in range(count)
        for k in "xy"
    ]


def make_source(root: Path, patients: int = 6) -> Path:
    """A table of two images for each of some patients."""
    rows = ["image,label,class,patient"]
    root.mkdir(exist_ok=True)
    Image.fromarray(np.array([[0, 255]], np.uint8)).save(root / "m.png")
    for item in make_items(patients):
        Image.fromarray(np.array([[1, 2]], np.uint8)).save(root / item["image"])
        rows.append(f"{item['image']},m.png,{item['class']},{item['patient']}")
    (root / "table.csv").write_text("\n".join(rows))
    return root / "table.csv"


def count_patients(splits: dict[str, list[Item]]) -> list[int]:
    return [len({item["patient"] for item in splits[split]}) for split in ("training", "validation", "test")]


def test_a_list_is_split_by_patient() -> None:
    splits = split_items(make_dataset(make_items(10)), folds=5)
    assert count_patients(splits) == [6, 2, 2]
    assert all("fold" in item for items in splits.values() for item in items)


def test_a_split_of_the_source_is_kept() -> None:
    given = make_dataset(make_items(2), validation=make_items(2, "v"))
    assert split_items(given) == {"training": given.splits["training"], "validation": make_items(2, "v"), "test": []}


@pytest.mark.parametrize(("count", "sizes"), [(4, [2, 1, 1]), (3, [1, 1, 1]), (2, [1, 1, 0]), (1, [1, 0, 0])])
def test_fewer_patients_than_folds_are_listed_without_folds(count: int, sizes: list[int]) -> None:
    splits = split_items(make_dataset(make_items(count)), folds=5)
    assert count_patients(splits) == sizes
    assert not any("fold" in item for items in splits.values() for item in items)


def test_unlabelled_patients_stay_in_test_without_a_fold() -> None:
    official = make_items(1, "official", None)
    splits = split_items(make_dataset([*make_items(5), *make_items(1, "u", None)], test=official), folds=5)
    outside = [item for item in splits["test"] if "fold" not in item]
    assert {item["patient"] for item in outside} == {"official0", "u0"}
    assert count_patients(splits) == [3, 1, 3]


def test_folds_by_class_replace_the_split_of_the_source() -> None:
    dataset = make_dataset([*make_items(4), *make_items(1, "u", None)], test=make_items(2, "official"))
    for item in dataset.items:
        item["class"] = "ABC"[int(item["patient"][-1]) % 3]
    splits = split_items(replace(dataset, classes=["A", "B", "C"]), by_class=True)
    assert {split: {item["class"] for item in items if "fold" in item} for split, items in splits.items()} == {
        "test": {"A"},
        "validation": {"B"},
        "training": {"C"},
    }
    assert {item["patient"] for item in splits["test"] if "fold" not in item} == {"u0"}


def test_an_unlabelled_image_follows_its_labelled_patient() -> None:
    items = make_items(5)
    items[0]["label"] = None
    splits = split_items(make_dataset(items), folds=5)
    assert count_patients(splits) == [3, 1, 1]


def test_boxes_count_as_annotation() -> None:
    boxed = [{**item, "boxes": []} for item in make_items(5, label=None)]
    splits = split_items(make_dataset([*boxed, *make_items(1, "u", None)]), folds=5)
    assert count_patients(splits) == [3, 1, 2]
    assert {item["patient"] for item in splits["test"] if "fold" not in item} == {"u0"}
    given = make_dataset(boxed[:2], test=boxed[2:])
    assert split_items(given)["test"] == boxed[2:]


def test_boxes_of_label_maps_are_written_on_request(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    prepare("table", str(make_source(tmp_path)), boxes_from_labels=True)
    item = read_dataset(tmp_path).items[0]
    assert (item["boxes"], item["box_classes"]) == ([[1, 0, 2, 1]], [0])  # m.png is 0, 255
    assert "12 boxes in 12 images, of which 0 have none." in caplog.text
    prepare("table", str(tmp_path / "table.csv"), boxes_from_labels=True, minimum_pixels=2)
    assert read_dataset(tmp_path).items[0]["boxes"] == []


def test_boxes_without_label_maps_are_for_detectors(tmp_path: Path) -> None:
    items = [{**item, "boxes": [[0, 0, 1, 1]], "box_classes": [0]} for item in make_items(1, label=None)]
    dataset = Dataset(
        tmp_path, "x", ["a"], ["background", "1"], splits={"training": items, "validation": [], "test": []}
    )
    text = describe(dataset)
    assert "Images with boxes but no label map are for box-conditioned GANs and detectors only." in text
    assert "nothing is trained" not in text


def test_what_is_written_can_be_selected_from(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    prepare("table", str(make_source(tmp_path / "source")), output=str(tmp_path / "out"), folds=3, seed=4)
    dataset = read_dataset(tmp_path / "out")
    assert len(select_items(dataset, "training", 1)) == 4
    assert dataset.label_values == {255: 1}
    raw = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert raw["prepared"] == {"layout": "table", "folds": 3, "seed": 4}
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["dataset.json"]  # no pixels
    printed = "\n".join(caplog.messages)
    assert "Wrote" in printed
    assert f"python -m scripts doctor {tmp_path / 'out'}" in printed


def test_the_default_output_is_the_source_and_paths_are_relative(tmp_path: Path) -> None:
    prepare("table", str(make_source(tmp_path)))
    raw = json.loads((tmp_path / "dataset.json").read_text())
    assert raw["training"][0]["label"] == "m.png"
    prepare("table", str(tmp_path / "table.csv"), seed=1)  # its own file may be replaced


def test_a_dataset_json_of_someone_else_is_never_replaced(tmp_path: Path) -> None:
    table = make_source(tmp_path)
    (tmp_path / "dataset.json").write_text('{"official": true}')
    with pytest.raises(DatasetError, match=r"was not written by prepare.*--output"):
        prepare("table", str(table))
    assert (tmp_path / "dataset.json").read_text() == '{"official": true}'


def test_an_output_that_cannot_be_written_is_told_before_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = make_source(tmp_path)
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(DatasetError, match=r"Cannot write to .*--output"):
        prepare("table", str(table))
    monkeypatch.undo()
    with pytest.raises(DatasetError, match="--output"):
        prepare("table", str(table), output=str(table))


@pytest.mark.parametrize(
    ("layout", "options", "message"),
    [
        ("tabel", {}, "no layout 'tabel'; did you mean table"),
        ("table", {"label": "a"}, "no option --label of layout table; did you mean --labels"),
        ("wbc", {"labels": "a"}, "no option --labels of layout wbc; expected one of --boxes_from_labels"),
        ("table", {"folds": 2}, "folds is 2"),
        ("table", {"seed": -1}, "seed is -1"),
        ("table", {"boxes_from_labels": True, "minimum_pixels": 0}, "minimum_pixels is 0"),
        ("lgg", {}, "No folder"),
        ("table", {"label_values": "255:7", "labels": "a,b"}, "expected labels 0..1"),
    ],
)
def test_wrong_use_is_refused_and_nothing_written(
    tmp_path: Path, layout: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises((DatasetError, OptionError), match=message):
        prepare(layout, str(make_source(tmp_path)), **options)
    assert not (tmp_path / "dataset.json").exists()


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="No CSV file"):
        prepare("table", str(tmp_path))


def read_back(tmp_path: Path, **options: Any) -> Dataset:
    prepare("table", str(make_source(tmp_path)), **options)
    return read_dataset(tmp_path)


def test_the_table_counts_patients_and_images_of_each_class(tmp_path: Path) -> None:
    lines = describe(read_back(tmp_path, folds=3)).splitlines()
    assert lines[0].split() == ["split", "patients", "images", "A", "B"]
    assert lines[4].split() == ["all", "6", "12", "3/6", "3/6"]
    assert any(line.startswith("3 folds") for line in lines)


def test_the_next_commands_name_the_study(tmp_path: Path) -> None:
    assert next_commands(read_back(tmp_path))[1] == f"python -m scripts study {tmp_path}"


def test_copies_of_a_file_are_of_one_patient(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = ["image,label"]
    for n, value in enumerate((1, 2, 1, 3)):
        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) % (value + 1)).save(tmp_path / f"scan{n}.png")
        rows.append(f"scan{n}.png,scan0.png")
    (tmp_path / "images.csv").write_text("\n".join(rows))
    prepare("table", str(tmp_path / "images.csv"), labels="background,a,b,c", folds=3)
    patients = {Path(item["image"]).stem: item["patient"] for item in read_dataset(tmp_path).items}
    assert patients["scan2"] == patients["scan0"]
    assert len(set(patients.values())) == 3
    assert "scan2.png and scan0.png are the same file" in caplog.text


def test_tables_line_up() -> None:
    assert format_table([["a", "bb"], ["ccc", "1"]]) == "a    bb\nccc   1"


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("layout", "folder", "sizes"),
    [
        ("lgg", "lgg_mri", (72, 1109)),
        ("wbc", "wbc", (299, 300)),  # one image is there twice
        ("covid_ct", "covid_ct", (98, 98)),
        ("brats2015_sample", "brats2015_sample", (4, 4)),
        ("decathlon", "hippocampus", (60, 60)),
    ],
)
def test_the_shared_data(real_data: Path, tmp_path: Path, layout: str, folder: str, sizes: tuple[int, int]) -> None:
    prepare(layout, str(real_data / folder), output=str(tmp_path))
    dataset = read_dataset(tmp_path)
    assert (len({item["patient"] for item in dataset.items}), len(dataset.items)) == sizes
    assert select_items(dataset, "training")
    assert select_items(dataset, "validation")


def test_every_layout_takes_what_says_how_files_are_read(tmp_path: Path) -> None:
    options = {"slice_axis": "sagittal", "ignore_geometry": True, "threshold_masks": True}
    dataset = read_back(tmp_path, patient_pattern="^(p.)", intensity_range="-100,200", **options)
    assert {item["patient"] for item in dataset.items} == {f"p{n}" for n in range(6)}
    assert dataset.intensity_range == [-100, 200]
    assert {name: getattr(dataset, name) for name in options} == options
    raw = json.loads((tmp_path / "dataset.json").read_text())
    assert raw["prepared"].items() >= {"patient_pattern": "^(p.)", "intensity_range": [-100, 200], **options}.items()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"slice_axis": "x"}, "slice_axis is 'x', expected one of sagittal, coronal, axial"),
        ({"ignore_geometry": "yes"}, "ignore_geometry is 'yes', expected True or False"),
        ({"intensity_range": "200,-100"}, "expected low,high"),
    ],
)
def test_wrong_ways_to_read_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        prepare("table", str(make_source(tmp_path)), **options)


def test_a_guess_of_patients_is_printed_and_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = make_source(tmp_path)
    table.write_text("image,label\n" + "".join(f"p{n}{k}.png,m.png\n" for n in range(6) for k in "xy"))
    prepare("table", str(table))
    assert "Patients were guessed from the names of files: p0x (p0x), p0y (p0y), p1x (p1x)." in caplog.text
    assert read_dataset(tmp_path).patients_guessed is not None


def test_patients_written_in_two_ways_are_told(tmp_path: Path) -> None:
    items = [{"image": f"{n}.png", "label": "m.png", "patient": n, "class": None} for n in ("P1", "p-01", "P2")]
    write_dataset(tmp_path, make_dataset(items))
    assert "Patients P1 and p-01 are written alike." in describe(read_dataset(tmp_path))
