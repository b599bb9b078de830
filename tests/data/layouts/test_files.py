"""Finding images and reading CSV rows."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from scripts.data.contract import DatasetError
from scripts.data.layouts.files import (
    find_files,
    find_folder,
    find_images,
    index_by_stem,
    leave_out_unclassed,
    pair_images,
    read_rows,
)


def test_hidden_and_other_files_are_passed_over(tmp_path: Path) -> None:
    for name in ("b.nii.gz", "a.PNG", "._a.png", "notes.txt", "c.gz"):
        (tmp_path / name).touch()
    assert [file.name for file in find_images(tmp_path)] == ["a.PNG", "b.nii.gz"]


def test_hidden_files_and_folders_are_passed_over_at_any_depth(tmp_path: Path) -> None:
    for name in ("a/x.png", "a/._x.png", ".b/x.png", "__MACOSX/a/x.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert find_files(tmp_path, "**/*.png") == [tmp_path / "a" / "x.png"]


def test_missing_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="images or imagesTr"):
        find_folder(tmp_path, "images", "imagesTr")
    with pytest.raises(DatasetError, match="No folder"):
        find_images(tmp_path / "none")


def test_two_files_of_one_name_are_refused() -> None:
    with pytest.raises(DatasetError, match="share the name 'a'"):
        index_by_stem([Path("x/a.png"), Path("x/a.nii.gz")])


def test_images_are_paired_by_name(tmp_path: Path) -> None:
    for file in ("images/b.jpg", "images/a.nii.gz", "masks/a.nii", "masks/b.png"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    images, masks = tmp_path / "images", tmp_path / "masks"
    pairs = pair_images(images, masks)
    assert list(pairs.items()) == [
        ("a", (images / "a.nii.gz", masks / "a.nii")),
        ("b", (images / "b.jpg", masks / "b.png")),
    ]
    (masks / "b.png").unlink()
    with pytest.raises(DatasetError, match=r"1 names are only in images or only in masks, first .*images/b\.jpg"):
        pair_images(images, masks)


def test_no_images_are_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="the folder of images is empty"):
        pair_images(tmp_path, tmp_path)


def test_rows_have_the_number_a_spreadsheet_shows(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('﻿name, note\na,"two\nlines"\n\n , \nb,\n', encoding="utf-8")
    assert read_rows(tmp_path / "t.csv", "name") == [
        (3, {"name": "a", "note": "two\nlines"}),
        (6, {"name": "b", "note": ""}),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,2\n", "no column image; it has a, b"),
        (b"image,b\n1,2\n1,2,3\n", "row 3: more fields than the 2"),
        (b"image,b,b\n1,2,3\n", "the column b is there twice"),
        (b"\xff\xfe\x00", "Cannot read"),
        (b"", "no column image; it has none"),
    ],
)
def test_a_wrong_csv_is_explained(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        read_rows(tmp_path / "t.csv", "image")


ITEMS = [
    {"patient": "b", "label": "b.nii", "class": None},
    {"patient": "a", "label": "a.nii", "class": "HGG"},
    {"patient": "c", "label": None, "class": None},
]


def test_labelled_patients_without_class_are_left_out_and_named(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert leave_out_unclassed(ITEMS, "grade", "Add it.") == ITEMS[1:]
    assert caplog.messages == ["Left out for want of a grade: b."]


def test_nothing_is_said_where_all_have_one(caplog: pytest.LogCaptureFixture) -> None:
    assert leave_out_unclassed(ITEMS[1:2], "grade", "Add it.") == ITEMS[1:2]
    assert not caplog.messages


def test_no_class_at_all_is_refused() -> None:
    with pytest.raises(DatasetError, match=r"No image has a grade, expected one for each patient\. Add it\."):
        leave_out_unclassed(ITEMS[:1], "grade", "Add it.")
