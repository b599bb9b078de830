"""YOLO text files: names, splits, negatives and mistakes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts.data.contract import DatasetError
from scripts.data.layouts.yolo import read_yolo


def write_image(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((20, 10), np.uint8)).save(file)


def write(root: Path, line: str = "0 0.5 0.5 0.2 0.1", names: str | None = "tumour\ncyst\n") -> Path:
    write_image(root / "images" / "a.png")
    (root / "labels").mkdir()
    (root / "labels" / "a.txt").write_text(line)
    if names is not None:
        (root / "classes.txt").write_text(names)
    return root


@pytest.mark.parametrize(
    "text",
    [
        "train: images/train\nnc: 2\nnames: ['tumour', \"cyst\"]\n",
        "names: [tumour,\n  cyst]  # two\nnc: 2\n",
        "names:\n  - tumour  # bright\n  - cyst\nnc: 2\n",
        "names:\n- 'tumour'\n- cyst\nroboflow:\n  - x\n",
        "path: .\nnames:\n  0: tumour\n  1: cyst\n",
        "names: {0: tumour, 1: cyst}\n",
        "names: {1: cyst, 0: tumour}\n",
    ],
)
def test_names_are_read_from_data_yaml(tmp_path: Path, text: str) -> None:
    write(tmp_path, names=None)
    (tmp_path / "data.yaml").write_text(text)
    assert read_yolo(tmp_path).labels == ["background", "tumour", "cyst"]


def test_names_can_be_given(tmp_path: Path) -> None:
    assert read_yolo(write(tmp_path, names=None), labels="background,x").labels == ["background", "x"]


def test_images_without_or_with_an_empty_file_are_negatives(tmp_path: Path) -> None:
    write(tmp_path)
    for name in "bc":
        write_image(tmp_path / "images" / f"{name}.png")
    (tmp_path / "labels" / "c.txt").touch()
    assert [item["boxes"] for item in read_yolo(tmp_path).splits["training"]] == [[[4, 9, 6, 11]], [], []]


@pytest.mark.parametrize("pattern", ["images/{split}", "{split}/images", "{split}"])
def test_folders_of_splits_are_kept(tmp_path: Path, pattern: str) -> None:
    (tmp_path / "classes.txt").write_text("tumour")
    for split in ("train", "valid", "test"):
        folder = tmp_path / pattern.format(split=split)
        write_image(folder / "a.png")
        texts = Path(str(folder).replace("images", "labels"))
        texts.mkdir(parents=True, exist_ok=True)
        (texts / "a.txt").write_text("0 0.5 0.5 0.2 0.1")
    splits = read_yolo(tmp_path).splits
    assert [len(splits[split]) for split in ("training", "validation", "test")] == [1, 1, 1]
    assert all(item["boxes"] for items in splits.values() for item in items)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.2 0.1\n0 0.5 0.5 0.2", r"a\.txt, line 2: '0 0\.5 0\.5 0\.2', expected five numbers"),
        ("tumour 0.5 0.5 0.2 0.1", "line 1: .* expected five numbers"),
        ("2 0.5 0.5 0.2 0.1", "line 1: class 2, expected one of: 0 tumour, 1 cyst"),
        ("0.5 0.5 0.5 0.2 0.1", r"class 0\.5"),
        ("0 0.95 0.5 0.2 0.1", "lies outside the image of 10x20"),
        ("0 0.5 0.5 0 0.1", "has no size"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_yolo(write(tmp_path, line))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"has no classes\.txt, .*pass --labels"):
        read_yolo(write(tmp_path, names=None))
    (tmp_path / "data.yaml").write_text("nc: 2\n")
    with pytest.raises(DatasetError, match=r"has no classes\.txt"):
        read_yolo(tmp_path)
    (tmp_path / "labels" / "b.txt").touch()
    with pytest.raises(DatasetError, match=r"labels/b\.txt has no image"):
        read_yolo(tmp_path, labels="background,x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="has no images"):
        read_yolo(tmp_path / "empty", labels="background,x")


def test_names_are_read_from_any_yaml_and_hold_commas(tmp_path: Path) -> None:
    write(tmp_path, names=None)
    (tmp_path / "lesions.yml").write_text("names: ['tumour, solid', cyst]")
    (tmp_path / "._lesions.yml").write_bytes(b"\0\5")
    assert read_yolo(tmp_path).labels == ["background", "tumour, solid", "cyst"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: {0: a, 2: b}", "expected 0, 1, 2"),
        ("nc: 3\nnames: [a, b]", "nc is 3, but 'names' has 2"),
        ("names: [a, b", "is no YAML"),
        ("names: [cyst, tumour]", r"classes\.txt names \['tumour', 'cyst'\]"),
    ],
)
def test_names_that_contradict_are_refused(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, names="tumour\ncyst" if "cyst" in text else None)
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_yolo(tmp_path)


def test_a_background_among_the_names_is_no_box_class(tmp_path: Path) -> None:
    dataset = read_yolo(write(tmp_path, "1 0.5 0.5 0.2 0.1", "background\ntumour\n"))
    assert (dataset.labels, dataset.items[0]["box_classes"]) == (["background", "tumour"], [0])
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.2 0.1")
    with pytest.raises(DatasetError, match="class 0, expected one of: 1 tumour"):
        read_yolo(tmp_path)


def test_outlines_become_label_maps_where_asked(tmp_path: Path) -> None:
    outline = "1 0.2 0.1 0.5 0.1 0.5 0.3 0.2 0.3"  # of 10 x 20 pixels: columns 2 to 4, rows 2 to 5
    write(tmp_path, outline)
    with pytest.raises(DatasetError, match=r"line 1: .*--label_maps True"):
        read_yolo(tmp_path)
    item = read_yolo(tmp_path, label_maps=True, output=tmp_path / "out").items[0]
    expected = np.zeros((20, 10))
    expected[2:6, 2:5] = 2
    np.testing.assert_array_equal(np.asarray(Image.open(item["label"])), expected)
    assert item["boxes"] == [[2, 2, 5, 6]]


def test_hidden_text_files_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "labels" / "._a.txt").write_bytes(b"\0\5")
    assert len(read_yolo(tmp_path).items) == 1
